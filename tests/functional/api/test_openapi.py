"""The published document agrees with what is served."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory import hostkeys
from opsconsole.jobs.recover import register
from opsconsole.jobs.states import RunState
from tests.functional.api.callers import Browser, Program
from tests.functional.api.play import Play
from tests.support.clock import FakeClock
from tests.support.factories import make_key


@pytest.fixture
def document(operator: Program) -> dict[str, Any]:
    answer = operator.get("openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_every_api_route_is_described_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    described = {(path, method) for path, method, _ in _operations(document)}
    served = set()
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi":
            path = re.sub(r"<(?:[^:<>]*:)?(\w+)>", r"{\1}", str(rule))
            served |= {(path, method) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert described == served


def test_the_document_itself_is_sound(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"\w+", name)
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(set(names)) == len(names)
    for path, method, operation in _operations(document):
        assert operation["summary"], f"{method} {path}"
        assert "401" in operation["responses"]
        inside = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert inside == set(re.findall(r"{(\w+)}", path))
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], f"{method} {path} {status}"


class Checker:
    """Checks answers against the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._registry: Registry[Any] = Registry().with_resource(
            "urn:opsconsole", Resource(contents=document, specification=DRAFT202012)
        )
        self.seen: set[str] = set()

    def __call__(self, answer: TestResponse, operation_id: str) -> None:
        (operation,) = [op for _, _, op in _operations(self._document) if op["operationId"] == operation_id]
        described = operation["responses"][str(answer.status_code)]
        self.seen.add(operation_id)
        content = described.get("content")
        if not content:
            return
        assert list(content) == [answer.mimetype]
        schema = {"$ref": "urn:opsconsole#" + content[answer.mimetype]["schema"]["$ref"].removeprefix("#")}
        errors = list(Draft202012Validator(schema, registry=self._registry).iter_errors(answer.json))
        assert not errors, f"{operation_id} {answer.status_code}: {errors[0].json_path} {errors[0].message}"


def test_real_answers_are_as_described(
    document: dict[str, Any],
    operator: Program,
    program: Callable[..., Program],
    browser: Callable[..., Browser],
    play: Callable[[int], Play],
    database: Database,
    clock: FakeClock,
) -> None:
    check = Checker(document)
    order = {"targets": "web[1-3]", "command": "uptime"}
    keyed = {"Idempotency-Key": "k"}
    check(operator.post("resolve", order), "resolve")
    check(operator.post("resolve", {"targets": "web["}), "resolve")
    check(operator.post("jobs", order, headers=keyed), "launch_job")
    check(operator.post("jobs", order, headers=keyed), "launch_job")
    check(operator.post("jobs", {"targets": "web[1-200]", "command": "x"}), "launch_job")
    check(operator.post("jobs", {**order, "expect": {"count": 1}}), "launch_job")
    check(operator.post("jobs", {**order, "command": "x" * 300_000}), "launch_job")
    for moment in range(3):
        if moment == 1:
            play(1).start(0, 1)
            play(1).write(0, b"hello\n")
        if moment == 2:
            play(1).end(0)
            play(1).end(1, state=RunState.FAILED, exit_status=1, reason="exit_status")
            play(1).refuse(2, reason="host_key_unknown")
        check(operator.get("jobs"), "list_jobs")
        check(operator.get("jobs/1"), "job_status")
        check(operator.get("jobs/1/roster"), "job_roster")
        check(operator.get("jobs/1/grid"), "job_grid")
        check(operator.get("jobs/1/delta"), "job_delta")
        check(operator.get("jobs/1/delta?since=1"), "job_delta")
        check(operator.get("jobs/1/hosts"), "job_hosts")
        check(operator.get("jobs/1/hosts/0"), "job_host")
        check(operator.get("jobs/1/hosts/0/output"), "job_output")
        check(operator.get("jobs/1/groups"), "job_groups")
        check(operator.get("jobs/1/search?q=l+l"), "job_search")
        check(operator.get("jobs/1/search?q=hello"), "job_search")
    g = str(operator.get("jobs/1/groups").json["groups"][0]["g"])
    check(operator.get(f"jobs/1/groups/{g}"), "job_group")
    check(operator.get(f"jobs/1/groups/{g}/diff"), "job_group_diff")
    check(operator.get(f"jobs/1/groups/{g}/spread"), "job_group_spread")
    check(operator.get("jobs/99"), "job_status")
    tag = operator.get("jobs/1").headers["ETag"]
    check(operator.get("jobs/1", headers={"If-None-Match": tag}), "job_status")
    check(operator.get("jobs/1/hosts/0/raw"), "job_raw_output")
    check(operator.get("jobs/1/export?format=csv"), "export_job")
    check(operator.get("jobs/1/hosts/0/raw", headers={"Range": "bytes=0-1"}), "job_raw_output")
    check(operator.get("jobs/1/events", buffered=False), "job_events")
    check(operator.get("events", buffered=False), "all_events")
    check(operator.post("jobs/1/rerun", {"states": ["f"]}), "rerun_job")
    check(operator.post("jobs/2/cancel"), "cancel_job")
    key = make_key()
    with database.transaction() as session:
        hostkeys.offer(session, "web3", 22, key, now=clock.now())
    check(operator.get("jobs/1/host-keys"), "job_host_keys")
    check(operator.get("host-keys"), "list_host_keys")
    admin = browser(Role.ADMIN)
    wanted = {"keys": [{"address": "web3", "fingerprint": hostkeys.fingerprint(key)}]}
    check(operator.post("host-keys/trust", wanted), "trust_host_keys")
    for decision in ("trust", "revoke", "remove"):
        check(admin.post(f"/api/v1/host-keys/{decision}", wanted), f"{decision}_host_keys")
    authority = {"patterns": "*.example.com", "key": f"{key.algorithm} {key.key}"}
    for _ in range(2):
        check(admin.post("/api/v1/host-keys/authorities", authority), "add_authority")
    check(operator.get("host-keys/authorities"), "list_authorities")
    scan = operator.post("host-keys/scan", {"targets": "web[1-2]"})
    check(scan, "scan_host_keys")
    check(operator.get(f"host-keys/scans/{scan.json['scan']}"), "key_scan")
    check(operator.get("host-keys/scans/none"), "key_scan")
    test = operator.post("tests", {"targets": "web[1-2]", "run_as": "root"})
    check(test, "test_connections")
    check(operator.get(f"tests/{test.json['test']}"), "connection_test")
    check(operator.get("tests/none"), "connection_test")
    check(admin.post("/api/v1/host-keys/authorities/1/revoke", {}), "revoke_authority")
    made = admin.post("/api/v1/tokens", {"name": "ci"})
    check(made, "make_token")
    check(admin.get("/api/v1/tokens"), "list_tokens")
    for _ in range(2):
        check(admin.post("/api/v1/users", {"name": "new", "role": "viewer"}), "add_user")
    check(admin.get("/api/v1/users"), "list_users")
    check(admin.post("/api/v1/users/new/login-link"), "make_login_link")
    changed = {"headers": {"X-CSRFToken": admin.form_token}, "json": {"disabled": True}}
    check(admin.client.patch("/api/v1/users/new", **changed), "change_user")
    headers = {"X-CSRFToken": admin.form_token}
    check(admin.client.delete(f"/api/v1/tokens/{made.json['id']}", headers=headers), "revoke_token")
    check(admin.client.delete("/api/v1/host-keys/authorities/1", headers=headers), "remove_authority")
    check(operator.get("workers"), "list_workers")
    waits = operator.launch()
    for verb in ("pause", "resume", "continue", "check"):
        check(operator.post(f"jobs/{waits}/{verb}", {}), f"{verb}_job")
    check(operator.get("queue"), "queue")
    check(operator.get("notices"), "notices")
    check(operator.get("search?q=web"), "find")
    check(operator.get("complete?q=@w"), "complete")
    check(admin.get("/api/v1/audit"), "list_audit")
    check(admin.get("/api/v1/settings"), "list_settings")
    check(admin.get("/api/v1/audit/export"), "export_audit")
    check(operator.get("jobs/1/lineage"), "job_lineage")
    check(operator.get("jobs/1/timeline"), "job_timeline")
    check(operator.get("jobs/1/timeline/bars"), "job_timeline_bars")
    check(operator.get("jobs/1/hosts/web1/attempts"), "job_attempts")
    check(operator.get("jobs/1/hosts/web1/steps"), "job_steps")
    check(operator.post("plan", {"targets": "web[1-3]", "command": "uptime", "waves": "1 2"}), "plan")
    check(operator.post("hold", {"reason": "drill"}), "stop_all")
    check(operator.post(f"jobs/{waits}/pause", {}), "pause_job")
    check(operator.post(f"jobs/{waits}/title", {"title": "Patch the web fleet"}), "entitle_job")
    check(operator.get("hold"), "hold")
    check(admin.client.delete("/api/v1/hold", headers=headers), "lift_hold")
    with database.transaction() as session:
        register(session, "w", name="box:w1:7", pid=7, slots=5, version="1", now=clock.now())
    check(operator.get("me/preferences"), "get_preferences")
    check(operator.put("me/preferences", {"theme": "dark"}), "put_preferences")
    for verb in ("drain", "resume"):
        check(admin.client.post(f"/api/v1/workers/w1/{verb}", headers=headers), f"{verb}_worker")
    _check_inventory(check, program(Role.ADMIN))
    _check_credentials(check, program(Role.ADMIN))
    _check_saved(check, operator, {"name": "up", "order": order})
    _check_files(check, operator)
    assert check.seen == {operation["operationId"] for _, _, operation in _operations(document)}


def _check_credentials(check: Checker, admin: Program) -> None:
    wanted = {"name": "web", "kind": "password", "scope": ["*"], "secrets": {"password": "hunter2"}}
    check(admin.post("credentials", wanted), "add_credential")
    check(admin.post("credentials", wanted), "add_credential")
    check(admin.get("credentials"), "list_credentials")
    check(admin.get("credentials/web"), "get_credential")
    check(admin.patch("credentials/web", {"user": "deploy"}), "change_credential")
    check(admin.patch("credentials/web", {"user": "deploy", "version": 1}), "change_credential")
    check(admin.post("credentials/web/test-scope", {"targets": "web1"}), "test_credential_scope")
    check(admin.get("data-keys"), "list_data_keys")
    check(admin.delete("credentials/web"), "remove_credential")
    check(admin.get("credentials/web"), "get_credential")


def _check_files(check: Checker, operator: Program) -> None:
    sent = {"data": b"hello", "headers": {"Content-Type": "application/octet-stream"}}
    kept = operator.post("files?name=motd", **sent)
    check(kept, "upload_file")
    check(operator.post("files", **sent), "upload_file")
    check(operator.get("files"), "list_files")
    for sha256 in (kept.json["sha256"], "0" * 64):
        check(operator.get(f"files/{sha256}"), "uploaded_file")
        check(operator.delete(f"files/{sha256}"), "remove_file")
    job = operator.post("jobs", {"targets": "web1", "pull": ["/etc/motd"]}).json["id"]
    check(operator.get(f"jobs/{job}/files"), "job_files")
    check(operator.get(f"jobs/{job}/files.zip"), "job_files_zip")
    check(operator.get(f"jobs/{job}/hosts/0/files/etc/motd"), "job_file")


def _check_saved(check: Checker, operator: Program, kept: dict[str, Any]) -> None:
    check(operator.post("saved", kept), "save_command")
    check(operator.post("saved", kept), "save_command")
    check(operator.get("saved"), "list_saved")
    check(operator.get("saved/1"), "saved_command")
    check(operator.get("saved/99"), "saved_command")
    check(operator._call("PUT", "saved/1", json={**kept, "static": True}), "change_saved")
    check(operator._call("PUT", "saved/1", json={**kept, "version": 1}), "change_saved")
    check(operator.post("saved/1/run", {}), "run_saved")
    check(operator.delete("saved/1"), "remove_saved")


def _check_inventory(check: Checker, admin: Program) -> None:
    check(admin.post("inventory/hosts", {"name": "inv1", "port": 2222, "tags": {"dc": "eu"}}), "add_host")
    check(admin.post("inventory/hosts", {"name": "inv1"}), "add_host")
    check(admin.post("inventory/groups", {"name": "inv", "hosts": ["inv1"]}), "add_group")
    check(admin.get("inventory/hosts?expression=@inv"), "list_inventory")
    check(admin.get("inventory/hosts/inv1"), "inventory_host")
    check(admin.get("inventory/hosts/inv1/health"), "host_health")
    check(admin.patch("inventory/hosts/inv1", {"user": "root"}), "change_host")
    check(admin.patch("inventory/hosts/inv1", {"user": "root", "version": 1}), "change_host")
    check(admin.post("inventory/hosts/change", {"expression": "@inv", "put_tags": {"a": "b"}}), "change_hosts")
    check(admin.get("inventory/groups"), "list_groups")
    check(admin.get("inventory/groups/inv"), "inventory_group")
    check(admin.patch("inventory/groups/inv", {"notes": "x"}), "change_group")
    check(admin.get("inventory/groups/none"), "inventory_group")
    check(admin.get("inventory/export?format=csv"), "export_hosts")
    text = {"format": "csv", "content": "name,port\ninv2,22\ninv3,x\n"}
    seen = admin.post("inventory/import", text)
    check(seen, "import_hosts")
    check(admin.post("inventory/import", {**text, "digest": "sha256:other"}), "import_hosts")
    check(admin.post("inventory/import", {**text, "digest": seen.json["digest"]}), "import_hosts")
    check(admin.post("inventory/sources", {"name": "cmdb", "argv": ["/bin/echo"]}), "add_source")
    check(admin.post("inventory/sources", {"name": "cmdb", "argv": ["/bin/cat"]}), "add_source")
    check(admin.post("inventory/sources/cmdb/refresh"), "refresh_source")
    check(admin.get("inventory/sources"), "list_sources")
    check(admin.delete("inventory/sources/cmdb"), "remove_source")
    check(admin.delete("inventory/groups/inv"), "remove_group")
    check(admin.delete("inventory/hosts/inv1"), "remove_host")


def test_the_page_about_the_api_lists_every_route(document: dict[str, Any]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    listed = re.findall(r"^\| `([A-Z]+) (/\S+)` \|", page, flags=re.MULTILINE)
    assert {(f"/api/v1{path}", method) for method, path in listed} == {
        (path, method) for path, method, _ in _operations(document)
    }
