"""What the console is set to, on its page and by the API."""

from collections.abc import Callable

from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.settings import Settings
from opsconsole.web import rules
from tests.functional.pages.people import Person

People = Callable[..., Person]


def test_admins_see_values_and_where_they_come_from(person: People) -> None:
    admin = person(Role.ADMIN)
    page = admin.text("/settings")
    for said in (
        "Orders and limits",
        "OPSCONSOLE_MAX_TARGETS",
        "10,000",
        "OPSCONSOLE_PROTECTED_TAGS",
        "12 h",
        "default",
    ):
        assert said in page, said
    rows = {row["name"]: row for row in admin.get("/api/v1/settings").json["settings"]}
    assert rows["tier_hosts"]["value"] == [11, 100, 1000]
    assert rows["max_targets"]["source"] == "default"
    assert rows["protected_tags"]["variable"] == "OPSCONSOLE_PROTECTED_TAGS"
    assert 'href="/settings"' in page


def test_nobody_else_does(person: People) -> None:
    approver = person(Role.APPROVER)
    assert approver.get("/settings").status_code == 403
    assert approver.get("/api/v1/settings").status_code == 403
    assert 'href="/settings"' not in approver.text("/jobs")


def test_each_is_explained_in_the_words_of_the_settings_themselves(app: Flask) -> None:
    with app.test_request_context("/settings"):
        meant = rules.meanings()
    names = [name for section in rules.SECTIONS.values() for name in section]
    assert meant == {name: Settings.model_fields[name].description for name in names}


def test_nothing_that_may_be_secret_is_told() -> None:
    names = {name for section in rules.SECTIONS.values() for name in section}
    assert not names & {"database_url", "broker_url", "secret_key", "token", "key_files"}
    assert not any(name.startswith("vault") or name.endswith(("_dir", "_file")) for name in names)


def test_values_are_written_for_people(app: Flask) -> None:
    settings = Settings(
        limits="user=5,tag dc=2", allow_loopback=True, command_timeout=0, files_keep_days=1.5, session_hours=1,
        kill_grace=2, ssh_port=2222,
    )  # type: ignore[call-arg, arg-type]  # fmt: skip
    with app.test_request_context("/settings"):
        worded = {row["name"]: row["value"] for rows in rules.shown(settings).values() for row in rows}
    assert worded["limits"] == "user=5, tag dc=2"
    assert (worded["allow_loopback"], worded["allow_local"]) == ("yes", "no")
    assert (worded["command_timeout"], worded["jump"]) == ("no limit", "none")
    assert (worded["files_keep_days"], worded["tier_share"]) == ("1.5 days", "50 %")
    assert (worded["kill_grace"], worded["ssh_port"], worded["max_pull_bytes"]) == ("2 s", "2222", "1.1 GB")
