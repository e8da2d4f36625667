"""Every route, every role: closed unless it is on a list here."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from werkzeug.routing import Rule

from opsconsole.accounts.permissions import Permission, Role, Scope
from opsconsole.accounts.service import close_session, disable_user, revoke_token
from opsconsole.db.database import Database
from opsconsole.web.auth import access_of
from tests.functional.api.callers import Browser, Program
from tests.support.clock import FakeClock
from tests.support.factories import actor_for

# Whoever adds a route that strangers may call adds it here too, and thinks once more.
PUBLIC = {"static", "health.healthz", "health.readyz", "pages.login", "pages.sign_in"}
VALUES = {"job_id": 1, "host": "0", "token_id": "abc", "filename": "x.css", "g": 1}
API = {
    "api.openapi": Permission.VIEW,
    "api.jobs.resolve": Permission.VIEW,
    "api.jobs.plan": Permission.VIEW,
    "api.jobs.list_jobs": Permission.VIEW,
    "api.jobs.launch": Permission.RUN,
    "api.jobs.status": Permission.VIEW,
    "api.control.pause": Permission.RUN,
    "api.control.resume": Permission.RUN,
    "api.control.entitle": Permission.RUN,
    "api.control.proceed": Permission.RUN,
    "api.control.check": Permission.RUN,
    "api.control.cancel": Permission.RUN,
    "api.control.rerun": Permission.RUN,
    "api.audit.list_audit": Permission.VIEW_AUDIT,
    "api.audit.export_audit": Permission.VIEW_AUDIT,
    "api.settings.list_settings": Permission.VIEW_SETTINGS,
    "api.users.list_users": Permission.ADMINISTER,
    "api.users.add_user": Permission.ADMINISTER,
    "api.users.change_user": Permission.ADMINISTER,
    "api.users.make_login_link": Permission.ADMINISTER,
    "api.console.complete": Permission.VIEW,
    "api.console.find": Permission.VIEW,
    "api.console.notices": Permission.VIEW,
    "api.console.queue": Permission.VIEW,
    "api.console.hold": Permission.VIEW,
    "api.console.stop_all": Permission.STOP_ALL,
    "api.console.lift": Permission.LIFT_HOLD,
    "api.saved.list_saved": Permission.VIEW_SAVED,
    "api.saved.show": Permission.VIEW_SAVED,
    "api.saved.add": Permission.RUN,
    "api.saved.change": Permission.RUN,
    "api.saved.remove": Permission.RUN,
    "api.saved.run": Permission.RUN,
    "api.results.roster": Permission.VIEW,
    "api.results.grid": Permission.VIEW,
    "api.results.delta": Permission.VIEW,
    "api.results.hosts": Permission.VIEW,
    "api.results.host_run": Permission.VIEW,
    "api.results.attempts": Permission.VIEW,
    "api.results.lineage": Permission.VIEW,
    "api.results.timeline": Permission.VIEW,
    "api.results.timeline_bars": Permission.VIEW,
    "api.results.output": Permission.VIEW,
    "api.results.steps": Permission.VIEW,
    "api.results.raw": Permission.VIEW,
    "api.output_groups.groups": Permission.VIEW,
    "api.output_groups.group": Permission.VIEW,
    "api.output_groups.diff": Permission.VIEW,
    "api.output_groups.spread": Permission.VIEW,
    "api.search.search": Permission.VIEW,
    "api.results.export": Permission.VIEW,
    "api.results.host_keys": Permission.VIEW,
    "api.events.events": Permission.VIEW,
    "api.events.job_events": Permission.VIEW,
    "api.me.get_preferences": Permission.VIEW,
    "api.me.put_preferences": Permission.CHOOSE_LOOK,
    "api.tokens.list_tokens": Permission.VIEW,
    "api.tokens.make_token": Permission.VIEW,
    "api.tokens.revoke_token": Permission.VIEW,
    "api.inventory.list_hosts": Permission.VIEW,
    "api.inventory.add_host": Permission.EDIT_INVENTORY,
    "api.inventory.change_hosts": Permission.EDIT_INVENTORY,
    "api.inventory.get_host": Permission.VIEW,
    "api.inventory.change_host": Permission.EDIT_INVENTORY,
    "api.inventory.remove_host": Permission.EDIT_INVENTORY,
    "api.inventory.list_groups": Permission.VIEW,
    "api.inventory.add_group": Permission.EDIT_INVENTORY,
    "api.inventory.get_group": Permission.VIEW,
    "api.inventory.change_group": Permission.EDIT_INVENTORY,
    "api.inventory.remove_group": Permission.EDIT_INVENTORY,
    "api.inventory_sources.list_sources": Permission.EDIT_INVENTORY,
    "api.inventory_sources.add_source": Permission.EDIT_INVENTORY,
    "api.inventory_sources.remove_source": Permission.EDIT_INVENTORY,
    "api.inventory_sources.refresh_source": Permission.EDIT_INVENTORY,
    "api.inventory_files.import_hosts": Permission.EDIT_INVENTORY,
    "api.inventory.host_health": Permission.VIEW,
    "api.files.list_files": Permission.RUN,
    "api.files.upload": Permission.RUN,
    "api.files.show": Permission.RUN,
    "api.files.remove": Permission.RUN,
    "api.files.job_files": Permission.VIEW,
    "api.files.job_zip": Permission.VIEW,
    "api.files.job_file": Permission.VIEW,
    "api.inventory_files.export_hosts": Permission.VIEW,
    "api.fleet.list_workers": Permission.VIEW,
    "api.fleet.drain_worker": Permission.DRAIN_WORKERS,
    "api.fleet.resume_worker": Permission.DRAIN_WORKERS,
    "api.credentials.list_credentials": Permission.VIEW_CREDENTIALS,
    "api.credentials.add_credential": Permission.MANAGE_CREDENTIALS,
    "api.credentials.get_credential": Permission.VIEW_CREDENTIALS,
    "api.credentials.change_credential": Permission.MANAGE_CREDENTIALS,
    "api.credentials.remove_credential": Permission.MANAGE_CREDENTIALS,
    "api.credentials.test_scope": Permission.VIEW_CREDENTIALS,
    "api.credentials.list_data_keys": Permission.MANAGE_CREDENTIALS,
    "api.host_keys.list_host_keys": Permission.VIEW,
    "api.host_keys.trust_host_keys": Permission.TRUST_HOST_KEYS,
    "api.host_keys.revoke_host_keys": Permission.TRUST_HOST_KEYS,
    "api.host_keys.remove_host_keys": Permission.TRUST_HOST_KEYS,
    "api.host_keys.scan_host_keys": Permission.RUN,
    "api.host_keys.key_scan": Permission.VIEW,
    "api.connection_tests.test_connections": Permission.RUN,
    "api.connection_tests.connection_test": Permission.VIEW,
    "api.host_keys.list_authorities": Permission.VIEW,
    "api.host_keys.add_authority": Permission.TRUST_HOST_KEYS,
    "api.host_keys.revoke_authority": Permission.TRUST_HOST_KEYS,
    "api.host_keys.remove_authority": Permission.TRUST_HOST_KEYS,
}


def _routes(app: Flask) -> Iterator[tuple[Rule, str, str]]:
    """Yields each rule with each of its methods and an address it matches."""
    with app.test_request_context():
        urls = app.create_url_adapter(None) or app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            values = {name: VALUES.get(name, "1") for name in rule.arguments}
            for method in sorted(rule.methods or ()):
                yield rule, method, urls.build(rule.endpoint, values, method=method)


def test_no_route_answers_a_stranger_unless_it_is_listed(app: Flask) -> None:
    client = app.test_client()
    seen = set()
    for rule, method, url in _routes(app):
        answer = client.open(url, method=method)
        if rule.endpoint in PUBLIC:
            seen.add(rule.endpoint)
            continue
        signs_in = answer.status_code == 303 and answer.location.startswith("/login?next=")
        assert answer.status_code == 401 or signs_in, f"{method} {url}: {answer.status_code}"
        if url.startswith("/api/"):
            assert not signs_in, url
    assert seen == PUBLIC


def test_every_route_is_marked(app: Flask) -> None:
    unmarked = [rule.endpoint for rule in app.url_map.iter_rules() if access_of(app, rule.endpoint) is None]
    assert not unmarked
    open_ones = {rule.endpoint for rule in app.url_map.iter_rules() if access_of(app, rule.endpoint) == "public"}
    assert open_ones == PUBLIC


def test_a_forgotten_mark_closes_the_route(app: Flask, operator: Program) -> None:
    app.add_url_rule("/api/v1/forgotten", "forgotten", lambda: "secret")
    answer = operator.get("forgotten")
    assert answer.status_code == 403
    assert b"secret" not in answer.data


def test_each_api_route_asks_for_the_listed_permission(app: Flask) -> None:
    marked = {
        rule.endpoint: access_of(app, rule.endpoint)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
    }
    assert marked == API


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", [None, *Scope])
def test_role_and_scope_decide(
    app: Flask,
    browser: Callable[..., Browser],
    program: Callable[..., Program],
    role: Role,
    scope: Scope | None,
) -> None:
    caller = browser(role) if scope is None else program(role, scope)
    actor = actor_for(caller.user)
    if scope is not None:
        actor = type(actor)(actor.user_id, actor.name, actor.role, token_id="t", scope=scope)
    for rule, method, url in _routes(app):
        if rule.endpoint not in API or method not in {"GET", "POST"}:
            continue
        answer = caller.get(url) if method == "GET" else caller.post(url, {})
        code = answer.json["code"] if answer.mimetype == "application/problem+json" else None
        allowed = code not in {"forbidden", "may_not_trust"}
        assert answer.status_code != 401
        assert allowed == actor.may(API[rule.endpoint]), f"{method} {url} as {role} {scope}: {answer.status_code}"


def _addresses(job: int) -> list[tuple[str, str]]:
    base = f"/api/v1/jobs/{job}"
    reads = ("", "/roster", "/grid", "/delta", "/hosts", "/hosts/0", "/hosts/web1", "/hosts/0/output", "/hosts/0/raw")
    more = (
        "/groups",
        "/groups/abc",
        "/groups/abc/diff",
        "/groups/abc/spread",
        "/search?q=x",
        "/export?format=zip",
        "/host-keys",
        "/lineage",
        "/timeline",
        "/timeline/bars",
        "/hosts/0/attempts",
        "/events",
        "/delta?since=1&wait=20",
        "?since=1&wait=20",
    )
    pages = (f"/jobs/{job}", f"/jobs/{job}/h/web1")
    verbs = ("pause", "resume", "continue", "check", "cancel", "rerun", "title")
    writes = (*(f"{base}/{verb}" for verb in verbs), f"/jobs/{job}/cancel")
    gets = [("GET", f"{base}{part}") for part in (*reads, *more)] + [("GET", page) for page in pages]
    return gets + [("POST", write) for write in writes]


def test_another_persons_job_does_not_exist(app: Flask, browser: Callable[..., Browser], operator: Program) -> None:
    job = operator.launch()
    other = browser(Role.OPERATOR)
    for method, url in _addresses(job):
        body = {"/rerun": {"states": ["q"]}, "/title": {"title": "x"}}.get(url[url.rindex("/") :], {})
        answer = other.get(url) if method == "GET" else other.post(url, body if "/api/" in url else None)
        missing = other.get(url.replace(f"jobs/{job}", "jobs/999")) if method == "GET" else None
        assert answer.status_code == 404, f"{method} {url}: {answer.status_code}"
        if missing is not None:
            assert missing.status_code == 404, url
    assert other.get("/api/v1/jobs").json["jobs"] == []
    assert operator.get(f"jobs/{job}").json["counts"]["q"] == 3


def test_another_persons_results_are_no_targets(operator: Program, program: Callable[..., Program]) -> None:
    job = operator.launch()
    assert operator.post("resolve", {"targets": f"state(q):#{job}"}).json["count"] == 3
    assert program().post("resolve", {"targets": f"state(q):#{job}"}).status_code == 422


def test_an_approver_sees_all_jobs(operator: Program, program: Callable[..., Program]) -> None:
    job = operator.launch()
    assert program(Role.APPROVER).get(f"jobs/{job}").status_code == 200


def test_another_persons_token_does_not_exist(program: Callable[..., Program], browser: Callable[..., Browser]) -> None:
    token_id = program().token.split("_")[1]
    assert browser().client.delete(
        f"/api/v1/tokens/{token_id}", headers={"X-CSRFToken": browser().form_token}
    ).status_code in {403, 404}
    other = browser()
    answer = other.client.delete(f"/api/v1/tokens/{token_id}", headers={"X-CSRFToken": other.form_token})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "jobs/0",
        "jobs/-1",
        "jobs/1.5",
        "jobs/99999999999999999999999999",
        "jobs/9223372036854775807",
        "jobs/../../etc/passwd",
        "jobs/%2e%2e%2f",
        "jobs/1/hosts/..%2f..%2fetc%2fpasswd/raw",
        "jobs/1/hosts//raw",
        "jobs/1/hosts/%00/raw",
        "jobs/1/hosts/0?q=%00",
        "jobs/%00",
    ],
)
def test_an_address_that_names_nothing_is_no_fault_of_ours(operator: Program, path: str) -> None:
    operator.launch()
    answer = operator.get(path)
    assert answer.status_code in {404, 422} or answer.status_code == 308, answer.status_code
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Bearer opsc_a_b", "Basic YTpi", "Bearer opsc_%s", "bearer  ", "Bearer \u00e4"],
)
def test_a_wrong_token_is_refused_and_no_cookie_stands_in(browser: Callable[..., Browser], header: str) -> None:
    caller = browser()
    assert caller.get("/api/v1/jobs").status_code == 200
    if header:
        answer = caller.get("/api/v1/jobs", headers={"Authorization": header.encode("latin-1").decode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_stops_at_once(operator: Program, database: Database, clock: FakeClock) -> None:
    assert operator.get("jobs").status_code == 200
    with database.transaction() as session:
        revoke_token(session, operator.token.split("_")[1], actor=actor_for(operator.user), now=clock.now())
    answer = operator.get("jobs")
    assert (answer.status_code, answer.json["code"]) == (401, "token_revoked")


def test_a_disabled_person_stops_at_once(
    operator: Program, browser: Callable[..., Browser], database: Database, clock: FakeClock
) -> None:
    caller = browser()
    for user, ask in ((operator.user, lambda: operator.get("jobs")), (caller.user, lambda: caller.get("/api/v1/jobs"))):
        assert ask().status_code == 200
        with database.transaction() as session:
            disable_user(session, session.merge(user), actor=None, now=clock.now())
        assert ask().status_code == 401


def test_a_session_ends_by_sign_out_and_by_idling(
    browser: Callable[..., Browser], database: Database, clock: FakeClock
) -> None:
    ended, idle = browser(), browser()
    with database.transaction() as session:
        close_session(session, ended.cookie)
    assert ended.get("/api/v1/jobs").status_code == 401
    clock.advance(3600)
    assert idle.get("/api/v1/jobs").status_code == 200
    clock.advance(12 * 3600 + 60)
    assert idle.get("/api/v1/jobs").status_code == 401


def test_use_is_noted_at_most_once_a_minute(operator: Program, database: Database, clock: FakeClock) -> None:
    for _ in range(3):
        operator.get("tokens")
    (first,) = operator.get("tokens").json["tokens"]
    clock.advance(61)
    (second,) = operator.get("tokens").json["tokens"]
    assert first["used_at"] == "2026-03-01T12:00:00.000Z"
    assert second["used_at"] == "2026-03-01T12:01:01.000Z"
