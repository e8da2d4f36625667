"""What the worker that has a run in hand is told about it: that it is to be ended, how gently, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import RunState, StopReason
from opsconsole.sentences import Sentence

_STARTED = (RunState.CONNECTING.value, RunState.RUNNING.value)
_ASKED = Sentence("Cancelled.")
_CAUSES = {
    StopReason.THRESHOLD: Sentence("Ended with its job: too many hosts failed."),
    StopReason.CANARY: Sentence("Ended with its job: the canary failed."),
    StopReason.DEADLINE: Sentence("Ended with its job: the job's time was over."),
}


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """End this run because of ``cause``. ``grace``: the seconds between TERM and KILL; ``None`` is the job's own."""

    grace: float | None
    cause: str


def cancels(session: Session, run_ids: Sequence[int]) -> dict[int, CancelOrder]:
    """Returns the orders to end those of the runs that have begun and are to be ended."""
    query = (
        select(HostRun.id, HostRun.cancel_grace, Job.stop_reason)
        .join(Job, Job.id == HostRun.job_id)
        .where(HostRun.id.in_(run_ids), HostRun.cancel_requested_at.is_not(None), HostRun.state.in_(_STARTED))
    )
    return {
        run_id: CancelOrder(grace, _CAUSES.get(StopReason(stop_reason), _ASKED) if stop_reason else _ASKED)
        for run_id, grace, stop_reason in session.execute(query)
    }
