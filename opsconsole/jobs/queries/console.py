"""What all jobs share: the console's own row, its workers, whether it is held, and what a person should be told."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.jobs.models import HostRun, WorkerProcess
from opsconsole.jobs.states import RunState


def iso(moment: datetime | None) -> str | None:
    """Returns ISO 8601 in UTC with milliseconds, as the contract writes times."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(session: Session) -> str:
    """Returns the console's epoch: another one means another database, so versions cannot be compared."""
    return session.get_one(Console, 1).epoch


class Offer(NamedTuple):
    """How many hosts the live workers handle at once, how many workers take runs, and what the drained are called.

    A drained worker counts with the runs that it still has in hand: these are among those in flight, too.
    """

    slots: int
    takers: int
    drained: list[str]


def offer(session: Session) -> Offer:
    """Returns what the workers offer, but for those that stop."""
    here = (WorkerProcess.gone_at.is_(None), WorkerProcess.draining.is_(False))
    found = list(session.scalars(select(WorkerProcess).where(*here).order_by(WorkerProcess.name)))
    drained = [worker for worker in found if worker.drained_at is not None]
    slots = sum(worker.slots if worker.drained_at is None else worker.busy for worker in found)
    labels = [worker.label for worker in found]
    names = [worker.label if labels.count(worker.label) == 1 else worker.name for worker in drained]
    return Offer(slots, len(found) - len(drained), names)


def workers(session: Session) -> dict[str, Any]:
    """Returns the live worker processes and the sums that the top bar shows.

    ``state`` of a worker is ``working``, ``stopping`` (its process was told to end), ``draining`` or ``drained`` (a
    person lets it take nothing more, with runs in hand or without).
    """
    alive = session.scalars(select(WorkerProcess).where(WorkerProcess.gone_at.is_(None)).order_by(WorkerProcess.name))
    listed = [_worker(session, worker) for worker in alive]
    slots = sum(worker["slots"] if worker["drained_at"] is None else worker["busy"] for worker in listed)
    return {"workers": len(listed), "slots": slots, "busy": sum(worker["busy"] for worker in listed), "list": listed}


def _worker(session: Session, worker: WorkerProcess) -> dict[str, Any]:
    plain = ("id", "name", "label", "pid", "version", "slots", "busy", "draining", "drained_by")
    facts = {name: getattr(worker, name) for name in plain}
    state = "stopping" if worker.draining else "working"
    if worker.drained_at is not None:
        # A heartbeat is seconds old; "drained" must be true when it is said.
        held = [RunState.CONNECTING.value, RunState.RUNNING.value]
        mine = select(func.count()).where(HostRun.owner == worker.id, HostRun.state.in_(held))
        facts["busy"] = session.scalar(mine) or 0
        state = state if worker.draining else "draining" if facts["busy"] else "drained"
    times = {name: iso(getattr(worker, name)) for name in ("beat_at", "started_at", "drained_at")}
    return facts | {"state": state} | times


def hold(session: Session) -> dict[str, Any]:
    """Returns whether the console is held, since when, by whom and why."""
    console = session.get_one(Console, 1)
    return {
        "held": console.held_at is not None,
        "at": iso(console.held_at),
        "by": console.held_by,
        "reason": console.held_reason,
    }
