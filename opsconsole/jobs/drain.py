"""A worker that a person has drained: it takes no further run, what it has in hand goes on, and it stays alive.

That stands in the worker's row. A new process has a new row, so a worker that is started anew takes runs again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, Forbidden, NotFound
from opsconsole.jobs import queries
from opsconsole.jobs.dispatch import republish_soon
from opsconsole.jobs.entries import Entry, TakeRun
from opsconsole.jobs.handover import TakeOver, TurnedAway
from opsconsole.jobs.models import WorkerProcess


def drain(session: Session, name: str, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """Returns the worker ``name`` as it is listed, which takes no run from this transaction's commit on.

    ``name`` is its name, its id, or the part of its name between the colons where one worker alone has that. Again is
    no error and keeps who did it first. Raises ``Forbidden``, ``NotFound``, and ``Conflict`` for a part that several
    have.
    """
    worker = _found(session, name, actor)
    if worker.drained_at is None:
        worker.drained_at, worker.drained_by = now, actor.name
        record(session, actor, "worker.drain", now=now, object=f"worker:{worker.name}")
    return _listed(session, worker)


def resume(session: Session, name: str, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """Returns the worker ``name`` as it is listed, which takes runs again; raises what ``drain`` raises."""
    worker = _found(session, name, actor)
    if worker.drained_at is not None:
        detail = {"drained_by": worker.drained_by}
        worker.drained_at = worker.drained_by = None
        # Whose message this worker has turned away is offered to it at once, too.
        republish_soon(session, now)
        record(session, actor, "worker.resume", now=now, object=f"worker:{worker.name}", detail=detail)
    return _listed(session, worker)


def is_drained(session: Session, worker_id: str) -> bool:
    """Returns whether a person has drained the worker."""
    return session.scalar(select(WorkerProcess.drained_at).where(WorkerProcess.id == worker_id)) is not None


def gated(session: Session, worker_id: str, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Returns the entries of a worker; of a drained one those that would take a run only leave it to the others.

    It is read in the transaction that would claim: after the drain is committed, no claim is.
    """
    takes = [isinstance(entry, TakeRun | TakeOver) for entry in entries]
    if not any(takes) or not is_drained(session, worker_id):
        return entries
    return [TurnedAway(entry.run_id) if isinstance(entry, TakeRun | TakeOver) else entry for entry in entries]


def _found(session: Session, name: str, actor: Actor) -> WorkerProcess:
    if not actor.may(Permission.DRAIN_WORKERS):
        raise Forbidden("Only an admin may drain workers and let them take runs again.")
    alive = list(session.scalars(select(WorkerProcess).where(WorkerProcess.gone_at.is_(None)).with_for_update()))
    exact = [worker for worker in alive if name in (worker.name, worker.id)]
    found = exact or [worker for worker in alive if name in (worker.label, f"{worker.machine}:{worker.label}")]
    if not found:
        raise NotFound("No such worker is connected.", code="worker_not_found")
    if len(found) > 1:
        raise Conflict("Several workers are called so: use the whole name of one.", code="worker_ambiguous")
    return found[0]


def _listed(session: Session, worker: WorkerProcess) -> dict[str, Any]:
    session.flush()
    return next(item for item in queries.workers(session)["list"] if item["id"] == worker.id)
