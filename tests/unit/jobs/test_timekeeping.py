"""Pauses, running times and deadlines of jobs by a clock that nobody can set."""

import pytest

from opsconsole.jobs import control, queries, timekeeping
from opsconsole.jobs.models import Job
from opsconsole.jobs.timekeeping import Stopwatch
from tests.support.desk import Desk, Hand


def passing(desk: Desk, ms: int) -> None:
    with desk.database.transaction() as session:
        timekeeping.pass_time(session, ms, desk.clock.now())


def set_job(desk: Desk, job_id: int, **values: object) -> None:
    with desk.database.transaction() as session:
        job = session.get_one(Job, job_id)
        for name, value in values.items():
            setattr(job, name, value)


def test_a_stopwatch_counts_no_stall_and_no_lead_of_others() -> None:
    watch = Stopwatch(1.0)
    assert watch.lap(100.0) == 0
    assert watch.lap(100.5) == 0
    assert watch.lap(101.5) == 1500
    assert watch.lap(1000.0) == 5000
    watch.forget()
    assert watch.lap(1003.0) == 0
    assert watch.lap(1004.0) == 1000


def test_time_runs_while_a_job_runs(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test")
    passing(desk, 1000)
    assert desk.job(job_id).elapsed_ms == 0
    desk.sweep()
    version = desk.job(job_id).ver
    passing(desk, 1000)
    passing(desk, 500)
    job = desk.job(job_id)
    # Nobody needs to be told of every second.
    assert (job.elapsed_ms, job.ver) == (1500, version)
    set_job(desk, job_id, state="paused")
    passing(desk, 1000)
    assert desk.job(job_id).elapsed_ms == 1500
    set_job(desk, job_id, state="stopping")
    passing(desk, 1000)
    assert desk.job(job_id).elapsed_ms == 2500


def test_a_pause_between_waves_counts_down_and_its_end_is_told(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test")
    desk.sweep()
    set_job(desk, job_id, hold_ms=1500)
    version = desk.job(job_id).ver
    passing(desk, 1000)
    assert (desk.job(job_id).hold_ms, desk.job(job_id).ver) == (500, version)
    set_job(desk, job_id, state="paused")
    passing(desk, 1000)
    assert desk.job(job_id).hold_ms == 500
    set_job(desk, job_id, state="running")
    passing(desk, 500)
    assert (desk.job(job_id).hold_ms, desk.job(job_id).ver) == (None, version + 1)


@pytest.mark.parametrize("at_stop", ["finish", "kill"])
def test_a_job_out_of_time_starts_nothing_more(desk: Desk, hand: Hand, at_stop: str) -> None:
    job_id = desk.order("web[1-4]", credential="key:test", concurrency=3, job_timeout=2.0, at_stop=at_stop)
    messages = desk.sweep()
    running = hand.start(*messages[0])
    connecting = hand.take(*messages[1])
    assert connecting is not None
    passing(desk, 1900)
    assert desk.letters(job_id) == "rcqq"
    passing(desk, 100)
    assert desk.letters(job_id) == "rcss"
    job = desk.job(job_id)
    assert (job.state, job.stop_reason) == ("stopping", "deadline")
    assert {run.reason for run in desk.runs(job_id)[2:]} == {"job_timeout"}
    assert (desk.run(running.run_id).cancel_requested_at is not None) is (at_stop == "kill")
    assert not hand.gate(connecting)
    hand.finish(running)
    version = desk.job(job_id).ver
    passing(desk, 1000)
    assert desk.job(job_id).ver == version


def test_no_job_timeout_means_none(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test")
    desk.sweep()
    set_job(desk, job_id, elapsed_ms=10**10)
    passing(desk, 1000)
    assert desk.job(job_id).state == "running"


def test_a_watched_job_of_medium_size_can_be_stopped_before_it_starts(desk: Desk, hand: Hand) -> None:
    small = desk.order("web[1-10]", credential="key:test", watched=True)
    unwatched = desk.order("db[1-11]", credential="key:test")
    first = desk.order("app[1-11]", credential="key:test", watched=True)
    second = desk.order("api[1-11]", credential="key:test", watched=True, waves="1")
    assert len(desk.sweep()) == 21
    with desk.database.read() as session:
        status = queries.status(session, session.get_one(Job, second), now=desk.clock.now())
    assert (status["starts_in_ms"], status["waiting"]["code"], status["waves"]["hold_ms"]) == (3000, "countdown", None)
    # However late the leader looks, a person has three seconds.
    for _ in range(3):
        passing(desk, 5000)
    assert desk.sweep() == []
    assert desk.job(first).elapsed_ms == 0
    with desk.database.transaction() as session:
        control.proceed(session, session.get_one(Job, second), desk.actor, now=desk.clock.now())
    assert len(desk.sweep()) == 1
    desk.cancel(first)
    assert desk.letters(first) == "x" * 11
    assert {run.reason for run in desk.runs(first)} == {"before_start"}
    third = desk.order("www[1-11]", credential="key:test", watched=True)
    for _ in range(4):
        passing(desk, 1000)
    assert len(desk.sweep()) == 11
    assert desk.job(third).started_at is not None
    assert {desk.job(job).hold_ms for job in (small, unwatched, first, second, third)} == {None}
