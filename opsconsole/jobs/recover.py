"""Heartbeats, the leader's lease, and what becomes of the runs of a worker that is gone."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from opsconsole.db.inserts import insert_missing
from opsconsole.jobs import attempts, handover, transitions
from opsconsole.jobs.dispatch import republish_soon
from opsconsole.jobs.models import HostRun, Job, LeaderLease, WorkerProcess
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import BrokerFault, Reason, RunState
from opsconsole.jobs.tide import LEADER as LEADER
from opsconsole.jobs.transitions import Change

# So often a run may go down with its worker before the start; retries that its job asks for come on top.
MOST_ATTEMPTS = 3


def register(
    session: Session,
    worker_id: str,
    *,
    name: str,
    pid: int,
    slots: int,
    version: str,
    now: datetime,
    former_id: str | None = None,
) -> None:
    """Writes the row of a starting worker process, or of one that was ``former_id`` before: that one stays drained."""
    former = session.get(WorkerProcess, former_id) if former_id is not None else None
    worker = WorkerProcess(
        id=worker_id, name=name, pid=pid, slots=slots, version=version, started_at=now, beat_at=now, beat=1
    )
    if former is not None:
        worker.drained_at, worker.drained_by = former.drained_at, former.drained_by
    session.add(worker)


def beat(
    session: Session,
    worker_id: str,
    *,
    busy: int,
    draining: bool,
    now: datetime,
    broker_fault: BrokerFault | None = None,
    refuses: str | None = None,
) -> bool:
    """Advances a worker's heartbeat. Returns false when it was declared gone meanwhile: it then needs a new id.

    ``refuses`` says why it carries out nothing, when the database is not the one it knew.
    """
    values = {"busy": busy, "draining": draining, "broker_fault": broker_fault, "refuses": refuses, "beat_at": now}
    statement = (
        update(WorkerProcess)
        .where(WorkerProcess.id == worker_id, WorkerProcess.gone_at.is_(None))
        .values(beat=WorkerProcess.beat + 1, **values)
        .returning(WorkerProcess.beat)
    )
    return session.execute(statement).one_or_none() is not None


def mark_gone(session: Session, host: str, pid: int, now: datetime) -> int:
    """Marks the worker processes ``pid`` of machine ``host`` as ended and returns how many rows that were.

    For who knows for sure: the process itself when it leaves, or its supervisor that saw it die.
    """
    alive = select(WorkerProcess).where(WorkerProcess.pid == pid, WorkerProcess.gone_at.is_(None))
    found = [row for row in session.scalars(alive) if row.name.split(":", 1)[0] == host]
    for row in found:
        row.gone_at = now
    session.flush()
    return len(found)


@dataclass(slots=True)
class Observer:
    """Judges heartbeats by the observer's own monotonic clock, so that no wall clock can cause a false alarm.

    A value must stand still for ``dead_seconds`` under continuous observation. An observer that itself did not look
    for a third of that time (it was frozen, or the database was away) starts its observation anew.
    """

    dead_seconds: float
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float | None = None

    def still(self, beats: Iterable[tuple[str, int]], monotonic: float) -> list[str]:
        """Takes the current beats and returns whose stood still for too long."""
        if self._looked_at is None or monotonic - self._looked_at > self.dead_seconds / 3:
            self._seen.clear()
        self._looked_at = monotonic
        current: dict[str, tuple[int, float]] = {}
        for name, value in beats:
            before = self._seen.get(name)
            current[name] = before if before and before[0] == value else (value, monotonic)
        self._seen = current
        return [name for name, (_, since) in current.items() if monotonic - since >= self.dead_seconds]


def lead(session: Session, worker_id: str, observer: Observer, monotonic: float) -> bool:
    """Returns whether ``worker_id`` is the leader now, taking the lease when it is free or its holder stands still."""
    lease = session.get(LeaderLease, LEADER, with_for_update=True)
    if lease is None:
        # Two workers may start at once on a new database; one of them writes the row, both then ask for its lock.
        session.execute(insert_missing(session, LeaderLease).values(name=LEADER, beat=0))
        lease = session.get_one(LeaderLease, LEADER, with_for_update=True)
    if lease.owner == worker_id:
        lease.beat += 1
        session.flush()
        return True
    holder = session.get(WorkerProcess, lease.owner) if lease.owner else None
    stands_still = bool(observer.still([(str(lease.owner), lease.beat)], monotonic))
    if holder is not None and holder.gone_at is None and not stands_still:
        return False
    lease.owner, lease.beat = worker_id, lease.beat + 1
    session.flush()
    return True


def reap(session: Session, observer: Observer, monotonic: float, now: datetime) -> dict[str, int]:
    """Declares workers gone whose heartbeat stands still, and ends the runs of all that are gone truthfully.

    Returns the ids of the gone, those that signed off among them, with how many runs each left behind.
    """
    alive = session.execute(select(WorkerProcess.id, WorkerProcess.beat).where(WorkerProcess.gone_at.is_(None)))
    still = observer.still([(row.id, row.beat) for row in alive], monotonic)
    if still:
        session.execute(update(WorkerProcess).where(WorkerProcess.id.in_(still)).values(gone_at=now))
    gone = list(
        session.scalars(
            select(WorkerProcess.id).where(WorkerProcess.gone_at.is_not(None), WorkerProcess.reaped_at.is_(None))
        )
    )
    left = {worker_id: release(session, worker_id, now) for worker_id in gone}
    if gone:
        session.execute(update(WorkerProcess).where(WorkerProcess.id.in_(gone)).values(reaped_at=now))
        republish_soon(session, now)
    return left


def release(session: Session, worker_id: str, now: datetime) -> int:
    """Ends what a gone worker held: what had not started is queued again, what had started is lost, never re-run.

    A durable command goes on and waits for another worker. Returns how many runs that were.
    """
    runs = list(session.scalars(_held(worker_id)))
    _release(session, runs, now)
    return len(runs)


def release_stray(
    session: Session, worker_id: str, in_hand: Collection[int], before: Collection[tuple[int, int]], now: datetime
) -> set[tuple[int, int]]:
    """Ends the runs that are recorded as ``worker_id``'s and that it does not have in hand, though it lives.

    A claim can be committed although the answer got lost. ``before`` is what the look before this one returned: only
    a run that was stray then, too, is released. Returns the (run id, fence) that are stray now.
    """
    found = {(run.id, run.fence): run for run in session.scalars(_held(worker_id)) if run.id not in in_hand}
    stray = [run for key, run in found.items() if key in before]
    _release(session, stray, now)
    return set(found)


def _release(session: Session, runs: Sequence[HostRun], now: datetime) -> None:
    runs = [run for run in runs if not handover.goes_on(session, run, now)]
    most = _most_attempts(session, {run.job_id for run in runs})
    changes = [_released(run, most[run.job_id], now) for run in runs]
    for run, change, moved in zip(runs, changes, transitions.apply(session, changes, now), strict=True):
        if moved.won and change.target is RunState.QUEUED:
            detail = "The worker process ended while it connected."
            attempts.keep(session, run, run.attempt, Reason.WORKER_LOST, detail, now)


def _most_attempts(session: Session, job_ids: Collection[int]) -> dict[int, int]:
    found = session.execute(select(Job.id, Job.options).where(Job.id.in_(job_ids)))
    return {job_id: MOST_ATTEMPTS + RunOptions.from_json(options).retries for job_id, options in found}


def _held(worker_id: str) -> Select[HostRun]:
    started = [RunState.CONNECTING.value, RunState.RUNNING.value]
    query = select(HostRun).where(HostRun.owner == worker_id, HostRun.state.in_(started))
    return query.execution_options(populate_existing=True)


def _released(run: HostRun, most_attempts: int, now: datetime) -> Change:
    if run.state == RunState.RUNNING:
        detail = "The worker process ended while the command ran; it may have run to its end."
        values = {"reason": Reason.WORKER_LOST.value, "detail": detail, "finished_at": now}
        return Change(run.id, run.job_id, RunState.LOST, fence=run.fence, values=values)
    if run.cancel_requested_at is not None:
        values = {"reason": Reason.BEFORE_START.value, "detail": "Cancelled before it started.", "finished_at": now}
        return Change(run.id, run.job_id, RunState.CANCELLED, fence=run.fence, values=values)
    if run.attempt >= most_attempts:
        detail = f"The worker ended while connecting, {run.attempt} times."
        values = {"reason": Reason.WORKER_LOST.value, "detail": detail, "finished_at": now}
        return Change(run.id, run.job_id, RunState.UNREACHABLE, fence=run.fence, values=values)
    again = {"attempt": run.attempt + 1, "owner": None, "next_publish_at": now, "claimed_at": None}
    # The fence rises, so that whoever held the run can write nothing more about it.
    return Change(run.id, run.job_id, RunState.QUEUED, fence=run.fence, claim=True, values=again)
