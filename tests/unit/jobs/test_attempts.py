"""Hosts that cannot be reached for now are tried again, later and ever more rarely; never once a command may run."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from opsconsole.jobs import stages
from opsconsole.jobs.models import RunAttempt
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Dropped, Exited, Started, Unreached
from opsconsole.jobs.states import Reason, StopReason
from tests.support.desk import Desk, Hand
from tests.support.fake_ssh import FakeConnector, session

REFUSED = Unreached(Reason.REFUSED, "Nothing listens there.", retryable=True)


def perform(hand: Hand, answer: object, run_id: int, attempt: int) -> FakeConnector:
    connector = FakeConnector(answer)  # type: ignore[arg-type]
    Performer(hand.ledger, connector, Bounds(1024, 1024, 15.0)).perform(run_id, attempt)
    return connector


def kept(desk: Desk, run_id: int) -> list[RunAttempt]:
    query = select(RunAttempt).where(RunAttempt.host_run_id == run_id).order_by(RunAttempt.attempt)
    with desk.database.read() as opened:
        return list(opened.scalars(query))


def test_a_host_is_tried_again_with_growing_pauses(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test", retries=2, retry_pause=10.0)
    (run_id, _), *_ = desk.sweep()
    for attempt, pause in ((1, 10), (2, 20)):
        perform(hand, REFUSED, run_id, attempt)
        run = desk.run(run_id)
        assert (run.state, run.attempt, run.owner, run.claimed_at) == ("pending", attempt + 1, None, None)
        assert run.next_publish_at == desk.clock.now() + timedelta(seconds=pause)
        assert desk.job(job_id).state == "running"
        assert desk.sweep() == []
        desk.clock.advance(pause)
        assert desk.sweep() == [(run_id, attempt + 1)]
    # A message of an attempt that has ended starts nothing.
    assert perform(hand, session(Started(1), Exited(0)), run_id, 1).connects == []
    perform(hand, REFUSED, run_id, 3)
    run = desk.run(run_id)
    assert (run.state, run.reason, run.attempt) == ("unreachable", "refused", 3)
    assert desk.letters(job_id) == "u"
    assert [(row.attempt, row.reason, row.detail) for row in kept(desk, run_id)] == [
        (1, "refused", "Nothing listens there."),
        (2, "refused", "Nothing listens there."),
    ]
    assert all(row.worker and row.claimed_at for row in kept(desk, run_id))


def test_a_second_try_may_succeed(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test", retries=1, retry_pause=0.0)
    ((run_id, _),) = desk.sweep()
    perform(hand, REFUSED, run_id, 1)
    # With no pause it is queued in the same breath.
    perform(hand, session(Started(1), Exited(0)), run_id, 2)
    assert desk.letters(job_id) == "o"


@pytest.mark.parametrize(
    "answer",
    [
        Unreached(Reason.AUTH, "denied"),
        Unreached(Reason.HOST_KEY_CHANGED, "changed"),
        session(Started(1), Dropped("gone")),
        session(Started(1), Exited(255)),
    ],
)
def test_nothing_else_is_tried_again(desk: Desk, hand: Hand, answer: object) -> None:
    desk.order("web1", credential="key:test", retries=3)
    ((run_id, _),) = desk.sweep()
    perform(hand, answer, run_id, 1)
    assert desk.run(run_id).state in {"unreachable", "lost", "failed"}
    assert desk.run(run_id).attempt == 1
    assert kept(desk, run_id) == []


def test_a_cancelled_run_is_not_tried_again(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test", retries=3)
    ((run_id, _),) = desk.sweep()
    connector = FakeConnector(REFUSED)
    connector.before = lambda: desk.cancel(job_id)  # type: ignore[method-assign]
    Performer(hand.ledger, connector, Bounds(1024, 1024, 15.0)).perform(run_id, 1)
    assert desk.run(run_id).state == "unreachable"
    assert desk.job(job_id).state == "cancelled"


def test_a_job_that_stopped_tries_nothing_again(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test", retries=3, job_timeout=5.0)
    (run_id, _), other = desk.sweep()
    running = hand.start(*other)
    connector = FakeConnector(REFUSED)

    def stop() -> None:
        with desk.database.transaction() as opened:
            stages.stop(opened, job_id, StopReason.DEADLINE, desk.clock.now())

    connector.before = stop  # type: ignore[method-assign]
    Performer(hand.ledger, connector, Bounds(1024, 1024, 15.0)).perform(run_id, 1)
    run = desk.run(run_id)
    assert (run.state, run.reason) == ("skipped", "job_timeout")
    assert "Nothing listens there." in (run.detail or "")
    hand.finish(running)
    assert sorted(desk.letters(job_id)) == ["o", "s"]


def test_a_worker_that_goes_down_costs_no_try_of_the_job(desk: Desk) -> None:
    job_id = desk.order("web1", credential="key:test", retries=2, retry_pause=0.0)
    (run,) = desk.runs(job_id)
    for attempt in (1, 2, 3, 4):
        worker = desk.hand(f"w{attempt}")
        desk.sweep()
        assert worker.take(run.id, attempt) is not None
        desk.gone(worker)
        assert desk.run(run.id).state == "queued"
    assert [(row.attempt, row.reason) for row in kept(desk, run.id)] == [(n, "worker_lost") for n in (1, 2, 3, 4)]
