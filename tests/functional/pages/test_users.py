"""People: by their page, the API and on the console's machine."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from opsconsole.cli.main import main
from opsconsole.launcher.database import bring_up_to_date
from opsconsole.settings import Settings
from tests.functional.pages.people import Person

People = Callable[..., Person]


def test_somebody_is_added_let_in_changed_and_shut_out(app: Flask, admin: Person, person: People) -> None:
    made = admin.send("/users", {"name": "Li.Wei", "role": "viewer"})
    shown = made.get_data(as_text=True)
    code = re.search(r"/login\?once=([\w-]+)", shown)
    assert made.status_code == 201
    assert code
    # Shown once, and never kept by anything between.
    assert "once=" not in admin.text("/users")
    newcomer = app.test_client()
    token = re.search(r'name="csrf" content="([^"]+)"', newcomer.get("/login").get_data(as_text=True))
    assert token
    newcomer.post("/login", data={"once": code.group(1), "csrf_token": token.group(1)})
    assert newcomer.get("/jobs").status_code == 200
    assert newcomer.get("/run").status_code == 403
    assert admin.send("/users", {"action": "role", "role": "operator"}, to="/users/li.wei").status_code == 303
    assert newcomer.get("/run").status_code == 200
    assert admin.send("/users", {"action": "disable"}, to="/users/li.wei").status_code == 303
    assert newcomer.get("/jobs").status_code == 303
    assert admin.send("/users", {"action": "link"}, to="/users/li.wei").status_code == 409
    assert admin.send("/users", {"action": "enable"}, to="/users/li.wei").status_code == 303
    actions = [entry["action"] for entry in admin.get("/api/v1/audit?object=user:li.wei").json["records"]]
    expected = ["user.enabled", "user.disabled", "user.role_changed", "login.ok", "login_link.issued", "user.created"]
    assert actions == expected
    by = {entry["actor"] for entry in admin.get("/api/v1/audit?action=login_link").json["records"]}
    assert by == {admin.user.name}


def test_the_last_administrator_stays_and_faults_are_told(admin: Person) -> None:
    for fields in ({"action": "disable"}, {"action": "role", "role": "viewer"}):
        answer = admin.send("/users", fields, to=f"/users/{admin.user.name}")
        assert (answer.status_code, "The last administrator" in answer.get_data(as_text=True)) == (409, True)
    for name, role, status in (("a b", "viewer", 422), (admin.user.name, "viewer", 409), ("ann", "god", 422)):
        assert admin.send("/users", {"name": name, "role": role}).status_code == status
    assert admin.send("/users", {"action": "disable"}, to="/users/nobody").status_code == 404


def test_it_is_for_administrators_and_shows_whose_tokens_open_what(app: Flask, admin: Person, person: People) -> None:
    operator = person()
    assert operator.get("/users").status_code == 403
    assert operator.send("/jobs", {"name": "ann", "role": "admin"}, to="/users").status_code == 403
    made = operator.send("/me", {"name": "ci <b>", "scope": "run", "days": "30"}, to="/me/tokens")
    token = re.search(r"opsc_[\w-]+", made.get_data(as_text=True))
    assert token
    header = {"Authorization": f"Bearer {token.group()}"}
    page = admin.text("/users")
    assert "ci &lt;b&gt;" in page
    assert token.group() not in page
    revoke = re.search(r"/users/tokens/\w+/revoke", page)
    assert revoke
    assert admin.send("/users", to=revoke.group()).status_code == 303
    assert app.test_client().get("/api/v1/jobs", headers=header).status_code == 401


def test_on_the_consoles_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("OPSCONSOLE_DATABASE_URL", raising=False)
    bring_up_to_date(Settings.load())

    def call(*args: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["users", *args])
        return result.exit_code, result.output

    assert call("add", "ann", "--role", "admin")[0] == call("add", "bob")[0] == 0
    assert call("role", "bob", "approver") == (0, "bob has the role approver now.\n")
    assert call("disable", "bob")[0] == 0
    listed = [json.loads(line) for line in call("list", "--json")[1].splitlines()]
    assert [(user["name"], user["role"], user["state"]) for user in listed] == [
        ("ann", "admin", "enabled"),
        ("bob", "approver", "disabled"),
    ]
    assert call("enable", "bob")[0] == 0
    code, said = call("disable", "ann")
    assert (code, "last administrator" in said) == (2, True)
    assert call("disable", "nobody")[0] == 2
