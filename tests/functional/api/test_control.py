"""Pause, resume, continue and cancel by JSON, the emergency stop, and the queue."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.db.database import Database
from opsconsole.jobs import dispatch, recover, stages, transitions
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import JobState, RunState
from tests.functional.api.callers import Program
from tests.functional.api.conftest import CountingDispatcher
from tests.functional.api.play import Play
from tests.support.clock import FakeClock


def _post(caller: Program, path: str, body: dict[str, Any] | None = None, *, status: int = 200) -> dict[str, Any]:
    answer = caller.post(path, body or {})
    assert answer.status_code == status, answer.json
    body = answer.json
    assert body is not None
    return body


def _audited(database: Database, action: str) -> list[dict[str, Any]]:
    with database.read() as session:
        return list(session.scalars(select(AuditRecord.detail).where(AuditRecord.action == action)))


def _queue_up(database: Database, clock: FakeClock, job: int, *places: int) -> None:
    """Lets hosts be published, as a dispatcher would."""
    with database.transaction() as session:
        transitions.move_job(session, job, JobState.RUNNING, {"started_at": clock.now()})
        values = {"queued_at": clock.now(), "next_publish_at": clock.now(), "publishes": 1}
        transitions.move_many(
            session, job, RunState.PENDING, RunState.QUEUED, values, clock.now(), indices=list(places)
        )


def _states(database: Database, job: int) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(HostRun.state).where(HostRun.job_id == job).order_by(HostRun.i)))


def _workers(database: Database, clock: FakeClock, slots: int) -> None:
    with database.transaction() as session:
        recover.register(session, "w1", name="here:w1:1", pid=1, slots=slots, version="1", now=clock.now())


def _waves(database: Database, job: int, **values: Any) -> None:
    """Cuts a job of three hosts into three waves and lets it stand as a dispatcher would have left it."""
    with database.transaction() as session:
        plan = [{"size": 1, "kind": kind} for kind in ("canary", "wave", "wave")]
        session.execute(update(Job).where(Job.id == job).values(plan=plan, **values))
        session.execute(update(HostRun).where(HostRun.job_id == job).values(wave=HostRun.i))


def test_pause_takes_back_what_nobody_has_taken_up_and_resume_gives_it_out_again(
    operator: Program, database: Database, clock: FakeClock, play: Callable[[int], Play], dispatcher: CountingDispatcher
) -> None:
    job = operator.launch()
    play(job).start(0)
    _queue_up(database, clock, job, 1)
    status = _post(operator, f"jobs/{job}/pause")
    assert status["state"] == "paused"
    assert status["pause"] == {"reason": "operator", "by": operator.user.name}
    assert status["waiting"]["code"] == "paused"
    assert _states(database, job) == ["running", "pending", "pending"]
    assert _post(operator, f"jobs/{job}/pause")["state"] == "paused"
    assert len(_audited(database, "job.pause")) == 1
    nudges = dispatcher.nudges
    status = _post(operator, f"jobs/{job}/resume")
    assert (status["state"], status["pause"]) == ("running", None)
    assert dispatcher.nudges == nudges + 1
    _post(operator, f"jobs/{job}/resume")
    assert len(_audited(database, "job.resume")) == 1


def test_a_job_paused_before_it_began_begins_at_its_resume(
    operator: Program, database: Database, clock: FakeClock
) -> None:
    job = operator.launch()
    _workers(database, clock, 10)
    _post(operator, f"jobs/{job}/pause")
    with database.transaction() as session:
        assert dispatch.sweep(session, clock.now(), slots=10) == []
    assert _post(operator, f"jobs/{job}/resume")["started_at"] is not None
    with database.transaction() as session:
        assert len(dispatch.sweep(session, clock.now(), slots=10)) == 3


def test_the_last_host_of_a_paused_job_ends_it(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch("web1")
    play(job).start(0)
    _post(operator, f"jobs/{job}/pause")
    play(job).end(0)
    assert operator.get(f"jobs/{job}").json["state"] == "succeeded"
    for verb in ("pause", "resume", "continue"):
        assert _post(operator, f"jobs/{job}/{verb}", status=409)["code"] == "job_ended"
    assert _post(operator, f"jobs/{job}/cancel")["state"] == "succeeded"


def test_hosts_can_be_held_back_and_let_go(
    operator: Program, database: Database, clock: FakeClock, play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    _workers(database, clock, 10)
    _queue_up(database, clock, job, 0, 1)
    seen = operator.get(f"jobs/{job}").json["ver"]
    _post(operator, f"jobs/{job}/pause", {"hosts": ["WEB2", "web3"]})
    assert _states(database, job) == ["queued", "pending", "pending"]
    rows = operator.get(f"jobs/{job}/hosts").json["rows"]
    assert [row["held"] for row in rows] == [False, True, True]
    assert {row[0] for row in operator.get(f"jobs/{job}/delta?since={seen}").json["h"]} >= {1, 2}
    with database.transaction() as session:
        transitions.move_many(session, job, RunState.QUEUED, RunState.PENDING, {}, clock.now())
    play(job).start(0)
    play(job).end(0)
    assert operator.get(f"jobs/{job}").json["waiting"]["code"] == "held_hosts"
    _post(operator, f"jobs/{job}/resume")
    assert sum(row["held"] for row in operator.get(f"jobs/{job}/hosts").json["rows"]) == 2
    _post(operator, f"jobs/{job}/resume", {"hosts": ["web2"]})
    _post(operator, f"jobs/{job}/resume", {"held": True})
    assert not any(row["held"] for row in operator.get(f"jobs/{job}/hosts").json["rows"])
    for wrong in ("web9", "web[2-9]", "web[2-"):
        assert _post(operator, f"jobs/{job}/pause", {"hosts": [wrong]}, status=422)["errors"][0]["field"] == "hosts"
    _post(operator, f"jobs/{job}/pause", {"hosts": ["web[2-3]"]})
    _post(operator, f"jobs/{job}/resume", {"hosts": ["w*3"]})
    # A filter passes over what is not in the job; whoever names hosts to act on is told.
    rows = operator.get(f"jobs/{job}/hosts?q=web[2-9]").json["rows"]
    assert [row["held"] for row in rows] == [True, False]


def test_a_wave_is_a_choice_of_hosts(operator: Program, database: Database) -> None:
    job = operator.launch()
    _waves(database, job)
    _post(operator, f"jobs/{job}/pause", {"wave": 1})
    assert [row["held"] for row in operator.get(f"jobs/{job}/hosts").json["rows"]] == [False, True, False]
    assert _post(operator, f"jobs/{job}/cancel", {"wave": 2})["counts"]["x"] == 1
    assert _states(database, job) == ["pending", "pending", "cancelled"]
    assert _post(operator, f"jobs/{job}/pause", {"wave": 3}, status=422)["detail"] == f"Job {job} has the waves 0 to 2."
    assert _post(operator, f"jobs/{job}/cancel", {"wave": 0, "hosts": ["web1"]}, status=422)
    assert _post(operator, f"jobs/{job}/cancel", {"grace_s": 301}, status=422)


def test_continue_passes_one_gate_and_no_second(operator: Program, database: Database) -> None:
    job = operator.launch()
    _waves(database, job, state=JobState.PAUSED.value, pause_reason="canary")
    status = operator.get(f"jobs/{job}").json
    assert status["waves"] == {
        "now": 0,
        "hold_ms": None,
        "list": [{"size": 1, "kind": k} for k in ("canary", "wave", "wave")],
    }
    assert "canary" in status["waiting"]["text"]
    assert _post(operator, f"jobs/{job}/resume", status=409)["code"] == "waits_for_continue"
    status = _post(operator, f"jobs/{job}/continue", {"wave": 0})
    assert (status["state"], status["waves"]["now"]) == ("running", 1)
    _waves(database, job, state=JobState.PAUSED.value, pause_reason="wave")
    status = _post(operator, f"jobs/{job}/continue", {"wave": 0})
    assert (status["state"], status["waves"]["now"]) == ("paused", 1)
    assert len(_audited(database, "job.continue")) == 1


def test_continue_after_a_wave_that_does_not_exist_or_is_not_reached_is_refused(
    operator: Program, database: Database
) -> None:
    job = operator.launch()
    _waves(database, job, wave=1, hold_ms=60_000)
    answer = _post(operator, f"jobs/{job}/continue", {"wave": 7}, status=422)
    assert answer["errors"][0]["field"] == "wave"
    assert "the waves 0 to 2" in answer["detail"]
    assert _post(operator, f"jobs/{job}/continue", {"wave": 2}, status=409)["code"] == "wave_not_reached"
    assert operator.get(f"jobs/{job}").json["waves"]["hold_ms"] == 60_000
    assert _audited(database, "job.continue") == []


def test_continue_ends_the_pause_between_two_waves_and_not_a_persons(
    operator: Program, database: Database, clock: FakeClock
) -> None:
    job = operator.launch()
    _workers(database, clock, 10)
    _waves(database, job, state=JobState.RUNNING.value, wave=1, hold_ms=25_000)
    assert operator.get(f"jobs/{job}").json["waiting"]["text"] == "The next wave starts in 25 s."
    assert _post(operator, f"jobs/{job}/continue")["waves"]["hold_ms"] is None
    _post(operator, f"jobs/{job}/pause")
    assert _post(operator, f"jobs/{job}/continue", status=409)["code"] == "paused"


def test_a_persons_pause_at_a_gate_comes_before_the_gate(
    operator: Program, database: Database, clock: FakeClock, play: Callable[[int], Play]
) -> None:
    job = operator.launch(waves="1", wave_gate="manual")
    play(job).start(0)
    play(job).end(0)
    with database.transaction() as session:
        transitions.lock_job(session, job)
        stages.advance(session, job, clock.now())
    assert operator.get(f"jobs/{job}").json["pause"] == {"reason": "wave", "by": None}
    for _ in range(2):
        assert _post(operator, f"jobs/{job}/pause")["pause"] == {"reason": "operator", "by": operator.user.name}
    assert _post(operator, f"jobs/{job}/continue", status=409)["code"] == "paused"
    status = _post(operator, f"jobs/{job}/resume")
    assert (status["state"], status["pause"]) == ("paused", {"reason": "wave", "by": None})
    assert status["waves"]["now"] == 0
    status = _post(operator, f"jobs/{job}/continue", {"wave": 0})
    assert (status["state"], status["waves"]["now"]) == ("running", 1)


def test_the_emergency_stop_cancels_everybodys_jobs_and_keeps_new_ones_waiting(
    operator: Program, program: Callable[..., Program], database: Database, play: Callable[[int], Play]
) -> None:
    other, admin = program(Role.OPERATOR), program(Role.ADMIN)
    mine, theirs = operator.launch(), other.launch()
    play(theirs).start(1)
    held = _post(operator, "hold", {"reason": "wrong package"})
    assert (held["held"], held["by"], held["reason"]) == (True, operator.user.name, "wrong package")
    assert held["cancelled"] == [mine, theirs]
    assert _states(database, mine) == ["cancelled"] * 3
    assert other.get(f"jobs/{theirs}").json["state"] == "stopping"
    later = other.launch()
    assert other.get(f"jobs/{later}").json["waiting"]["code"] == "console_held"
    assert _post(other, "hold", {"reason": "me too", "cancel": False})["by"] == operator.user.name
    assert [detail["jobs"] for detail in _audited(database, "console.hold")] == [[mine, theirs]]
    assert other.delete("hold").status_code == 403
    assert admin.delete("hold").json == {"held": False, "at": None, "by": None, "reason": None}
    assert admin.delete("hold").status_code == 200
    assert len(_audited(database, "console.lift")) == 1
    assert other.get(f"jobs/{later}").json["waiting"]["code"] == "no_workers"


def test_viewers_and_reading_tokens_stop_nothing(operator: Program, program: Callable[..., Program]) -> None:
    job = operator.launch()
    for caller in (program(Role.VIEWER), program(Role.ADMIN, Scope.READ)):
        for path in ("hold", f"jobs/{job}/pause", f"jobs/{job}/continue"):
            assert caller.post(path, {}).status_code == 403
        assert caller.get("queue").status_code == 200
    assert operator.get("hold").json["held"] is False


def test_the_queue_tells_places_slots_and_reasons(
    operator: Program,
    program: Callable[..., Program],
    database: Database,
    clock: FakeClock,
    play: Callable[[int], Play],
) -> None:
    first = operator.launch("web[1-3]", concurrency=2)
    second, third = operator.launch(), program(Role.APPROVER).launch()
    _workers(database, clock, 2)
    play(first).start(0, 1)
    view = operator.get("queue").json
    assert view["slots"] == {"total": 2, "busy": 2, "free": 0}
    assert view["backlog"] == {"hosts": 7, "since": operator.get(f"jobs/{first}").json["created_at"]}
    assert [(job["id"], job["place"]) for job in view["jobs"]] == [(second, 2), (first, 3)]
    assert view["jobs"][0]["waits"]["text"] == "Waiting for a free slot: 1 job ahead, 2 of 2 slots busy"
    assert view["jobs"][1]["waits"] is None
    assert (view["jobs"][1]["in_flight"], view["jobs"][1]["pending"]) == (2, 1)
    _post(operator, f"jobs/{second}/pause")
    assert operator.get("queue").json["backlog"]["hosts"] == 4
    assert operator.get("queue").json["jobs"][1]["place"] is None
    assert third in [job["id"] for job in program(Role.ADMIN).get("queue").json["jobs"]]


@pytest.mark.parametrize("name", ["127.0.0.1", "root@127.0.0.1:8990", "0"])
def test_a_host_is_found_by_its_bare_name_where_only_one_has_it(operator: Program, name: str) -> None:
    job = operator.launch("root@127.0.0.1:8990,web1:22,web1:23")
    assert operator.get(f"jobs/{job}/hosts/{name}").json["host"] == "root@127.0.0.1:8990"
    answer = operator.get(f"jobs/{job}/hosts/web1")
    assert (answer.status_code, answer.json["code"]) == (422, "ambiguous_host")
    assert "web1:22, web1:23" in answer.json["detail"]
    assert _post(operator, f"jobs/{job}/cancel", {"hosts": ["127.0.0.1"]})["counts"]["x"] == 1
    assert _post(operator, f"jobs/{job}/cancel", {"hosts": ["web1"]}, status=422)["code"] == "ambiguous_host"


def test_hosts_whose_end_is_not_known_can_be_looked_at(
    operator: Program, database: Database, play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    play(job).start(0, 1)
    play(job).end(0)
    play(job).end(1, state=RunState.LOST, reason="worker_lost")
    with database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job).values(mark="abc"))
    _post(operator, f"jobs/{job}/check")
    looks = [row["look"] and row["look"]["state"] for row in operator.get(f"jobs/{job}/hosts").json["rows"]]
    assert looks == [None, "asked", None]
    assert _post(operator, f"jobs/{job}/check", {"hosts": ["web3"]}, status=422)["code"] == "nothing_to_check"
    assert len(_audited(database, "job.check")) == 1
