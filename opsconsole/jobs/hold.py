"""The hold of the whole console: the emergency stop, and how it is lifted. Nothing here needs the broker."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.db.console import Console
from opsconsole.errors import Forbidden
from opsconsole.jobs import control, queries, transitions
from opsconsole.jobs.dispatch import republish_soon
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import JobState

_REASON_CHARS = 500


def stop_all(
    session: Session, actor: Actor, *, reason: str | None = None, cancel: bool = True, now: datetime
) -> dict[str, Any]:
    """Holds the console, so that nothing starts, and with ``cancel`` cancels every job of everybody; returns the hold
    and the ids of the jobs it ``cancelled``.

    All in the caller's transaction. A hold that is there already keeps its author and reason. Raises ``Forbidden``.
    """
    if not actor.may(Permission.STOP_ALL):
        raise Forbidden("Your role or token may look at jobs but not stop them.")
    # The jobs' locks before the console's, as in every other transaction.
    cancelled = [job_id for job_id in _touch_open_jobs(session) if cancel and _cancel(session, job_id, actor, now)]
    console = _locked(session)
    fresh = console.held_at is None
    if fresh:
        console.held_at, console.held_by = now, actor.name
        console.held_reason = (reason or "").strip()[:_REASON_CHARS] or None
        session.flush()
    if fresh or cancelled:
        detail = {"reason": reason, "cancel": cancel, "jobs": cancelled}
        record(session, actor, "console.hold", now=now, detail=detail)
    return {**queries.hold(session), "cancelled": cancelled}


def lift(session: Session, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """Lets the console start commands again and returns the hold, which is none. What was cancelled stays so.

    Raises ``Forbidden``.
    """
    if not actor.may(Permission.LIFT_HOLD):
        raise Forbidden("Only an admin may let the console start commands again.")
    _touch_open_jobs(session)
    console = _locked(session)
    if console.held_at is not None:
        detail = {"held_by": console.held_by, "reason": console.held_reason}
        console.held_at = console.held_by = console.held_reason = None
        session.flush()
        # Messages that came in the meantime were dropped.
        republish_soon(session, now)
        record(session, actor, "console.lift", now=now, detail=detail)
    return queries.hold(session)


def _touch_open_jobs(session: Session) -> list[int]:
    """Takes the lock of each job that has not ended, which also lets its viewers read it anew; returns their ids."""
    open_states = [state.value for state in JobState if not state.terminal]
    job_ids = list(session.scalars(select(Job.id).where(Job.state.in_(open_states)).order_by(Job.id)))
    for job_id in job_ids:
        transitions.lock_job(session, job_id)
    return job_ids


def _cancel(session: Session, job_id: int, actor: Actor, now: datetime) -> bool:
    done = control.stop(session, job_id, actor, now=now)
    if done:
        record(session, actor, "job.cancel", now=now, object=f"job/{job_id}", detail={"stop_all": True})
    return done


def _locked(session: Session) -> Console:
    query = select(Console).where(Console.id == 1).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one()
