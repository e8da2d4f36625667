"""Who is gone, who leads, and what becomes of the runs of a lost worker."""

import pytest

from opsconsole.jobs import recover
from opsconsole.jobs.models import LeaderLease
from opsconsole.jobs.recover import Observer
from tests.support.desk import Desk, Hand


def test_a_beat_that_stands_still_for_long_is_a_lost_worker() -> None:
    observer = Observer(30.0)
    beats = [("a", 1), ("b", 1)]
    assert observer.still(beats, 0.0) == []
    for second in range(5, 30, 5):
        assert observer.still([("a", 1), ("b", second)], float(second)) == []
    assert observer.still([("a", 1), ("b", 99)], 30.0) == ["a"]


def test_who_did_not_look_has_seen_nothing() -> None:
    observer = Observer(30.0)
    observer.still([("a", 1)], 0.0)
    assert observer.still([("a", 1)], 31.0) == []
    assert observer.still([("a", 1)], 40.0) == []
    assert observer.still([("a", 1)], 50.0) == []
    assert observer.still([("a", 1)], 60.0) == []
    assert observer.still([("a", 1)], 61.0) == ["a"]


def test_a_wall_clock_that_jumps_changes_nothing(desk: Desk) -> None:
    worker = desk.hand()
    observer = Observer(30.0)
    for second in range(0, 25, 5):
        desk.clock.advance(3600 if second % 2 else -3600)
        with desk.database.transaction() as session:
            assert recover.reap(session, observer, float(second), desk.clock.now()) == {}
    with desk.database.transaction() as session:
        assert recover.beat(session, worker.id, busy=0, draining=False, now=desk.clock.now())


def test_forgotten_workers_are_no_longer_observed() -> None:
    observer = Observer(3.0)
    observer.still([("a", 1)], 0.0)
    assert observer.still([], 1.0) == []
    assert observer.still([("a", 1)], 2.0) == []
    assert observer.still([("a", 1)], 2.9) == []


def test_one_leads_and_another_takes_over_when_it_stands_still(desk: Desk) -> None:
    first, second = desk.hand("first"), desk.hand("second")
    observer = Observer(30.0)

    def leads(hand: Hand, monotonic: float) -> bool:
        with desk.database.transaction() as session:
            return recover.lead(session, hand.id, observer, monotonic)

    assert leads(first, 0.0)
    assert not leads(second, 1.0)
    for second_of_time in range(2, 40, 5):
        assert leads(first, second_of_time)
        assert not leads(second, second_of_time)
    moments = [37.0 + step for step in range(0, 36, 5)]
    assert [leads(second, moment) for moment in moments] == [False] * 6 + [True, True]
    assert not leads(first, 73.0)


def test_a_leader_that_signed_off_is_followed_at_once(desk: Desk) -> None:
    first, second = desk.hand("first"), desk.hand("second")
    with desk.database.transaction() as session:
        assert recover.lead(session, first.id, Observer(30.0), 0.0)
        recover.mark_gone(session, "here", first.pid, desk.clock.now())
    with desk.database.transaction() as session:
        assert recover.lead(session, second.id, Observer(30.0), 0.1)
        assert session.get_one(LeaderLease, recover.LEADER).owner == second.id


def test_a_lost_worker_leaves_no_run_hanging(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-4]", credential="key:test")
    messages = desk.sweep()
    hand.start(*messages[0])
    assert hand.take(*messages[1]) is not None
    desk.gone(hand)
    runs = desk.runs(job_id)
    assert [run.state for run in runs] == ["lost", "queued", "queued", "queued"]
    assert (runs[0].reason, runs[0].finished_at) == ("worker_lost", desk.clock.now())
    assert (runs[1].attempt, runs[1].owner, runs[1].fence) == (2, None, 2)
    assert desk.letters(job_id) == "lqqq"
    # What waits is due at once: its message may have gone down with the worker.
    desk.hand("w2")
    assert sorted(desk.sweep()) == [(runs[1].id, 2), (runs[2].id, 1), (runs[3].id, 1)]


def test_a_run_is_tried_three_times_and_no_more(desk: Desk) -> None:
    job_id = desk.order("web1", credential="key:test")
    for attempt in (1, 2, 3):
        worker = desk.hand(f"w{attempt}")
        desk.sweep()
        assert worker.take(desk.runs(job_id)[0].id, attempt) is not None
        desk.gone(worker)
    (run,) = desk.runs(job_id)
    assert (run.state, run.reason, run.attempt) == ("unreachable", "worker_lost", 3)
    assert desk.job(job_id).state == "failed"


def test_a_cancel_that_came_before_the_start_is_carried_out(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test")
    first, second = desk.sweep()
    hand.take(*first)
    hand.start(*second)
    desk.cancel(job_id)
    desk.gone(hand)
    assert [(run.state, run.reason) for run in desk.runs(job_id)] == [
        ("cancelled", "before_start"),
        ("lost", "worker_lost"),
    ]
    assert desk.job(job_id).state == "cancelled"


def test_the_reaper_finds_who_stopped_beating(desk: Desk, hand: Hand) -> None:
    alive = desk.hand("alive")
    observer = Observer(30.0)
    reaped: dict[str, int] = {}
    for second in range(0, 41, 5):
        with desk.database.transaction() as session:
            recover.beat(session, alive.id, busy=0, draining=False, now=desk.clock.now())
            reaped |= recover.reap(session, observer, float(second), desk.clock.now())
    assert reaped == {hand.id: 0}
    with desk.database.transaction() as session:
        assert not recover.beat(session, hand.id, busy=0, draining=False, now=desk.clock.now())
        assert recover.reap(session, observer, 41.0, desk.clock.now()) == {}


@pytest.mark.parametrize("host", ["here", "here.example"])
def test_only_the_process_of_that_machine_is_marked(desk: Desk, hand: Hand, host: str) -> None:
    with desk.database.transaction() as session:
        assert recover.mark_gone(session, host, hand.pid, desk.clock.now()) == (host == "here")
