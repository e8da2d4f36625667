"""Saved commands on the pages, without script: kept from the Run form, begun with there, changed, removed."""

import re
from collections.abc import Callable
from html import unescape

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.jobs.models import Job, SavedCommand
from tests.functional.pages.people import Person

FORM = {"credential": "password", "password": "hunter2-canary", "user": "deploy", "pace": "one", "env": "LC_ALL=C"}


def kept(database: Database, saved_id: int = 1) -> SavedCommand:
    with database.read() as session:
        return session.get_one(SavedCommand, saved_id)


def fields(page: str) -> dict[str, str]:
    """Returns the values of the form's text fields."""
    named = re.findall(r'<input (?=[^>]*name="(\w+)")(?=[^>]*value="([^"]*)")(?![^>]*type="(?:radio|checkbox)")', page)
    areas = re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    chosen = re.findall(r'<input type="radio" name="(\w+)" value="([^"]*)" checked', page)
    return {name: unescape(value) for name, value in (*named, *areas, *chosen)}


def test_from_the_form_to_a_saved_command_and_back(operator: Person, database: Database) -> None:
    answer = operator.run("web[1-3]", "df -h", action="save", save_name="Disk space", save_static="yes", **FORM)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/saved/1?kept=1"
    shown = operator.text("/saved/1?kept=1")
    for said in ("Saved. Nothing was run.", "Disk space", "df -h", "fixed when it was saved:", "web[1-3]", "deploy"):
        assert said in shown
    item = kept(database)
    assert (item.hosts, item.order["concurrency"], item.order["env"]) == ("web[1-3]", 1, {"LC_ALL": "C"})
    assert "hunter2" not in str(item.order) + shown
    with database.read() as session:
        assert session.get(Job, 1) is None
    page = operator.text("/run?saved=1")
    form = fields(page)
    assert (form["targets"], form["command"], form["user"], form["pace"]) == ("web[1-3]", "df -h", "deploy", "one")
    assert (form["env"], form["save_name"], form["saved_id"]) == ("LC_ALL=C", "Disk space", "1")
    form |= {"credential": "password", "password": "x"}
    job = operator.send("/run", form).headers["Location"]
    assert job == "/jobs/1"
    assert 'href="/saved/1"' in operator.text("/jobs/1?view=details")
    assert 'href="/jobs/1"' in operator.text("/saved")
    assert "Disk space" in operator.text("/run")


def test_the_same_name_changes_it_and_another_one_is_another(operator: Person, database: Database) -> None:
    operator.run("web[1-3]", "df -h", action="save", save_name="one")
    form = fields(operator.text("/run?saved=1")) | {"action": "save", "command": "df -i", "save_notes": "inodes"}
    assert operator.send("/run", form).status_code == 303
    assert (kept(database).version, kept(database).order["command"], kept(database).notes) == (2, "df -i", "inodes")
    # The form still names the version that was seen.
    stale = operator.send("/run", form)
    assert stale.status_code == 409
    assert "Somebody changed one meanwhile." in stale.get_data(as_text=True)
    assert operator.send("/run", form | {"save_name": "two"}).headers["Location"] == "/saved/2?kept=1"
    assert "title" not in kept(database, 2).order


def test_a_group_leads_to_the_saved_commands_that_name_it(admin: Person) -> None:
    admin.send("/groups", {"name": "web", "hosts": ""})
    assert "no saved command" in admin.text("/groups/web")
    admin.run("@web,web1", "uptime", action="save", save_name="Look")
    assert '<dt>Used by</dt><dd><a href="/saved/1">Look</a></dd>' in admin.text("/groups/web")


def test_what_is_wrong_is_shown_at_its_field(operator: Person) -> None:
    nameless = operator.run("web1", "uptime", action="save")
    assert nameless.status_code == 422
    assert "Give it a name" in nameless.get_data(as_text=True)
    wrong = operator.run("web[1-", "uptime", action="save", save_name="x")
    assert (wrong.status_code, 'value="x"' in wrong.get_data(as_text=True)) == (422, True)
    assert operator.text("/saved").count("/saved/1") == 0


def test_others_see_it_and_admins_remove_it(operator: Person, person: Callable[..., Person]) -> None:
    operator.run("web1", "uptime", action="save", save_name="mine")
    other, admin, viewer = person(Role.APPROVER), person(Role.ADMIN), person(Role.VIEWER)
    assert "Remove it" not in other.text("/saved/1")
    viewer.text("/saved", 403)
    assert "/saved" not in viewer.text("/jobs")
    assert other.send("/run", {}, to="/saved/1").status_code == 403
    assert admin.send("/saved/1", {"version": "7"}).status_code == 409
    assert admin.send("/saved/1", {"version": "1"}).status_code == 303
    other.text("/saved/1", 404)
    other.text("/run?saved=1", 404)
