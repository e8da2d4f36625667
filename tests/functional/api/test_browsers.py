"""What protects a person's browser: form tokens, origins, cookies and headers."""

from collections.abc import Callable

import pytest
from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.runtime import Runtime
from opsconsole.web.app import create_app
from tests.functional.api.callers import Browser, Program

ORDER = {"targets": "web1", "command": "uptime"}
OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


def test_the_own_page_may_act(browser: Callable[..., Browser]) -> None:
    assert browser().post("/api/v1/jobs", ORDER, headers=OWN).status_code == 201
    assert browser().post("/api/v1/jobs", ORDER).status_code == 201


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-CSRFToken": ""}, "csrf"),
        ({"X-CSRFToken": "wrong"}, "csrf"),
        ({"X-CSRFToken": "IjAxMjM0NTY3ODlhYmNkZWYi.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"}, "csrf"),
        ({"Origin": "http://evil.example"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Origin": "https://localhost"}, "origin"),
        ({"Origin": "http://localhost:81"}, "origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "origin"),
        ({"Sec-Fetch-Site": "same-site"}, "origin"),
    ],
)
def test_another_page_may_not(browser: Callable[..., Browser], headers: dict[str, str], code: str) -> None:
    answer = browser().post("/api/v1/jobs", ORDER, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, code)


def test_every_unsafe_route_checks_the_form_token(app: Flask, browser: Callable[..., Browser]) -> None:
    caller = browser(Role.ADMIN)
    checked = 0
    with app.test_request_context():
        urls = app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            for method in sorted((rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}):
                values = dict.fromkeys(rule.arguments, 1)
                url = urls.build(rule.endpoint, values, method=method)
                assert caller.client.open(url, method=method).status_code == 403, f"{method} {url}"
                foreign = {"X-CSRFToken": caller.form_token, "Origin": "http://evil.example"}
                assert caller.client.open(url, method=method, headers=foreign).status_code == 403, f"{method} {url}"
                checked += 1
    assert checked >= 8


def test_a_program_needs_no_form_token(operator: Program) -> None:
    assert operator.post("jobs", ORDER).status_code == 201


def test_reading_changes_nothing(app: Flask, operator: Program) -> None:
    job = operator.launch()
    before = operator.get(f"jobs/{job}").json
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api.control.") and "GET" not in (rule.methods or ()):
            assert operator.get(str(rule).split("<")[0] + f"{job}/cancel").status_code in {404, 405}
    assert operator.get(f"jobs/{job}").json == before


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/jobs", "/nothing", "/api/v1/nothing", "/static/none.css"])
def test_every_answer_carries_the_headers(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    policy = answer.headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["X-Request-ID"]
    assert "Strict-Transport-Security" not in answer.headers


def test_answers_are_not_stored(operator: Program) -> None:
    assert operator.get("jobs").headers["Cache-Control"] == "no-store"


def test_trace_is_off_and_other_methods_are_named(app: Flask) -> None:
    client = app.test_client()
    assert client.open("/healthz", method="TRACE").status_code == 405
    refused = client.post("/healthz")
    assert refused.status_code in {403, 405}
    assert client.open("/api/v1/jobs", method="TRACE").status_code in {401, 405}


def test_under_tls_cookies_are_bound_to_the_host(runtime: Runtime) -> None:
    settings = runtime.settings.model_copy(update={"behind_proxy": True})
    app = create_app(Runtime(settings, runtime.database, runtime.clock, runtime.cipher, runtime.dispatcher))
    answer = app.test_client().get(
        "/healthz",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "ops.example"},
    )
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    page = app.test_client().get("/login", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ops.example"})
    (cookie,) = page.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-opsconsole_form=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie


def test_without_the_setting_forwarded_headers_are_ignored(app: Flask) -> None:
    answer = app.test_client().get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert "Strict-Transport-Security" not in answer.headers


def test_an_unexpected_failure_tells_nothing(app: Flask, operator: Program, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise RuntimeError("canary-of-a-secret\x1b[31m")

    app.view_functions["api.fleet.list_workers"] = _marked_as(app, "api.fleet.list_workers", fail)
    answer = operator.get("workers")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "canary" not in answer.text


def _marked_as(app: Flask, endpoint: str, view: Callable[[], str]) -> Callable[[], str]:
    view.__dict__.update(app.view_functions[endpoint].__dict__)
    del view.__dict__["__wrapped__"]
    return view


def test_a_flood_of_sign_ins_is_refused_before_it_costs_anything(app: Flask, browser: Callable[..., Browser]) -> None:
    caller = browser()
    form = {"once": "AAAA-AAAA-AAAA-AAAA", "csrf_token": caller.form_token}
    answers = [caller.client.post("/login", data=form).status_code for _ in range(61)]
    assert answers[:60] == [401] * 60
    assert answers[60] == 429
    refused = caller.client.post("/login", data=form)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert caller.client.post("/login", data=form, environ_base={"REMOTE_ADDR": "203.0.113.5"}).status_code == 401
    assert caller.get("/login").status_code in {200, 303}
