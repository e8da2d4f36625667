"""Which change of state is allowed: the two tables, pair by pair."""

from itertools import product

import pytest

from opsconsole.jobs.states import (
    ACTIVE,
    FAILURES,
    IN_FLIGHT,
    LETTERS,
    TERMINAL,
    JobState,
    RunState,
    StopReason,
    job_move_allowed,
    run_move_allowed,
    sources_of,
    states_of_letters,
    verdict,
)

# From each state, by its first letters, to which others; written apart from the code, after docs/architecture.md.
RUN_MOVES = {
    "pending": "queued cancelled skipped",
    "queued": "connecting pending cancelled skipped",
    "connecting": "running unreachable queued pending cancelled skipped",
    "running": "succeeded failed timed_out lost cancelled pending",
    "lost": "succeeded failed timed_out cancelled",
}
JOB_MOVES = {
    "pending": "running paused stopping",
    "running": "paused stopping succeeded partial failed cancelled",
    "paused": "running stopping succeeded partial failed cancelled",
    "stopping": "cancelled failed",
}


@pytest.mark.parametrize(("source", "target"), list(product(RunState, RunState)))
def test_every_pair_of_run_states(source: RunState, target: RunState) -> None:
    wanted = target.value in RUN_MOVES.get(source.value, "").split()
    assert run_move_allowed(source, target) is wanted
    assert (source in sources_of(target)) is wanted


@pytest.mark.parametrize(("source", "target"), list(product(JobState, JobState)))
def test_every_pair_of_job_states(source: JobState, target: JobState) -> None:
    assert job_move_allowed(source, target) is (target.value in JOB_MOVES.get(source.value, "").split())


def test_what_ended_stays_so_except_that_a_late_result_resolves_lost() -> None:
    for source in TERMINAL - {RunState.LOST}:
        assert not any(run_move_allowed(source, target) for target in RunState)
    assert all(target in TERMINAL for target in RunState if run_move_allowed(RunState.LOST, target))
    assert not run_move_allowed(RunState.LOST, RunState.QUEUED)
    assert not run_move_allowed(RunState.RUNNING, RunState.QUEUED)


def test_the_sets_of_states() -> None:
    assert set(RunState) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL
    assert ACTIVE - {RunState.PENDING} == IN_FLIGHT
    assert FAILURES < TERMINAL
    assert all(state.terminal is (state in TERMINAL) for state in RunState)


def test_letters_and_states_belong_together() -> None:
    assert len(set(LETTERS)) == len(LETTERS) == 10
    assert {state.letter for state in RunState} == set(LETTERS)
    assert states_of_letters("q") == {RunState.PENDING, RunState.QUEUED}
    assert states_of_letters("fu") == {RunState.FAILED, RunState.UNREACHABLE}
    assert states_of_letters(LETTERS) == set(RunState)
    assert states_of_letters("") == frozenset()
    with pytest.raises(KeyError):
        states_of_letters("z")


@pytest.mark.parametrize(
    ("ok", "cancelled", "total", "stop", "wanted"),
    [
        (3, 0, 3, None, JobState.SUCCEEDED),
        (2, 0, 3, None, JobState.PARTIAL),
        (0, 0, 3, None, JobState.FAILED),
        (2, 0, 3, StopReason.THRESHOLD, JobState.FAILED),
        (3, 0, 3, StopReason.DEADLINE, JobState.FAILED),
        (3, 0, 3, StopReason.OPERATOR, JobState.CANCELLED),
        (0, 0, 3, StopReason.OPERATOR, JobState.CANCELLED),
        (0, 3, 3, None, JobState.CANCELLED),
        (0, 2, 3, None, JobState.FAILED),
        (1, 2, 3, None, JobState.PARTIAL),
    ],
)
def test_verdicts(ok: int, cancelled: int, total: int, stop: StopReason | None, wanted: JobState) -> None:
    assert verdict(ok, cancelled, total, stop) is wanted
    assert wanted.terminal
