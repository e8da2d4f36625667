"""A drained worker takes no run, keeps what it has, and is told apart from one that stops."""

from typing import Any

import pytest

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit.models import AuditRecord
from opsconsole.errors import Conflict, Forbidden, NotFound
from opsconsole.jobs import drain, queries, recover
from opsconsole.jobs.models import Job, WorkerProcess
from tests.support.desk import Desk, Hand


def drained(desk: Desk, name: str, by: Actor | None = None) -> dict[str, Any]:
    with desk.database.transaction() as session:
        return drain.drain(session, name, by or desk.actor, now=desk.clock.now())


def resumed(desk: Desk, name: str) -> dict[str, Any]:
    with desk.database.transaction() as session:
        return drain.resume(session, name, desk.actor, now=desk.clock.now())


def waits(desk: Desk, job_id: int) -> Any:
    with desk.database.read() as session:
        return queries.waiting(session, session.get_one(Job, job_id), now=desk.clock.now())


def listed(desk: Desk) -> dict[str, Any]:
    with desk.database.read() as session:
        return queries.workers(session)


def test_it_takes_nothing_more_and_the_others_get_the_message(desk: Desk, hand: Hand) -> None:
    other = desk.hand("w2")
    desk.order("web[1-2]", credential="key:test")
    first, second = desk.sweep()
    running = hand.start(*first)
    assert (drained(desk, "w1")["state"], drained(desk, hand.id)["busy"]) == ("draining", 1)
    assert hand.take(*second) is None
    assert second in desk.sweep()
    assert other.take(*second) is not None
    assert hand.finish(running)
    assert [worker["state"] for worker in listed(desk)["list"]] == ["drained", "working"]


def test_what_it_still_runs_takes_no_slot_from_the_others(desk: Desk, hand: Hand) -> None:
    small = desk.hand("w2", slots=2)
    job_id = desk.order("web[1-9]", credential="key:test", concurrency=9)
    for message in desk.sweep()[:5]:
        hand.start(*message)
    with desk.database.transaction() as session:
        recover.beat(session, hand.id, busy=5, draining=False, now=desk.clock.now())
    drained(desk, "w1")
    assert desk.slots() == listed(desk)["slots"] == 5 + 2
    small.start(*desk.sweep()[0] if desk.post.collect() else (desk.runs(job_id)[5].id, 1))
    assert desk.letters(job_id).count("r") == 6


def test_a_job_that_no_worker_takes_says_whose_drain_it_waits_for(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test")
    drained(desk, "w1")
    told = waits(desk, job_id)
    assert (told["code"], told["text"]) == ("workers_drained", "No worker takes runs: w1 is drained.")
    assert desk.sweep() == []
    desk.hand("w2")
    assert waits(desk, job_id)["code"] == "turn"
    drained(desk, "w2")
    assert waits(desk, job_id)["text"] == "No worker takes runs: w1 and w2 are drained."
    resumed(desk, "w2")
    assert len(desk.sweep()) == 2


def test_again_is_no_error_and_each_is_audited_once(desk: Desk, hand: Hand) -> None:
    colleague = desk.person(Role.ADMIN)
    assert drained(desk, "w1")["drained_by"] == drained(desk, "w1", colleague)["drained_by"] == desk.actor.name
    assert resumed(desk, "w1")["state"] == resumed(desk, "w1")["state"] == "working"
    with desk.database.read() as session:
        told = [row.action for row in session.query(AuditRecord) if row.action.startswith("worker.")]
    assert told == ["worker.drain", "worker.resume"]


def test_names_that_nobody_or_several_have(desk: Desk, hand: Hand) -> None:
    twins = {"there:w7:9": desk.hand("a"), "here:w7:8": desk.hand("b")}
    with desk.database.transaction() as session:
        for name, twin in twins.items():
            session.get_one(WorkerProcess, twin.id).name = name
    with pytest.raises(Conflict):
        drained(desk, "w7")
    assert drained(desk, "there:w7")["name"] == "there:w7:9"
    assert drained(desk, "here:w1:1")["state"] == "drained"
    for name in ("w9", "", "here"):
        with pytest.raises(NotFound):
            drained(desk, name)
    with pytest.raises(Forbidden):
        drained(desk, "w1", desk.person(Role.APPROVER))


def test_one_that_was_given_up_by_mistake_stays_drained_under_its_new_id(desk: Desk, hand: Hand) -> None:
    drained(desk, "w1")
    with desk.database.transaction() as session:
        session.get_one(WorkerProcess, hand.id).gone_at = desk.clock.now()
        new = {"name": "here:w1:1", "pid": 1, "slots": 5, "version": "1", "now": desk.clock.now()}
        recover.register(session, "new", former_id=hand.id, **new)
        session.flush()
        assert drain.is_drained(session, "new")
