"""What all jobs share: the console's own row, its workers, whether it is held, and what a person should be told."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.jobs.models import WorkerProcess


def iso(moment: datetime | None) -> str | None:
    """Returns ISO 8601 in UTC with milliseconds, as the contract writes times."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(session: Session) -> str:
    """Returns the console's epoch: another one means another database, so versions cannot be compared."""
    return session.get_one(Console, 1).epoch


def workers(session: Session) -> dict[str, Any]:
    """Returns the live worker processes and the sums that the top bar shows."""
    alive = session.scalars(select(WorkerProcess).where(WorkerProcess.gone_at.is_(None)).order_by(WorkerProcess.name))
    plain = ("id", "name", "pid", "version", "slots", "busy", "draining")
    listed: list[dict[str, Any]] = [
        {name: getattr(worker, name) for name in plain}
        | {"beat_at": iso(worker.beat_at), "started_at": iso(worker.started_at)}
        for worker in alive
    ]
    slots, busy = (sum(worker[name] for worker in listed) for name in ("slots", "busy"))
    return {"workers": len(listed), "slots": slots, "busy": busy, "list": listed}


def hold(session: Session) -> dict[str, Any]:
    """Returns whether the console is held, since when, by whom and why."""
    console = session.get_one(Console, 1)
    return {
        "held": console.held_at is not None,
        "at": iso(console.held_at),
        "by": console.held_by,
        "reason": console.held_reason,
    }
