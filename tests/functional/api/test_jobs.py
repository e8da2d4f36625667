"""Orders and jobs by JSON."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.credentials.models import JobSecret
from opsconsole.db.database import Database
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import RunState
from tests.functional.api.callers import Program
from tests.functional.api.conftest import CountingDispatcher
from tests.functional.api.play import Play

PROBLEM = "application/problem+json"


def _jobs(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_a_look_at_an_order_tells_its_size_and_writes_nothing(operator: Program, database: Database) -> None:
    answer = operator.post("resolve", {"targets": "web[01-20]", "exclude": "web03", "command": "uptime"})
    assert answer.status_code == 200
    assert answer.json["count"] == 19
    assert answer.json["excluded_count"] == 1
    assert answer.json["digest"].startswith("sha256:")
    assert answer.json["risk"]["tier"] == 1
    assert answer.json["waves"] is None
    shown = operator.post("resolve", {"targets": "web[1-10]", "waves": "10% *2", "canary": "1"}).json["waves"]
    assert [wave["size"] for wave in shown] == [1, 1, 2, 4, 2]
    pasted = "\n".join(["web1", "", *(f"web{n}" for n in range(2, 13)), "web3", "web4", " "])
    told = operator.post("resolve", {"targets": pasted}).json
    assert (told["lines"], told["count"], told["duplicates"]) == (14, 12, 2)
    assert _jobs(database) == 0


def test_an_order_becomes_a_job_and_workers_are_nudged_after_it(
    operator: Program, dispatcher: CountingDispatcher
) -> None:
    answer = operator.post("jobs", {"targets": "web[1-3]", "command": "uptime"})
    assert answer.status_code == 201
    job = answer.json["id"]
    assert answer.json["url"] == f"/jobs/{job}"
    assert answer.headers["Location"] == f"/api/v1/jobs/{job}"
    assert dispatcher.nudges == 1
    status = operator.get(f"jobs/{job}").json
    assert status["counts"] == {"q": 3, "c": 0, "r": 0, "o": 0, "f": 0, "k": 0, "u": 0, "x": 0, "s": 0, "l": 0}
    assert status["targets"]["count"] == 3
    assert status["by"] == operator.user.name
    assert status["links"]["events"] == f"/api/v1/jobs/{job}/events"


def test_options_arrive_in_seconds(operator: Program) -> None:
    timeouts = {"connect_ms": 2500, "command_ms": 60000, "idle_ms": 1000}
    job = operator.launch(concurrency=7, max_failures="5%", timeouts=timeouts, title="A title", user="root")
    status = operator.get(f"jobs/{job}").json
    assert status["title"] == "A title"
    assert status["options"]["concurrency"] == 7
    assert status["options"]["max_failures"] == "5%"
    assert [status["options"][f"{name}_timeout"] for name in ("connect", "command", "idle")] == [2.5, 60.0, 1.0]
    assert operator.get(f"jobs/{operator.launch(max_failures=2)}").json["options"]["max_failures"] == "2"


def test_the_same_key_is_the_same_job(
    operator: Program, program: Callable[..., Program], database: Database, dispatcher: CountingDispatcher
) -> None:
    order = {"targets": "web1", "command": "uptime"}
    first = operator.post("jobs", order, headers={"Idempotency-Key": "abc"})
    second = operator.post("jobs", order, headers={"Idempotency-Key": "abc"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json == second.json
    other = program().post("jobs", order, headers={"Idempotency-Key": "abc"})
    assert other.json["id"] != first.json["id"]
    assert _jobs(database) == 2
    assert operator.post("jobs", order, headers={"Idempotency-Key": "x" * 101}).status_code == 422


@pytest.mark.parametrize(
    ("order", "status", "field"),
    [
        ({"targets": "", "command": "uptime"}, 422, "targets"),
        ({"targets": "web[1-", "command": "uptime"}, 422, "targets"),
        ({"targets": "web[5-1]", "command": "uptime"}, 422, "targets"),
        ({"targets": "[0-999999999]", "command": "uptime"}, 422, "targets"),
        ({"targets": "web[1-20000]", "command": "uptime"}, 422, "targets"),
        ({"targets": "-oProxyCommand=x", "command": "uptime"}, 422, "targets"),
        ({"targets": "a;b|c", "command": "uptime"}, 422, "targets"),
        ({"targets": "@nosuchgroup", "command": "uptime"}, 422, "targets"),
        ({"targets": "web\x001", "command": "uptime"}, 422, "targets"),
        ({"targets": "web1", "command": "up\x00time"}, 422, "command"),
        ({"targets": "web1", "command": ""}, 422, "command"),
        ({"targets": "web1", "command": "x" * 300 * 1024}, 413, "command"),
        ({"targets": "web1"}, 422, "command"),
        ({"targets": ["web1"], "command": "uptime"}, 422, "targets"),
        ({"targets": "web1", "command": "uptime", "concurrency": 0}, 422, "concurrency"),
        ({"targets": "web1", "command": "uptime", "max_failures": "many"}, 422, "max_failures"),
        ({"targets": "web1", "command": "uptime", "credential": "key:none"}, 422, "credential"),
        ({"targets": "web1", "command": "uptime", "user": "-oX"}, 422, "user"),
        ({"targets": "web1", "command": "uptime", "user": "a b"}, 422, "user"),
        ({"targets": "web1", "command": "uptime", "password": "hunter2"}, 422, "password"),
        ({"targets": "web1", "command": "uptime", "timeouts": {"connect_ms": -1}}, 422, "timeouts.connect_ms"),
        ({"targets": "web1", "command": "uptime", "become": "root"}, 422, "become"),
        ({"targets": "web1", "command": "uptime", "waves": [1, 2]}, 422, "waves"),
    ],
)
def test_a_bad_order_is_refused_with_its_field_and_starts_nothing(
    operator: Program, database: Database, order: dict[str, Any], status: int, field: str
) -> None:
    answer = operator.post("jobs", order)
    assert answer.status_code == status, answer.json
    assert answer.mimetype == PROBLEM
    assert field in [fault["field"] for fault in answer.json["errors"]]
    assert len(answer.json["detail"]) < 1000
    assert _jobs(database) == 0


def test_a_broken_host_list_names_the_column(operator: Program) -> None:
    (fault,) = operator.post("resolve", {"targets": "web1,web[5-1]"}).json["errors"]
    assert fault["column"] is not None
    assert fault["column"] > 5


def test_changed_targets_are_a_conflict(operator: Program, database: Database) -> None:
    order = {"targets": "web[1-3]", "command": "uptime"}
    seen = operator.post("resolve", order).json
    expected = {"count": seen["count"], "digest": seen["digest"]}
    stale = operator.post("jobs", {**order, "targets": "web[1-4]", "expect": expected})
    assert stale.status_code == 409
    assert stale.json["code"] == "target_changed"
    assert _jobs(database) == 0
    assert operator.post("jobs", {**order, "expect": expected}).status_code == 201


def test_a_large_order_needs_its_size_typed(operator: Program, database: Database) -> None:
    order = {"targets": "web[1-120]", "command": "uptime"}
    asked = operator.post("jobs", order)
    assert asked.status_code == 428
    assert asked.json["code"] == "confirmation_required"
    assert asked.json["risk"]["tier"] >= 2
    assert operator.post("jobs", {**order, "confirm": 119}).status_code == 428
    assert _jobs(database) == 0
    assert operator.post("jobs", {**order, "confirm": asked.json["risk"]["confirm"]}).status_code == 201


def test_a_password_is_sealed_and_never_shown(operator: Program, database: Database) -> None:
    canary = "Correct-Horse-77"
    job = operator.launch(credential="password", password=canary)
    assert canary not in operator.get(f"jobs/{job}").text
    assert canary not in operator.get(f"jobs/{job}/hosts").text
    with database.read() as session:
        (secret,) = session.scalars(select(JobSecret))
        assert canary.encode() not in secret.sealed
    refused = operator.post("jobs", {"targets": "web[1-", "command": "x", "credential": "password", "password": canary})
    assert canary not in refused.text
    wrong_type = operator.post("jobs", {"targets": "web1", "command": "x", "password": [canary]})
    assert wrong_type.status_code == 422
    assert canary not in wrong_type.text


def test_status_is_conditional(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    first = operator.get(f"jobs/{job}")
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    assert tag.endswith(f'.{first.json["ver"]}"')
    unchanged = operator.get(f"jobs/{job}", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    play(job).start(0)
    changed = operator.get(f"jobs/{job}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json["counts"]["r"] == 1
    assert changed.json["ver"] > first.json["ver"]


def test_the_list_is_newest_first_and_filtered(operator: Program) -> None:
    older, newer = operator.launch("web1", "uptime"), operator.launch("db[1-2]", "df -h")
    listed = operator.get("jobs").json
    assert [job["id"] for job in listed["jobs"]] == [newer, older]
    assert listed["next"] is None
    page = operator.get("jobs?limit=1").json
    assert page["next"] == newer
    assert [job["id"] for job in operator.get(f"jobs?before={page['next']}").json["jobs"]] == [older]
    assert [job["id"] for job in operator.get("jobs?q=df").json["jobs"]] == [newer]
    assert [job["id"] for job in operator.get("jobs?host=db2").json["jobs"]] == [newer]
    assert operator.get("jobs?state=running").json["jobs"] == []
    assert operator.get("jobs?state=flying").status_code == 422
    assert operator.get("jobs?limit=0").status_code == 422


def test_cancel_ends_what_has_not_started_and_may_be_repeated(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    play(job).start(0)
    answer = operator.post(f"jobs/{job}/cancel")
    assert answer.status_code == 200
    assert answer.json["state"] == "stopping"
    assert (answer.json["counts"]["x"], answer.json["counts"]["r"]) == (2, 1)
    assert operator.post(f"jobs/{job}/cancel").status_code == 200
    play(job).end(0, state=RunState.CANCELLED, reason="killed")
    ended = operator.get(f"jobs/{job}").json
    assert (ended["state"], ended["stop_reason"]) == ("cancelled", "operator")
    assert operator.post(f"jobs/{job}/cancel").json["state"] == "cancelled"


def test_some_hosts_are_cancelled(operator: Program) -> None:
    job = operator.launch()
    assert operator.post(f"jobs/{job}/cancel", {"hosts": ["web2"]}).json["counts"]["x"] == 1
    assert operator.post(f"jobs/{job}/cancel", {"hosts": ["other"]}).status_code == 422


def test_rerun_takes_the_hosts_in_the_named_states(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    play(job).start(0, 1, 2)
    play(job).end(0, 2)
    play(job).end(1, state=RunState.FAILED, exit_status=3, reason="exit_status")
    answer = operator.post(f"jobs/{job}/rerun", {"states": ["f"]}, headers={"Idempotency-Key": "again"})
    assert answer.status_code == 201
    assert answer.json["rerun_of"] == job
    assert answer.json["targets"]["folded"] == "web2"
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    twice = operator.post(f"jobs/{job}/rerun", {"states": ["f"]}, headers={"Idempotency-Key": "again"})
    assert (twice.status_code, twice.json["id"]) == (200, answer.json["id"])
    assert operator.post(f"jobs/{job}/rerun", {"states": ["u"]}).status_code == 422
    assert operator.post(f"jobs/{job}/rerun", {"states": ["nonsense"]}).status_code == 422
    assert operator.post(f"jobs/{job}/rerun", {}).status_code == 422


def test_a_viewer_and_a_reading_token_look_but_do_not_run(program: Callable[..., Program]) -> None:
    for caller in (program(Role.VIEWER), program(Role.ADMIN, Scope.READ)):
        assert caller.post("jobs", {"targets": "web1", "command": "uptime"}).status_code == 403
        assert caller.get("jobs").status_code == 200


@pytest.mark.parametrize(
    ("body", "mimetype", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b'"text"', "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"targets=web1&command=uptime", "application/x-www-form-urlencoded", 415),
        (b"<order/>", "text/xml", 415),
        (b"", "application/json", 422),
        (b'{"targets": "web\\ud800", "command": "x"}', "application/json", 422),
        (b'{"targets": "web1", "command": "x", "concurrency": 1e999}', "application/json", 422),
        (b'{"targets": "web1", "command": "x", "concurrency": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
def test_a_body_that_is_no_order_is_refused(operator: Program, body: bytes, mimetype: str, status: int) -> None:
    answer = operator.post("jobs", data=body, content_type=mimetype)
    assert answer.status_code == status, answer.text[:500]
    assert answer.mimetype == PROBLEM
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_a_body_that_is_no_json_is_refused_with_the_place_of_the_fault(operator: Program) -> None:
    body = b'{"targets": "web1",\n "command": "uptime",}'
    answer = operator.post("jobs", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert answer.json["detail"].endswith("at line 2, column 22."), answer.json["detail"]
    assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["column"]) == ("body", 22)
    latin = operator.post("jobs", data=b'{"command": "gr\xfc\xdfe"}', content_type="application/json")
    assert latin.json["detail"] == "The body is no JSON: byte 16 is not UTF-8."
