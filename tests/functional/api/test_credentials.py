"""Credentials over the API: used by those who may, changed by administrators, read back by nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.functional.api.callers import Browser, Program

CANARY = "canary-7c1f-password"
KEY = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACBYZnBKXvqkK3Kqm0aw0pVbPJ9T9yZpXJYhHn0wJr1fWQAAAJgAAAAAAAAA
-----END OPENSSH PRIVATE KEY-----
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_unlisted_hosts": False})


@pytest.fixture
def admin(program: Callable[..., Program]) -> Program:
    made = program(Role.ADMIN)
    for name in ("web1", "web2", "db1"):
        assert made.post("inventory/hosts", {"name": name, "user": "admin"}).status_code == 201
    assert made.post("inventory/groups", {"name": "web", "hosts": ["web1", "web2"]}).status_code == 201
    return made


def add(admin: Program, name: str = "web", **values: Any) -> Any:
    body = {"name": name, "kind": "password", "scope": ["@web"], "secrets": {"password": CANARY}, **values}
    return admin.post("credentials", body)


@pytest.mark.parametrize(
    ("kind", "parts", "public"),
    [
        ("agent", {}, {}),
        ("keyboard_interactive", {"answers": f"{CANARY}\nsecond"}, {}),
        (
            "external",
            {"source": "vault", "path": "secret/ops/web", "holds": "password"},
            {"source": "vault", "path": "secret/ops/web", "holds": "password", "field": "password", "role": None},
        ),
    ],
)
def test_kinds_tell_where_they_are_and_no_secret(
    admin: Program, kind: str, parts: dict[str, str], public: dict[str, Any]
) -> None:
    made = add(admin, kind=kind, secrets=parts)
    assert made.status_code == 201, made.json
    assert made.json["public"] == public
    assert CANARY not in made.text
    refused = add(admin, "other", kind=kind, secrets={**parts, "surplus": CANARY})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "surplus")
    assert CANARY not in refused.text


def test_a_credential_is_made_used_and_removed(admin: Program, operator: Program) -> None:
    made = add(admin, notes="for the shop", user="deploy")
    assert made.status_code == 201, made.json
    assert (made.json["covers"], made.json["version"], made.json["public"]) == (2, 1, {})
    listed = operator.get("credentials").json["credentials"]
    assert [(item["name"], item["kind"], item["user"], item["scope"]) for item in listed] == [
        ("web", "password", "deploy", ["@web"])
    ]
    assert admin.patch("inventory/hosts/web1", {"credential": "cred:web"}).status_code == 200
    shown = operator.get("credentials/web").json
    assert shown["named_by"] == {"hosts": ["web1"], "host_count": 1, "groups": [], "saved": [], "setting": False}
    tried = operator.post("credentials/web/test-scope", {"targets": "web1,db1,other"}).json
    assert tried == {"covered": "web1", "covered_count": 1, "outside": "db1,other", "outside_count": 2}
    plan = operator.post("plan", {"targets": "web1,web2", "command": "id"}).json
    assert [(host["credential"], host["credential_from"], host["user"]) for host in plan["hosts"]] == [
        ("credential web", "host", "deploy"),
        (None, "worker", "admin"),
    ]
    refused = operator.post("jobs", {"targets": "db1", "command": "id", "credential": "cred:web"})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "credential")
    assert operator.launch("web1", credential="cred:web") == 1
    # What a group says counts for its hosts that say nothing.
    for wrong in ("vault:web", "cred:", "cred:a b"):
        assert admin.patch("inventory/groups/web", {"credential": wrong}).json["errors"][0]["field"] == "credential"
    assert admin.patch("inventory/groups/web", {"credential": "cred:web"}).json["credential"] == "cred:web"
    plan = operator.post("plan", {"targets": "web2", "command": "id"}).json
    assert (plan["hosts"][0]["credential"], plan["hosts"][0]["credential_from"]) == ("credential web", "group web")
    order = {"targets": "web1", "command": "id", "credential": "cred:web"}
    assert operator.post("saved", {"name": "Look", "order": order}).status_code == 201
    named = operator.get("credentials/web").json["named_by"]
    assert (named["groups"], named["saved"]) == (["web"], ["Look"])
    assert admin.delete("credentials/web", headers={"If-Match": '"v7"'}).status_code == 409
    assert admin.delete("credentials/web", headers={"If-Match": '"v1"'}).status_code == 204
    assert operator.get("credentials/web").status_code == 404
    plan = operator.post("plan", {"targets": "web1", "command": "id"}).json
    assert plan["policy"]["reasons"] == ["web1: There is no credential 'web'."]


def test_no_answer_holds_the_secret(admin: Program, operator: Program, database: Database) -> None:
    answers = [
        add(admin),
        add(admin),
        add(admin, "b", kind="pigeon"),
        add(admin, "c", secrets={"passwort": CANARY}),
        add(admin, "d", secrets={"password": CANARY * 5000}),
        add(admin, "e", secrets={"password": [CANARY]}),
        add(admin, "f", kind="private_key", secrets={"private_key": f"{KEY}{CANARY}"}),
        admin.patch("credentials/web", {"secrets": {"password": CANARY}, "notes": "x"}),
        admin.get("credentials"),
        admin.get("credentials/web"),
        admin.get("data-keys"),
        operator.post("plan", {"targets": "web1", "command": "id", "credential": "cred:web"}),
        operator.get("openapi.json"),
    ]
    assert [answer.status_code for answer in answers] == [
        201,
        409,
        422,
        422,
        422,
        422,
        422,
        200,
        200,
        200,
        200,
        200,
        200,
    ]
    for answer in answers:
        assert CANARY not in answer.get_data(as_text=True)
        assert "b3BlbnNzaC1" not in answer.get_data(as_text=True)
    with database.read() as session:
        tables = [row[0] for row in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))]
        dump = "".join(repr(tuple(row)) for name in tables for row in session.execute(text(f"SELECT * FROM {name}")))
    assert CANARY not in dump
    assert "credential.added" in dump


def test_who_was_slower_overwrites_nothing(admin: Program) -> None:
    seen = add(admin)
    assert admin.patch("credentials/web", {"scope": ["*"]}).json["covers"] == 3
    late = admin.patch("credentials/web", {"scope": ["web1"]}, headers={"If-Match": seen.headers["ETag"]})
    assert (late.status_code, late.json["code"]) == (409, "version_changed")
    faulty = admin.patch("credentials/web", {"scope": ["@nosuch"]})
    assert [(fault["field"], fault["code"]) for fault in faulty.json["errors"]] == [("scope", "unknown_group")]
    assert admin.patch("credentials/web", {"kind": "password"}).status_code == 422
    assert admin.get("data-keys").json["keys"][0] | {"created_at": ""} == {
        "id": 1,
        "created_at": "",
        "retired_at": None,
        "sealed": 2,
        "secret_keys": 1,
        "opens": True,
    }


def test_viewers_see_no_credentials_and_operators_change_none(
    admin: Program, operator: Program, program: Callable[..., Program], browser: Callable[..., Browser]
) -> None:
    add(admin)
    viewer = program(Role.VIEWER)
    for path in ("credentials", "credentials/web"):
        assert viewer.get(path).status_code == 403
    assert viewer.post("credentials/web/test-scope", {"targets": "web1"}).status_code == 403
    assert add(operator, "mine").status_code == 403
    assert operator.patch("credentials/web", {"scope": ["*"]}).status_code == 403
    assert operator.delete("credentials/web").status_code == 403
    assert operator.get("data-keys").status_code == 403
