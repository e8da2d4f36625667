"""After the database was restored from an older copy: everything is held, and nothing that may have run is called well.

What runs then seemed to be where the copy was made. What has not begun in it may have run since, too, so its job waits
for a person even after the hold is lifted.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.audit.record import record
from opsconsole.db.console import Console
from opsconsole.jobs import transitions
from opsconsole.jobs.admission import BACK_TO_PENDING
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.states import JobState, PauseReason, Reason, RunState
from opsconsole.jobs.transitions import Change

_OPEN = [state.value for state in JobState if not state.terminal]
_BEGUN = [RunState.CONNECTING.value, RunState.RUNNING.value]
_LOST = "The database was put on hold after a restore while this command ran; it may have run to its end."


@dataclass(frozen=True, slots=True)
class Held:
    """What ``hold`` found: runs that are now lost, and hosts that had not begun, in so many paused jobs."""

    lost: int
    waiting: int
    jobs: int


def hold(session: Session, *, by: str, reason: str, now: datetime) -> Held:
    """Holds the console and gives the database a new generation, which no process of before works for.

    Commands that were running are lost; what was connecting or queued waits again; every job with hosts that wait is
    paused, so that lifting the hold alone starts none of them.
    """
    job_ids = list(session.scalars(select(Job.id).where(Job.state.in_(_OPEN)).order_by(Job.id)))
    lost = sum(_settle(session, job_id, now) for job_id in job_ids)
    waiting = jobs = 0
    for job_id in job_ids:
        values = {"pause_reason": PauseReason.OPERATOR.value, "paused_by": by}
        transitions.move_job(session, job_id, JobState.PAUSED, values)
        left = session.execute(select(Job.n_q).where(Job.id == job_id)).scalar_one()
        waiting, jobs = waiting + left, jobs + bool(left)
    session.execute(update(WorkerProcess).where(WorkerProcess.gone_at.is_(None)).values(gone_at=now, reaped_at=now))
    console = session.get_one(Console, 1, with_for_update=True, populate_existing=True)
    former, console.generation = console.generation, secrets.token_hex(16)
    console.held_at, console.held_by, console.held_reason = now, by, reason[:500]
    session.flush()
    detail = {"generation": former, "lost": lost, "waiting": waiting, "jobs": jobs}
    record(session, None, "console.recover", now=now, text=reason, detail=detail)
    return Held(lost, waiting, jobs)


def _settle(session: Session, job_id: int, now: datetime) -> int:
    """Ends what ran and takes back what had not begun; returns how many runs are lost."""
    transitions.lock_job(session, job_id)
    begun = session.scalars(select(HostRun).where(HostRun.job_id == job_id, HostRun.state.in_(_BEGUN)))
    changes = [_change(run, now) for run in begun]
    transitions.apply(session, changes, now)
    transitions.take_back(session, job_id, now)
    return sum(change.target is RunState.LOST for change in changes)


def _change(run: HostRun, now: datetime) -> Change:
    # The fence rises, so that nobody who held the run in another life of the database can write anything about it.
    if run.state == RunState.RUNNING:
        values = {"reason": Reason.WORKER_LOST.value, "detail": _LOST, "finished_at": now}
        return Change(run.id, run.job_id, RunState.LOST, claim=True, values=values)
    if run.cancel_requested_at is not None:
        values = {"reason": Reason.BEFORE_START.value, "detail": "Cancelled before it started.", "finished_at": now}
        return Change(run.id, run.job_id, RunState.CANCELLED, claim=True, values=values)
    again = {**BACK_TO_PENDING, "attempt": run.attempt + 1}
    return Change(run.id, run.job_id, RunState.PENDING, claim=True, values=again)
