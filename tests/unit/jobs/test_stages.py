"""Waves, the canary and the start gate of a job that is being stopped."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from opsconsole.db.console import Console
from opsconsole.jobs import canary, stages, transitions
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import JobState, Reason, RunState, StopReason
from tests.support.desk import Desk, Hand

FAILED = Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1)
UNREACHABLE = Outcome(RunState.UNREACHABLE, Reason.REFUSED, "refused")
KILLED = Outcome(RunState.CANCELLED, Reason.KILLED, "The remote end confirmed that the command ended.")

Started = dict[int, Any]


def order(desk: Desk, hosts: int = 10, **fields: Any) -> int:
    return desk.order(f"web[1-{hosts}]", credential="key:test", **fields)


def start_all(desk: Desk, hand: Hand, *, but: tuple[int, ...] = ()) -> Started:
    """Starts everything that may start and returns the claims by their place in the roster; those in ``but`` are
    still connecting."""
    claims = [hand.take(*message) for message in [*desk.post.collect(), *desk.sweep()]]
    assert all(claim is not None and (claim.i in but or hand.gate(claim)) for claim in claims)
    return {claim.i: claim for claim in claims if claim is not None}


def finish_all(hand: Hand, claims: Started, outcomes: dict[int, Outcome] | None = None, out: bytes = b"") -> None:
    for i, claim in claims.items():
        outcome = (outcomes or {}).get(i, Outcome(RunState.SUCCEEDED, exit_status=0))
        hand.finish(claim, outcome, out or None)


def change(desk: Desk, job_id: int, **values: Any) -> None:
    with desk.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def test_a_wave_starts_when_the_one_before_is_over(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 6, waves="1 2 *2")
    first = start_all(desk, hand)
    assert list(first) == [0]
    assert start_all(desk, hand) == {}
    finish_all(hand, first)
    second = start_all(desk, hand)
    assert list(second) == [1, 2]
    finish_all(hand, {1: second[1]})
    assert start_all(desk, hand) == {}
    finish_all(hand, {2: second[2]})
    third = start_all(desk, hand)
    assert list(third) == [3, 4, 5]
    finish_all(hand, third)
    assert desk.letters(job_id) == "oooooo"


def test_the_next_wave_goes_out_with_the_last_result_of_the_one_before(desk: Desk, hand: Hand) -> None:
    order(desk, 3, waves="1 2")
    finish_all(hand, start_all(desk, hand))
    assert len(desk.post.collect()) == 2


def test_a_pause_between_waves_is_kept(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 3, waves="1", wave_pause=10, wave_jitter=5)
    finish_all(hand, start_all(desk, hand))
    hold_ms = desk.job(job_id).hold_ms
    assert hold_ms is not None
    assert 10_000 <= hold_ms <= 15_000
    assert desk.sweep() == []
    change(desk, job_id, hold_ms=None)
    assert len(desk.sweep()) == 1


@pytest.mark.parametrize(
    ("gate", "outcome", "paused"),
    [
        ("auto", FAILED, None),
        ("on_failure", Outcome(RunState.SUCCEEDED, exit_status=0), None),
        ("on_failure", FAILED, "wave_failed"),
        ("on_failure", UNREACHABLE, "wave_failed"),
        ("manual", Outcome(RunState.SUCCEEDED, exit_status=0), "wave"),
    ],
)
def test_the_gate_between_waves(desk: Desk, hand: Hand, gate: str, outcome: Outcome, paused: str | None) -> None:
    job_id = order(desk, 2, waves="1", wave_gate=gate)
    connecting = (0,) if outcome is UNREACHABLE else ()
    finish_all(hand, start_all(desk, hand, but=connecting), {0: outcome})
    job = desk.job(job_id)
    assert (job.state, job.pause_reason, job.wave) == (("paused", paused, 0) if paused else ("running", None, 1))
    if paused is not None:
        assert desk.sweep() == []
        with desk.database.transaction() as session:
            assert transitions.move_job(session, job_id, JobState.RUNNING, {"pause_reason": None})
            stages.next_wave(session, job_id, desk.clock.now())
    finish_all(hand, start_all(desk, hand))
    assert desk.job(job_id).state in {"succeeded", "partial"}


def test_unreachable_hosts_that_do_not_count_do_not_pause(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 2, waves="1", wave_gate="on_failure", count_unreachable=False)
    finish_all(hand, start_all(desk, hand, but=(0,)), {0: UNREACHABLE})
    assert desk.job(job_id).wave == 1


def test_a_held_host_keeps_its_wave_open(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 3, waves="2 1")
    with desk.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job_id, HostRun.i == 1).values(held=True))
    finish_all(hand, start_all(desk, hand))
    assert desk.sweep() == []
    with desk.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job_id).values(held=False))
    assert list(start_all(desk, hand)) == [1]


def test_a_wave_whose_hosts_were_all_cancelled_is_over(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 4, waves="1")
    desk.cancel(job_id, ["web1", "web2"])
    assert list(start_all(desk, hand)) == [2]
    assert desk.job(job_id).wave == 2


@pytest.mark.parametrize("outcome", [FAILED, UNREACHABLE, Outcome(RunState.LOST, Reason.CONNECTION_LOST)])
def test_a_canary_that_fails_stops_the_job(desk: Desk, hand: Hand, outcome: Outcome) -> None:
    job_id = order(desk, 5, canary="2", count_unreachable=False)
    first = start_all(desk, hand, but=(1,) if outcome is UNREACHABLE else ())
    assert list(first) == [0, 1]
    finish_all(hand, first, {1: outcome})
    assert desk.sweep() == []
    job = desk.job(job_id)
    assert (job.state, job.stop_reason, job.n_s) == ("failed", "canary", 3)
    (told,) = {(run.reason, run.detail) for run in desk.runs(job_id) if run.state == "skipped"}
    assert told == ("canary", f"Not started: the canary failed (web2: {outcome.state.value}).")


@pytest.mark.parametrize(("said", "passes"), [(b"x\nversion 2.41\n", True), (b"version 3\n", False), (b"\xff", False)])
def test_what_a_canary_must_say(desk: Desk, hand: Hand, said: bytes, passes: bool) -> None:
    job_id = order(desk, 4, canary="1", canary_match="^version 2[.][0-9]+$")
    finish_all(hand, start_all(desk, hand), out=said)
    assert (len(desk.post.collect()) == 3) is passes
    assert (desk.job(job_id).stop_reason == "canary") is not passes
    missed = "Not started: the canary failed (web1: the output does not match ^version 2[.][0-9]+$)."
    assert ({run.detail for run in desk.runs(job_id)} == {None, missed}) is not passes


def test_what_is_told_of_a_canary_is_short_and_printable() -> None:
    told = canary.told({canary.missed("\x1b[2J" + "x" * 400): ["h" * 300, "b\u202e", *"cdefg"], "failed": ["y"] * 99})
    assert len(told) <= 400
    assert told.isprintable()
    assert "and 2 more: the output does not match" in told


def test_a_person_lets_the_rest_go_after_the_canary(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 3, canary="1", canary_gate="manual")
    finish_all(hand, start_all(desk, hand))
    job = desk.job(job_id)
    assert (job.state, job.pause_reason) == ("paused", "canary")


def test_the_gate_stays_shut_from_the_failure_that_was_one_too_many(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 4, max_failures="0")
    first, second, third, _ = desk.sweep()
    running, waiting, connecting = hand.start(*first), hand.start(*second), hand.take(*third)
    assert connecting is not None
    assert hand.finish(running, FAILED)
    assert not hand.gate(connecting)
    assert desk.letters(job_id) == "frss"
    assert {run.reason for run in desk.runs(job_id) if run.state == "skipped"} == {"threshold"}
    assert not hand.finish(connecting, UNREACHABLE)
    assert hand.finish(waiting)
    assert (desk.job(job_id).state, desk.job(job_id).stop_reason) == ("failed", "threshold")


def test_connecting_hosts_alone_are_stopped_too(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 2, max_failures="0")
    first, second = (hand.take(*message) for message in desk.sweep())
    assert first is not None
    assert second is not None
    assert hand.finish(first, UNREACHABLE)
    assert desk.job(job_id).stop_reason == "threshold"
    assert not hand.gate(second)
    assert desk.letters(job_id) == "us"


def test_unreachable_hosts_need_not_count(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 3, max_failures="0", count_unreachable=False, concurrency=1)
    claim = hand.take(*desk.sweep()[0])
    assert claim is not None
    hand.finish(claim, UNREACHABLE)
    finish_all(hand, start_all(desk, hand), {1: FAILED})
    assert desk.letters(job_id) == "ufs"


def test_what_is_in_flight_is_ended_when_asked_for(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 3, max_failures="0", at_stop="kill")
    claims = start_all(desk, hand)
    finish_all(hand, {0: claims[0]}, {0: FAILED})
    runs = desk.runs(job_id)
    assert [run.cancel_requested_at is not None for run in runs] == [False, True, True]
    finish_all(hand, {1: claims[1], 2: claims[2]}, {1: KILLED, 2: KILLED})
    assert desk.letters(job_id) == "fxx"
    assert desk.job(job_id).state == "failed"


@pytest.mark.parametrize(
    ("reason", "letter", "why"), [(StopReason.DEADLINE, "s", "job_timeout"), (StopReason.OPERATOR, "x", "before_start")]
)
def test_every_stop_says_why_a_host_was_not_started(
    desk: Desk, hand: Hand, reason: StopReason, letter: str, why: str
) -> None:
    job_id = order(desk, 3, concurrency=2)
    queued, other = desk.sweep()
    connecting = hand.take(*queued)
    assert connecting is not None
    with desk.database.transaction() as session:
        assert stages.stop(session, job_id, reason, desk.clock.now())
    assert not hand.gate(connecting)
    assert hand.take(*other) is None
    assert desk.letters(job_id) == letter * 3
    assert {run.reason for run in desk.runs(job_id)} == {why}


def test_a_paused_job_starts_what_is_connecting_and_nothing_else(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 4, concurrency=3)
    first, second, third = desk.sweep()
    running, connecting = hand.start(*first), hand.take(*second)
    assert connecting is not None
    with desk.database.transaction() as session:
        assert transitions.move_job(session, job_id, JobState.PAUSED, {"pause_reason": "operator"})
        assert transitions.take_back(session, job_id, desk.clock.now()) == 1
    assert hand.take(*third) is None
    assert hand.gate(connecting)
    assert hand.finish(running)
    assert hand.finish(connecting)
    assert desk.sweep() == []
    assert desk.letters(job_id) == "ooqq"
    with desk.database.transaction() as session:
        assert transitions.move_job(session, job_id, JobState.RUNNING, {"pause_reason": None})
    finish_all(hand, start_all(desk, hand))
    assert desk.letters(job_id) == "oooo"


def test_the_last_result_of_a_paused_job_ends_it(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 1)
    claims = start_all(desk, hand)
    with desk.database.transaction() as session:
        assert transitions.move_job(session, job_id, JobState.PAUSED, {"pause_reason": "operator"})
    finish_all(hand, claims)
    assert (desk.job(job_id).state, desk.job(job_id).pause_reason) == ("succeeded", None)


def test_nothing_starts_while_the_console_is_held(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 4, concurrency=3)
    first, second, third = desk.sweep()
    running, connecting = hand.start(*first), hand.take(*second)
    assert connecting is not None
    with desk.database.transaction() as session:
        session.execute(update(Console).values(held_at=desk.clock.now()))
    assert hand.take(*third) is None
    assert not hand.gate(connecting)
    assert hand.finish(running)
    assert desk.sweep() == []
    assert desk.post.collect() == []
    assert desk.letters(job_id) == "oqqq"
    assert [run.state for run in desk.runs(job_id)] == ["succeeded", "pending", "queued", "pending"]
    with desk.database.transaction() as session:
        session.execute(update(Console).values(held_at=None))
    finish_all(hand, start_all(desk, hand) | {2: hand.start(*third)})
    assert desk.letters(job_id) == "oooo"


def test_a_retry_waits_for_its_time(desk: Desk, hand: Hand) -> None:
    job_id = order(desk, 2)
    due = desk.clock.now() + timedelta(seconds=30)
    with desk.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job_id, HostRun.i == 0).values(next_publish_at=due))
    assert list(start_all(desk, hand)) == [1]
    desk.clock.advance(31)
    assert list(start_all(desk, hand)) == [0]


def test_what_a_gone_worker_had_in_a_paused_job_waits(desk: Desk) -> None:
    hand = desk.hand("gone")
    job_id = order(desk, 1)
    assert hand.take(*desk.sweep()[0])
    with desk.database.transaction() as session:
        assert transitions.move_job(session, job_id, JobState.PAUSED, {"pause_reason": "operator"})
    desk.gone(hand)
    (run,) = desk.runs(job_id)
    assert (run.state, run.attempt, run.next_publish_at) == ("pending", 2, None)


def test_what_a_gone_worker_had_in_a_stopped_job_is_not_tried_again(desk: Desk) -> None:
    hand, job_id = desk.hand("gone"), order(desk, 2)
    claims = [hand.take(*message) for message in desk.sweep()]
    assert claims[0] is not None
    with desk.database.transaction() as session:
        assert stages.stop(session, job_id, StopReason.DEADLINE, desk.clock.now())
    desk.gone(hand)
    assert desk.letters(job_id) == "ss"
    assert desk.job(job_id).state == "failed"


def test_what_a_gone_worker_lost_counts_before_its_other_hosts_are_tried_again(desk: Desk) -> None:
    hand, job_id = desk.hand("gone"), order(desk, 2, max_failures="0")
    first, second = desk.sweep()
    hand.start(*first)
    assert hand.take(*second)
    desk.gone(hand)
    assert desk.letters(job_id) == "ls"
