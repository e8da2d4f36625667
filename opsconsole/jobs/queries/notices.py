"""What every page should say at its top: trouble of the console itself, not of a job."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import Job, WorkerProcess
from opsconsole.jobs.queries.console import hold
from opsconsole.jobs.states import JobState

_OPEN = [state.value for state in JobState if not state.terminal]


def notices(session: Session, *, now: datetime, dead_after: float) -> list[dict[str, Any]]:
    """Returns ``{code, level, text}`` of each trouble, the worst first; ``level`` is ``error`` or ``warning``.

    ``dead_after`` is how many seconds a worker's heartbeat may be old. They go away by themselves.
    """
    found = []
    held = hold(session)
    if held["held"]:
        why = f": {held['reason']}" if held["reason"] else ""
        text = f"The console is held by {held['by'] or 'its operator'}{why}. Nothing starts until an admin lifts it."
        found.append(_notice("console_held", "error", text))
    waiting = int(session.scalar(select(func.sum(Job.n_q)).where(Job.state.in_(_OPEN))) or 0)
    if not _alive(session, now, dead_after):
        hosts = f" {_hosts(waiting)} for one." if waiting else ""
        text = f"No worker is connected.{hosts} Start one with: opsconsole worker"
        found.append(_notice("no_workers", "error" if waiting else "warning", text))
    return found


def _alive(session: Session, now: datetime, dead_after: float) -> bool:
    # When all workers died at once nobody is left to declare them gone. Clocks of two machines may differ a little.
    fresh = now - timedelta(seconds=2 * dead_after)
    query = select(WorkerProcess.id).where(WorkerProcess.gone_at.is_(None), WorkerProcess.beat_at > fresh)
    return session.scalars(query.limit(1)).first() is not None


def _hosts(count: int) -> str:
    return "1 host waits" if count == 1 else f"{count} hosts wait"


def _notice(code: str, level: str, text: str) -> dict[str, Any]:
    return {"code": code, "level": level, "text": text}
