"""Whether a run may be claimed and its command be sent, asked under the job's lock in the transaction that answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import JobState, Reason, RunState, StopReason

NOT_STARTED_PREFIX = "Not started: "
# What becomes of a host that a stopped job did not start: its state, its reason, and the sentence beside it.
NOT_STARTED: Mapping[StopReason, tuple[RunState, Reason, str]] = {
    StopReason.THRESHOLD: (RunState.SKIPPED, Reason.THRESHOLD, "Not started: too many hosts failed before."),
    StopReason.CANARY: (RunState.SKIPPED, Reason.CANARY, "Not started: the canary failed."),
    StopReason.DEADLINE: (RunState.SKIPPED, Reason.JOB_TIMEOUT, "Not started: the job's time was over."),
    StopReason.OPERATOR: (RunState.CANCELLED, Reason.BEFORE_START, "Cancelled before it started."),
}
_IN_BETWEEN = "Ended between two steps: "
_WITHOUT_WORDS = {
    Reason.BEFORE_START: "it was cancelled.",
    Reason.NOT_PERMITTED: "who launched the job may no longer run commands.",
}
# A run that goes back to wait for its turn is nobody's, and no message of it is on the way.
BACK_TO_PENDING: Mapping[str, Any] = {
    "owner": None,
    "worker": None,
    "queued_at": None,
    "claimed_at": None,
    "next_publish_at": None,
    "publishes": 0,
}


def between_steps(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of a host that would not be started, where steps of it have run already."""
    reason, detail = Reason(values["reason"]), str(values.get("detail") or "")
    why = _WITHOUT_WORDS.get(reason) or detail.removeprefix(NOT_STARTED_PREFIX)
    return {**values, "reason": Reason.BETWEEN_STEPS.value, "detail": f"{_IN_BETWEEN}{why}"[:500]}


def over_budget(allowed: int | None, count_unreachable: bool, *, f: int, k: int, u: int, lost: int) -> bool:
    """Returns whether failures (timed out and lost hosts are failures, too) exceed what is ``allowed``."""
    return allowed is not None and f + k + lost + (u if count_unreachable else 0) > allowed


@dataclass(frozen=True, slots=True)
class _Facts:
    state: str
    stop_reason: str | None
    failures_allowed: int | None
    count_unreachable: bool
    n_f: int
    n_k: int
    n_u: int
    n_l: int


_COLUMNS = tuple(getattr(Job, name) for name in _Facts.__slots__)


class Admission:
    """What was true of some jobs and of the console once the jobs' locks were held."""

    def __init__(self, session: Session, job_ids: Collection[int]) -> None:
        query = select(Job.id, select(Console.held_at).limit(1).scalar_subquery(), *_COLUMNS).where(Job.id.in_(job_ids))
        self._facts: dict[int, _Facts] = {}
        self.held = False
        for job_id, held_at, *facts in session.execute(query):
            self._facts[job_id] = _Facts(*facts)
            self.held = held_at is not None

    def paused(self, job_id: int) -> bool:
        """Returns whether the job is paused."""
        return self._facts[job_id].state == JobState.PAUSED

    def refusal(self, job_id: int, moved: Mapping[str, int]) -> tuple[RunState, dict[str, Any]] | None:
        """Returns where a run goes whose start gate stays shut, and its columns; ``None`` when the gate may open.

        ``moved`` says by how much this transaction has already changed the job's counters.
        """
        job = self._facts[job_id]
        stop = StopReason(job.stop_reason) if job.state == JobState.STOPPING and job.stop_reason else None
        if stop is None and over_budget(
            job.failures_allowed,
            job.count_unreachable,
            f=job.n_f + moved.get("n_f", 0),
            k=job.n_k + moved.get("n_k", 0),
            u=job.n_u + moved.get("n_u", 0),
            lost=job.n_l + moved.get("n_l", 0),
        ):
            stop = StopReason.THRESHOLD
        if stop is not None:
            state, reason, detail = NOT_STARTED[stop]
            return state, {"reason": reason.value, "detail": detail}
        return (RunState.PENDING, dict(BACK_TO_PENDING)) if self.held else None
