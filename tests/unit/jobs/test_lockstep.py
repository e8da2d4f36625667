"""Steps with a barrier: no host of a wave begins a step before all others have the one before it behind them."""

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opsconsole.executors.simulate import SimulatedConnector
from opsconsole.jobs import control, queries, results, stages
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.models import Job
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Unreached
from opsconsole.jobs.states import ACTIVE, Reason, RunState, StopReason
from tests.support.desk import Desk, Hand

_ORDER: dict[str, Any] = {
    "command": "echo a", "check": "echo c", "verify": "echo v", "step_barrier": "wave", "credential": "key:test",
}  # fmt: skip
_STEPS = ["check", "act", "verify"]
FAILED = Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1)
LOST = Outcome(RunState.LOST, Reason.CONNECTION_LOST)


def _passed(claim: Claim) -> Outcome:
    following = claim.start.next_step
    state = RunState.SUCCEEDED if following is None else RunState.PENDING
    return Outcome(state, exit_status=0, duration_ms=5, next_step=following)


def _begin(desk: Desk, hand: Hand) -> dict[int, Claim]:
    """Starts all that may start and returns the claims by their place in the roster."""
    found = {}
    for message in [*desk.post.collect(), *desk.sweep()]:
        claim = hand.take(*message)
        if claim is not None:
            assert hand.gate(claim)
            found[claim.i] = claim
    return found


def _pass(hand: Hand, claims: dict[int, Claim], *but: int) -> None:
    for i, claim in claims.items():
        assert hand.finish(claim, FAILED if i in but else _passed(claim), b"said\n")


def _steps(claims: dict[int, Claim]) -> dict[int, str]:
    return {i: claim.start.steps[0].value for i, claim in claims.items()}


def test_a_wave_takes_each_step_together_and_what_failed_goes_no_further(desk: Desk, hand: Hand) -> None:
    job = desk.order("web[1-4]", waves="2 2", **_ORDER)
    first = _begin(desk, hand)
    assert _steps(first) == {0: "check", 1: "check"}
    _pass(hand, {0: first[0]})
    assert _begin(desk, hand) == {}
    assert desk.letters(job) == "qrqq"
    _pass(hand, {1: first[1]}, 1)
    act = _begin(desk, hand)
    assert _steps(act) == {0: "act"}
    _pass(hand, act)
    verify = _begin(desk, hand)
    assert _steps(verify) == {0: "verify"}
    _pass(hand, verify)
    assert desk.letters(job) == "ofqq"
    for step in _STEPS:
        claims = _begin(desk, hand)
        assert _steps(claims) == {2: step, 3: step}
        _pass(hand, claims)
    assert desk.letters(job) == "ofoo"
    with desk.database.read() as session:
        told = [event["text"] for event in queries.timeline(session, desk.job(job))["events"]]
    assert [text for text in told if text.startswith("Next is the")] == [
        "Next is the act of wave 1 (2 hosts).", "Next is the verify of wave 1 (2 hosts).",
        "Next is the act of wave 2 (2 hosts).", "Next is the verify of wave 2 (2 hosts).",
    ]  # fmt: skip


def test_each_start_has_its_own_mark_and_old_messages_start_nothing(desk: Desk, hand: Hand) -> None:
    desk.order("web1", **_ORDER)
    (message,) = desk.sweep()
    check = hand.start(*message)
    assert hand.take(*message) is None
    assert hand.finish(check, _passed(check), b"c\n")
    assert not hand.finish(check, FAILED, b"late\n")
    assert hand.take(*message) is not None or desk.post.collect()
    claims = [claim for claim in (hand.take(*message) for _ in range(3)) if claim is not None]
    assert len(claims) <= 1
    run = desk.run(message[0])
    assert (run.step, run.mark != check.mark, run.stdout_bytes) == ("act", True, 2)


def test_a_step_that_is_lost_takes_its_host_out_even_if_its_result_comes_late(desk: Desk, hand: Hand) -> None:
    job = desk.order("web[1-2]", **_ORDER)
    other = desk.hand("w2")
    (one, two) = desk.sweep()
    check, checked = hand.start(*one), other.start(*two)
    desk.gone(hand)
    assert desk.letters(job) == "lr"
    assert not hand.finish(check, _passed(check), b"c\n")
    assert other.finish(checked, _passed(checked), b"c\n")
    assert _steps(_begin(desk, other)) == {1: "act"}
    assert desk.run(one[0]).state == "lost"


@pytest.mark.parametrize("how", ["threshold", "cancel", "order", "deadline"])
def test_a_host_between_two_steps_is_never_called_skipped(desk: Desk, hand: Hand, how: str) -> None:
    job = desk.order("web[1-3]", max_failures="0", job_timeout=60, **_ORDER)
    claims = _begin(desk, hand)
    _pass(hand, {0: claims[0]})
    if how == "threshold":
        _pass(hand, {1: claims[1]}, 1)
        # It passes when the job is stopped already.
        _pass(hand, {2: claims[2]})
        desk.sweep()
        wanted = "xfx"
    elif how == "order":
        desk.cancel(job, ["web3"])
        _pass(hand, {2: claims[2]})
        assert desk.letters(job) == "qrx"
        desk.cancel(job)
        _pass(hand, {1: claims[1]})
        wanted = "xxx"
    elif how == "cancel":
        desk.cancel(job)
        _pass(hand, {1: claims[1], 2: claims[2]})
        wanted = "xxx"
    else:
        with desk.database.transaction() as session:
            assert stages.stop(session, job, StopReason.DEADLINE, desk.clock.now())
        _pass(hand, {1: claims[1], 2: claims[2]})
        wanted = "xxx"
    assert desk.letters(job) == wanted
    ended = [run for run in desk.runs(job) if run.state == "cancelled"]
    assert {(run.reason, run.step) for run in ended} == {("between_steps", "act")}
    assert all(run.detail and run.detail.startswith("Ended between two steps: ") for run in ended)


def test_gates_and_canary_are_about_whole_waves(desk: Desk, hand: Hand) -> None:
    job = desk.order("web[1-4]", canary="1", waves="2 1", wave_gate="manual", **_ORDER)
    for step in _STEPS:
        claims = _begin(desk, hand)
        assert _steps(claims) == {0: step}
        _pass(hand, claims)
    for step in _STEPS:
        claims = _begin(desk, hand)
        assert _steps(claims) == {1: step, 2: step}
        _pass(hand, claims)
    assert (desk.job(job).state, desk.job(job).pause_reason) == ("paused", "wave")
    with desk.database.transaction() as session:
        control.proceed(session, session.get_one(Job, job), desk.actor, now=desk.clock.now())
    assert _steps(_begin(desk, hand)) == {3: "check"}
    job = desk.order("web[1-3]", canary="2", **_ORDER)
    claims = _begin(desk, hand)
    _pass(hand, claims, 1)
    assert desk.letters(job) == "xfs"
    assert desk.job(job).stop_reason == "canary"


@pytest.mark.parametrize("seed", range(5))
def test_under_random_failures_nobody_runs_ahead_and_nothing_starts_twice(desk: Desk, seed: int) -> None:
    rng = random.Random(seed)
    desk.hand("w0")
    waves = rng.choice([None, "1 2", "3"])
    budget = rng.choice([None, "0", "3"])
    job = desk.order("web[1-8]", waves=waves, max_failures=budget, retries=1, retry_pause=0, concurrency=5, **_ORDER)
    starts: Counter[tuple[int, str]] = Counter()
    claims: list[tuple[Hand, Claim]] = []
    messages: list[tuple[int, int]] = []
    for _ in range(300):
        if all(RunState(run.state) not in ACTIVE for run in desk.runs(job)):
            break
        hand = desk.hands[-1]
        messages += [*desk.post.collect(), *desk.sweep()]
        what = rng.random()
        if what < 0.5 and messages:
            # Any message, and sometimes one that was delivered before.
            message = rng.choice(messages)
            claim = hand.take(*message)
            if claim is not None and rng.random() < 0.9 and hand.gate(claim):
                step = claim.start.steps[0].value
                starts[claim.i, step] += 1
                mine = next(run for run in desk.runs(job) if run.i == claim.i)
                for run in desk.runs(job):
                    if RunState(run.state) in ACTIVE and run.wave <= mine.wave:
                        assert run.wave == mine.wave
                        assert _STEPS.index(run.step or "") >= _STEPS.index(step), (run.host, run.step, step)
                claims.append((hand, claim))
        elif what < 0.9 and claims:
            by, claim = claims.pop(rng.randrange(len(claims)))
            fate = rng.random()
            outcome = _passed(claim) if fate < 0.8 else FAILED if fate < 0.95 else LOST
            by.finish(claim, outcome, b"x")
            if rng.random() < 0.2:
                by.finish(claim, _passed(claim), b"twice")
        elif what > 0.97:
            desk.gone(hand)
            desk.hand(f"w{len(desk.hands)}")
        desk.clock.advance(1.0)
        if not rng.randrange(10):
            desk.letters(job)
    desk.letters(job)
    assert set(starts.values()) <= {1}, starts
    for run in desk.runs(job):
        if run.state == "succeeded":
            assert [starts[run.i, step] for step in _STEPS] == [1, 1, 1]


def test_output_goes_on_behind_what_the_steps_before_wrote(desk: Desk, hand: Hand, tmp_path: Path) -> None:
    quick = {"executor": "simulate", "simulation": "connect_seconds=0 median_seconds=0"}
    said = {"check": "echo checked; echo oh >&2", "command": "echo acted", "verify": "echo verified"}
    job = desk.order("web[1-2]", **{**_ORDER, **quick, **said})
    made = Performer(hand.ledger, SimulatedConnector(tmp_path), Bounds(14, 12, 15.0))
    for _ in _STEPS:
        for message in [*desk.post.collect(), *desk.sweep()]:
            made.perform(*message)
    assert desk.letters(job) == "oo"
    run = desk.runs(job)[0]
    assert (run.stdout_bytes, run.stderr_bytes, run.lines, run.last_line) == (23, 3, 4, "verified")
    with desk.database.read() as session:
        parts = {step: b"".join(results.raw(session, run, step=step)) for step in _STEPS}
        whole = b"".join(results.raw(session, run))
        steps = queries.host_steps(session, run)
        counts = queries.steps_of(session, desk.job(job))
    # 14 bytes of the head and the last 12 at least are kept.
    assert parts["verify"] == b"verified\n"
    assert whole.startswith(b"checked\n")
    assert whole.endswith(b"verified\n")
    assert [(one["step"], one["state"], one["bytes"]) for one in steps] == [
        ("check", "passed", 11), ("act", "passed", 6), ("verify", "passed", 9),
    ]  # fmt: skip
    assert len({run.output_digest for run in desk.runs(job)}) == 1
    assert counts is not None
    assert (counts["barrier"], counts["list"][2]["counts"]["o"]) == ("wave", 2)


def test_a_retry_is_about_the_step_that_was_not_reached(desk: Desk, hand: Hand) -> None:
    desk.order("web1", retries=1, retry_pause=5, **_ORDER)
    (message,) = desk.sweep()
    check = hand.start(*message)
    hand.finish(check, _passed(check), b"c\n")
    claim = hand.take(*desk.post.collect()[0])
    assert claim is not None
    assert hand.ledger.again(claim, Unreached(Reason.REFUSED, "refused", retryable=True))
    desk.clock.advance(timedelta(seconds=6).total_seconds())
    claims = _begin(desk, hand)
    assert _steps(claims) == {0: "act"}
    assert claims[0].start.so_far.total == 2
