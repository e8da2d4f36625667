"""The inventory over the API: lost updates, bulk changes as a whole, frozen hosts left out of every order."""

import base64
import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.db.database import Database
from opsconsole.inventory.formats import EXPORTS, IMPORTS
from tests.functional.api.callers import Browser, Program


@pytest.fixture
def admin(program: Callable[..., Program]) -> Program:
    made = program(Role.ADMIN)
    for name, tags in (("web1", {"dc": "eu"}), ("web2", {"dc": "us"}), ("db1", {"dc": "eu"})):
        assert made.post("inventory/hosts", {"name": name, "tags": tags}).status_code == 201
    assert made.post("inventory/groups", {"name": "web", "hosts": ["web2", "web1"]}).status_code == 201
    return made


def test_who_was_slower_is_told_and_overwrites_nothing(admin: Program) -> None:
    seen = admin.get("inventory/hosts/web1")
    assert admin.patch("inventory/hosts/web1", {"user": "a"}).status_code == 200
    for late in (
        admin.patch("inventory/hosts/web1", {"user": "b"}, headers={"If-Match": seen.headers["ETag"]}),
        admin.patch("inventory/hosts/web1", {"user": "b", "version": seen.json["version"]}),
        admin.delete("inventory/hosts/web1", headers={"If-Match": seen.headers["ETag"]}),
    ):
        assert (late.status_code, late.json["code"]) == (409, "version_changed")
    assert admin.get("inventory/hosts/web1").json["user"] == "a"
    group = admin.get("inventory/groups/web")
    assert admin.patch("inventory/groups/web", {"notes": "x"}).status_code == 200
    late = admin.patch("inventory/groups/web", {"hosts": []}, headers={"If-Match": group.headers["ETag"]})
    assert late.status_code == 409


def test_fields_that_are_not_sent_stay_and_null_unsets(admin: Program) -> None:
    admin.patch("inventory/hosts/web1", {"user": "deploy", "port": 2222, "jump": "root@bastion:22"})
    body = admin.patch("inventory/hosts/web1", {"port": None, "groups": []}).json
    assert (body["user"], body["port"], body["jump"], body["tags"], body["groups"]) == (
        "deploy",
        None,
        "root@bastion:22",
        {"dc": "eu"},
        [],
    )


def test_a_group_says_how_its_hosts_are_reached(admin: Program) -> None:
    assert admin.patch("inventory/groups/web", {"jump": "ops@gate", "profile": "legacy"}).status_code == 200
    body = admin.get("inventory/groups/web").json
    assert (body["jump"], body["profile"], body["host_key_policy"]) == ("ops@gate", "legacy", None)
    admin.patch("inventory/hosts/web1", {"groups": ["web"]})
    (host,) = admin.post("plan", {"targets": "web1", "command": "id"}).json["hosts"]
    assert (host["jump"], host["jump_from"]) == ("ops@gate", "group web")
    assert admin.post("resolve", {"targets": "web1"}).json["jumps"] == {"ops@gate": 1}
    (host,) = admin.post("plan", {"targets": "web1", "command": "id", "jump": "none"}).json["hosts"]
    assert (host["jump"], host["jump_from"]) == (None, None)
    refused = admin.patch("inventory/hosts/web1", {"profile": "ancient"})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "profile")
    admin.patch("inventory/groups/web", {"jump": None, "profile": None})


def test_many_are_changed_as_a_whole_or_not_at_all(admin: Program) -> None:
    order = {"hosts": ["web1", "nobody"], "put_tags": {"a": "b"}}
    assert admin.post("inventory/hosts/change", order).status_code == 422
    assert admin.get("inventory/hosts/web1").json["tags"] == {"dc": "eu"}
    changed = admin.post(
        "inventory/hosts/change", {"expression": "@dc:eu", "put_tags": {"a": "b"}, "drop_tags": ["dc"]}
    )
    assert changed.json == {"changed": 2}
    assert admin.get("inventory/hosts/db1").json["tags"] == {"a": "b"}
    assert admin.post("inventory/hosts/change", {"put_tags": {"a": "c"}}).status_code == 422


def test_a_job_without_its_sign_is_recognised(operator: Program) -> None:
    seen = operator.post("resolve", {"targets": "web1, failed:7"}).json
    assert {"unknown": "failed:7", "use": "failed:#7"} in seen["unknown_suggestions"]


def test_a_job_keeps_the_tags_that_divide_its_hosts(admin: Program, operator: Program) -> None:
    admin.post("inventory/hosts/change", {"expression": "web1, web2", "put_tags": {"rack": "a"}})
    admin.post("inventory/hosts/change", {"expression": "web2", "put_tags": {"rack": "b"}})
    job = operator.launch("web1,web2,db1")
    admin.post("inventory/hosts/change", {"expression": "web1", "put_tags": {"rack": "c"}})
    tags = operator.get(f"jobs/{job}/roster").json["tags"]
    assert tags["rack"] == {"values": ["a", "b"], "of": [0, 1, -1]}
    waved = operator.launch("web1,web2,db1", waves="1,100%")
    assert operator.get(f"jobs/{waved}/roster").json["tags"]["wave"] == {"values": ["1", "2"], "of": [0, 1, 1]}


def test_frozen_hosts_are_left_out_of_every_order_and_named(admin: Program, operator: Program) -> None:
    admin.post("inventory/hosts/change", {"expression": "web1", "frozen": True, "reason": "disk"})
    seen = operator.post("resolve", {"targets": "@web, db1"}).json
    assert (seen["count"], seen["sample"], seen["frozen"]) == (2, ["web2", "db1"], ["web1"])
    job = operator.launch("@web,db1", expect={"count": 2, "digest": seen["digest"]})
    assert operator.get(f"jobs/{job}/roster").json["hosts"] == ["web2", "db1"]
    refused = operator.post("jobs", {"targets": "web1", "command": "id"})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "all_frozen")
    listed = operator.get("inventory/hosts?expression=@web").json["hosts"]
    assert [(host["name"], host["frozen"], host["frozen_reason"]) for host in listed] == [
        ("web1", True, "disk"),
        ("web2", False, None),
    ]
    assert operator.post("resolve", {"targets": "@web ! @frozen"}).json["frozen"] == []


def test_a_host_frozen_after_the_preview_stops_the_order(admin: Program, operator: Program) -> None:
    seen = operator.post("resolve", {"targets": "@web"}).json
    admin.post("inventory/hosts/change", {"expression": "web1", "frozen": True})
    order = {"targets": "@web", "command": "id", "expect": {"count": 2, "digest": seen["digest"]}}
    answer = operator.post("jobs", order)
    assert (answer.status_code, answer.json["code"]) == (409, "target_changed")


def test_a_group_tells_which_saved_commands_name_it(admin: Program, program: Callable[..., Program]) -> None:
    for name, more in (("Uptime", {"targets": "@web ! db1"}), ("Other", {"targets": "db1"})):
        admin.post("saved", {"name": name, "order": {"command": "uptime", **more}})
    admin.post("saved", {"name": "fixed", "static": True, "order": {"command": "uptime", "targets": "@web"}})
    assert admin.get("inventory/groups/web").json["used_by"] == [{"id": 1, "name": "Uptime"}]
    assert program(Role.VIEWER).get("inventory/groups/web").json["used_by"] == []


def test_groups_inside_groups(admin: Program) -> None:
    assert admin.post("inventory/groups", {"name": "all/eu", "children": ["web"], "hosts": ["db1"]}).status_code == 201
    body = admin.get("inventory/groups/all/eu").json
    assert (body["total"], body["children"], body["hosts"]) == (3, ["web"], ["db1"])
    assert admin.get("inventory/groups/web").json["parents"] == ["all/eu"]
    refused = admin.patch("inventory/groups/web", {"children": ["all/eu"]})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (422, "cycle")
    assert "web > all/eu > web" in refused.json["detail"]


def test_hosts_are_listed_page_by_page(admin: Program) -> None:
    first = admin.get("inventory/hosts?limit=2").json
    assert ([host["name"] for host in first["hosts"]], first["total"], first["next"]) == (["db1", "web1"], 3, "web1")
    rest = admin.get("inventory/hosts?limit=2&after=web1").json
    assert ([host["name"] for host in rest["hosts"]], rest["next"]) == (["web2"], None)
    assert admin.get("inventory/hosts?expression=web1,nobody").json["unknown"] == ["nobody"]
    assert admin.get("inventory/hosts?find=b1").json["total"] == 2


def test_a_read_token_of_an_administrator_changes_nothing(program: Callable[..., Program]) -> None:
    reader = program(Role.ADMIN, Scope.READ)
    assert reader.post("inventory/hosts", {"name": "x"}).status_code == 403
    assert reader.get("inventory/export").status_code == 200


def test_an_import_may_be_larger_than_other_requests_and_not_boundless(admin: Program) -> None:
    text = "name,notes\n" + "".join(f"h{number},{'x' * 500}\n" for number in range(3000))
    seen = admin.post("inventory/import", {"format": "csv", "content": text})
    assert seen.json["counts"]["hosts"]["added"] == 3000
    assert len(seen.json["changes"]) == 1000
    large = base64.b64encode(b"x" * (9 * 1024 * 1024)).decode()
    assert admin.post("inventory/import", {"content_base64": large}).status_code == 413
    assert admin.post("inventory/hosts", {"name": "x", "notes": "y" * 2_000_000}).status_code == 413


def test_the_formats_are_the_same_for_pages_and_api(admin: Program, browser: Callable[..., Browser]) -> None:
    refused = admin.post("inventory/import", {"format": "odt", "content": ""})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "format")
    assert all(f"'{name}'" in refused.json["errors"][0]["message"] for name in IMPORTS)
    assert admin.get("inventory/export?format=odt").status_code == 422
    for name in EXPORTS:
        assert admin.get(f"inventory/export?format={name}").status_code == 200
    person = browser(Role.ADMIN).client
    choice = person.get("/hosts/import").text.partition('name="format"')[2].partition("</select>")[0]
    assert set(re.findall(r'<option value="([\w-]+)"', choice)) == {*IMPORTS}
    assert set(re.findall(r"/hosts/export\?format=([\w-]+)", person.get("/hosts").text)) == {*EXPORTS}


def test_what_is_done_is_in_the_audit(admin: Program, database: Database) -> None:
    admin.patch("inventory/hosts/web1", {"user": "root"})
    admin.delete("inventory/hosts/db1")
    with database.read() as session:
        rows = session.execute(select(AuditRecord.action, AuditRecord.object).order_by(AuditRecord.id)).all()
    assert ("host.changed", "host:web1") in [tuple(row) for row in rows]
    assert ("host.removed", "host:db1") in [tuple(row) for row in rows]
