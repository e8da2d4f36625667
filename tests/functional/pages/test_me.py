"""One's own account."""

import re
from collections.abc import Callable

from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.jobs.recover import register
from opsconsole.runtime import Runtime
from tests.functional.pages.people import Person, person_at

NEW = "a long enough pass phrase"


def test_a_first_password_needs_no_old_one(operator: Person) -> None:
    assert "Set a password" in operator.text("/run")
    answer = operator.send("/me", {"password": NEW, "again": NEW}, to="/me/password")
    assert answer.headers["Location"] == "/me?done=password"
    assert "Set a password" not in operator.text("/run")


def test_changing_a_password_needs_the_old_one_and_ends_other_sessions(
    app: Flask, runtime: Runtime, operator: Person
) -> None:
    operator.send("/me", {"password": NEW, "again": NEW}, to="/me/password")
    elsewhere = person_at(app, runtime, operator.user)
    assert elsewhere.get("/jobs").status_code == 200
    other = "another long pass phrase"
    wrong = operator.send("/me", {"current": "no", "password": other, "again": other}, to="/me/password")
    assert "The current password is wrong." in wrong.get_data(as_text=True)
    right = operator.send("/me", {"current": NEW, "password": other, "again": other}, to="/me/password")
    assert right.status_code == 303
    assert operator.get("/jobs").status_code == 200
    assert elsewhere.get("/jobs").status_code == 303


def test_bad_passwords_are_refused_with_the_reason(operator: Person) -> None:
    for password, again, said in [
        ("short", "short", "12"),
        (NEW, "different", "differ"),
        ("password1234", "password1234", ""),
    ]:
        answer = operator.send("/me", {"password": password, "again": again}, to="/me/password")
        assert answer.status_code == 422
        assert said in answer.get_data(as_text=True)


def test_a_token_is_shown_once_works_and_can_be_revoked(app: Flask, operator: Person) -> None:
    made = operator.send("/me", {"name": "ci", "scope": "read", "days": "30"}, to="/me/tokens")
    found = re.search(r"opsc_[\w-]+", made.get_data(as_text=True))
    assert made.status_code == 201
    assert found
    header = {"Authorization": f"Bearer {found.group()}"}
    assert app.test_client().get("/api/v1/jobs", headers=header).status_code == 200
    page = operator.text("/me/tokens")
    assert found.group() not in page
    revoke = re.search(r"/me/tokens/\w+/revoke", page)
    assert revoke
    assert operator.send("/me", to=revoke.group()).status_code == 303
    assert app.test_client().get("/api/v1/jobs", headers=header).status_code == 401


def test_a_token_needs_a_name(operator: Person) -> None:
    assert operator.send("/me", {"name": " "}, to="/me/tokens").status_code == 422


def test_somebody_elses_token_cannot_be_revoked(person, operator: Person) -> None:  # type: ignore[no-untyped-def]
    operator.send("/me", {"name": "ci"}, to="/me/tokens")
    revoke = re.search(r"/me/tokens/\w+/revoke", operator.text("/me/tokens"))
    assert revoke
    assert person(Role.OPERATOR).send("/me", to=revoke.group()).status_code == 404


def test_workers_page_without_workers_says_what_to_do(operator: Person) -> None:
    page = operator.text("/workers")
    assert "No worker is connected" in page
    assert "opsconsole worker" in page
    assert "Nothing waits for a worker." in page
    operator.job("web[1-3]")
    assert "3 hosts have not started, the oldest job waits for" in operator.text("/workers")


def test_an_admin_drains_a_worker_on_its_page(operator: Person, admin: Person, runtime: Runtime) -> None:
    with runtime.database.transaction() as session:
        register(session, "w", name="box:w1:7", pid=7, slots=5, version="1", now=runtime.clock.now())
    assert "Drain" not in operator.text("/workers").split("<tbody>")[1].split("</tbody>")[0]
    assert operator.send("/workers", to="/workers/box:w1:7/drain").status_code == 403
    assert 'action="/workers/box:w1:7/drain"' in admin.text("/workers")
    answer = admin.send("/workers", to="/workers/box:w1:7/drain")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/workers")
    assert ">Drained</span>" in operator.text("/workers")
    job = operator.job("web1")
    assert "No worker takes runs: those connected are drained." in operator.text(f"/jobs/{job}")
    assert "No worker takes runs: w1 is drained." in operator.text("/queue")
    assert admin.send("/workers", to="/workers/box:w1:7/resume").status_code == 303
    assert ">Drained</span>" not in operator.text("/workers")
    assert admin.send("/workers", to="/workers/w9/drain").status_code == 404


def test_the_language_is_chosen_in_the_menu_and_stays(operator: Person) -> None:
    page = operator.text("/jobs?state=failed")
    assert '<html lang="en"' in page
    assert 'value="/jobs?state=failed"' in page
    answer = operator.send("/jobs", {"language": "zh", "next": "/jobs?state=failed"}, to="/me/preferences")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?state=failed")
    page = operator.text("/jobs?lang=en")
    assert '<html lang="zh-CN"' in page
    assert "退出登录" in page
    elsewhere = operator.send("/jobs", {"language": "en", "next": "//elsewhere.example"}, to="/me/preferences")
    assert elsewhere.headers["Location"] == "/"
    assert operator.send("/jobs", {"language": "tlh"}, to="/me/preferences").status_code == 422


def test_choices_are_kept_with_the_person_and_so_in_another_browser(
    app: Flask, runtime: Runtime, operator: Person, person: Callable[..., Person]
) -> None:
    page = operator.text("/jobs")
    assert 'data-theme="system" data-contrast="normal" data-keys="on"' in page
    for name, word in (("theme", "dark"), ("contrast", ["normal", "high"]), ("keys", "off"), ("language", "zh")):
        assert operator.send("/jobs", {name: word, "next": "/jobs"}, to="/me/preferences").status_code == 303
    shown = '<html lang="zh-CN" data-theme="dark" data-contrast="high" data-keys="off">'
    elsewhere = person_at(app, runtime, operator.user)
    assert shown in elsewhere.text("/jobs?lang=en")
    assert 'name="keys" value="on">' in elsewhere.text("/me")
    assert 'name="contrast" value="high" checked>' in elsewhere.text("/me")
    assert shown not in person(Role.OPERATOR).text("/jobs")
    for name, word in (("theme", "pink"), ("keys", ""), ("contrast", "on")):
        assert operator.send("/jobs", {name: word}, to="/me/preferences").status_code == 422
    assert shown in operator.text("/jobs")
