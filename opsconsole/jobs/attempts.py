"""Attempts at a host that ended before the command started: kept for the record, and followed by another try."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.db.inserts import insert_missing
from opsconsole.jobs import transitions
from opsconsole.jobs.admission import NOT_STARTED
from opsconsole.jobs.models import HostRun, Job, RunAttempt
from opsconsole.jobs.ports import Unreached
from opsconsole.jobs.states import JobState, Reason, StopReason
from opsconsole.jobs.transitions import Change


def keep(session: Session, run: HostRun, attempt: int, reason: Reason, detail: str, now: datetime) -> None:
    """Writes down how ``attempt`` at ``run`` ended; the row still tells who had it and since when."""
    values = {
        "host_run_id": run.id,
        "attempt": attempt,
        "reason": reason.value,
        "detail": detail[:500],
        "worker": run.worker,
        "claimed_at": run.claimed_at,
        "finished_at": now,
    }
    session.execute(insert_missing(session, RunAttempt), [values])


def ended_unreached(session: Session, run_id: int, attempt: int, unreached: Unreached, now: datetime) -> None:
    """Keeps the record of an attempt whose run has just begun to wait for another one.

    A job that was stopped meanwhile tries nothing more: the run ends for the reason of the stop.
    """
    run = session.get_one(HostRun, run_id, populate_existing=True)
    keep(session, run, attempt, unreached.reason, unreached.detail, now)
    run.claimed_at = None
    session.flush()
    state, stop = session.execute(select(Job.state, Job.stop_reason).where(Job.id == run.job_id)).one()
    if state != JobState.STOPPING or stop is None:
        return
    target, reason, detail = NOT_STARTED[StopReason(stop)]
    values = {"reason": reason.value, "detail": f"{unreached.detail} {detail}"[:500], "finished_at": now}
    transitions.apply(session, [Change(run_id, run.job_id, target, values=values)], now)
