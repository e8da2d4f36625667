"""Probes and logs."""

import json
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import text

from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings
from opsconsole.web.app import create_app
from tests.functional.api.callers import Program


def test_a_probe_asks_nobody(app: Flask) -> None:
    assert app.test_client().get("/healthz").json == {"status": "ok"}


def test_ready_means_the_schema_is_there(app: Flask, database: Database) -> None:
    assert app.test_client().get("/readyz").json == {"status": "ok"}
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "unavailable", "code": "schema"})


def test_without_its_database_the_web_says_so(runtime: Runtime, settings: Settings) -> None:
    lost = Database(f"sqlite:///{settings.data_dir}/nowhere/none.db")
    app = create_app(Runtime(settings, lost, runtime.clock, runtime.cipher, runtime.dispatcher))
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json["code"] == "database"
    answer = client.get("/api/v1/jobs", headers={"Authorization": "Bearer opsc_a_b"})
    assert (answer.status_code, answer.json["code"]) == (503, "database")
    assert answer.json["detail"] == "The database does not answer. Try again in a moment."
    lost.close()


@pytest.fixture
def logged(runtime: Runtime, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Makes an application that logs, runs ``act`` on it, and returns the lines."""

    def run(act: Callable[[Flask], object], *, as_json: bool = True) -> list[str]:
        settings = runtime.settings.model_copy(update={"log_json": as_json, "log_level": "INFO"})
        app = create_app(Runtime(settings, runtime.database, runtime.clock, runtime.cipher, runtime.dispatcher))
        capsys.readouterr()
        act(app)
        return capsys.readouterr().err.splitlines()

    return run


def test_a_request_is_one_line_that_names_who_and_what(logged: Callable[..., list[str]], operator: Program) -> None:
    def act(app: Flask) -> None:
        Program(app.test_client(), operator.user, operator.token).get("jobs?q=secretish")

    (line,) = logged(act)
    entry = json.loads(line)
    assert (entry["event"], entry["path"], entry["status"]) == ("request", "/api/v1/jobs", 200)
    assert entry["user"] == operator.user.name
    assert entry["token"] == operator.token.split("_")[1]
    assert "secretish" not in line


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_a_caller_sends_breaks_a_line_or_leaks(
    logged: Callable[..., list[str]], operator: Program, as_json: bool
) -> None:
    password = "Correct-Horse-77"

    def act(app: Flask) -> None:
        caller = Program(app.test_client(), operator.user, operator.token)
        caller.get("/x\nrequest status=200 user='root'\x1b[2J\u202e\u2028")
        caller.get("/login?once=4F9K-22QX-7HWM-03TC")
        caller.post("jobs", {"targets": "w1", "command": "id", "credential": "password", "password": password})
        caller.post("jobs", {"targets": "w[", "command": "id", "credential": "password", "password": password})

    lines = logged(act, as_json=as_json)
    assert len(lines) == 4
    text = "\n".join(lines)
    for hidden in (password, operator.token, operator.token.split("_", 2)[2], "4F9K", "\x1b", "\u202e", "\u2028"):
        assert hidden not in text


def test_an_expected_refusal_is_one_line_without_a_trace(logged: Callable[..., list[str]], operator: Program) -> None:
    def act(app: Flask) -> None:
        def refuse() -> None:
            raise Unavailable("Too many streams.", code="streams_full")

        view = app.view_functions["api.fleet.list_workers"]
        refuse.__dict__["opsconsole_access"] = view.__dict__["opsconsole_access"]
        app.view_functions["api.fleet.list_workers"] = refuse
        answer = Program(app.test_client(), operator.user, operator.token).get("workers")
        assert answer.status_code == 503

    refusal, request = (json.loads(line) for line in logged(act))
    assert (refusal["level"], refusal["code"], refusal["detail"]) == ("warning", "streams_full", "Too many streams.")
    assert "exception" not in refusal
    assert refusal["request_id"] == request["request_id"]


def test_a_failure_is_logged_with_its_trace_and_without_what_people_typed(
    logged: Callable[..., list[str]], operator: Program, database: Database
) -> None:
    typed = "typed-by-a-person"

    def act(app: Flask) -> None:
        def fail() -> None:
            with database.transaction() as session:
                insert = "INSERT INTO users (id, name, role, created_at) VALUES (1, :x, 'viewer', '2026-01-01')"
                session.execute(text(insert), {"x": typed})

        view = app.view_functions["api.fleet.list_workers"]
        fail.__dict__["opsconsole_access"] = view.__dict__["opsconsole_access"]
        app.view_functions["api.fleet.list_workers"] = fail
        answer = Program(app.test_client(), operator.user, operator.token).get("workers")
        assert answer.status_code == 500

    failure, request = (json.loads(line) for line in logged(act))
    assert failure["level"] == "error"
    assert "constraint failed: users" in failure["exception"]
    assert typed not in failure["exception"]
    assert failure["request_id"] == request["request_id"]
