"""Which pending runs may go next. The rows are the outbox: they are committed as queued before a message is sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.jobs import stages, transitions
from opsconsole.jobs.admission import over_budget
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, RunState, StopReason

# A message that was lost is sent again after this long, then ever more rarely: repeats are harmless but not free.
_REPUBLISH_SECONDS = 30
_REPUBLISH_MOST_SECONDS = 600
# How many messages may wait in the broker for each slot of the live workers: enough that no slot waits for the
# dispatcher, few enough that pause and cancel act at once and a lost broker loses little.
_WAITING_PER_SLOT = 2

Published = list[tuple[int, int]]


def live_slots(session: Session) -> int:
    """Returns how many hosts the live workers can handle at once."""
    query = select(func.sum(WorkerProcess.slots)).where(
        WorkerProcess.gone_at.is_(None), WorkerProcess.draining.is_(False)
    )
    return int(session.scalar(query) or 0)


def fill(session: Session, job_ids: Iterable[int], now: datetime, *, slots: int) -> Published:
    """Queues pending runs of the jobs, up to each job's concurrency and the window of ``slots``.

    A crossed failure threshold stops the job instead, and where a wave is over it lets the next one start or not.
    Returns ``(run id, attempt)`` of the messages to publish once the caller's transaction is committed.
    """
    if _held(session):
        return []
    published: Published = []
    for job_id in sorted(set(job_ids)):
        published.extend(_fill_job(session, job_id, now, slots))
    return published


def sweep(session: Session, now: datetime, *, slots: int) -> Published:
    """Does for every active job what ``fill`` does, and gathers queued runs whose message seems lost.

    Does nothing while the console is held.
    """
    if _held(session):
        return []
    active = select(Job.id).where(Job.state.in_([JobState.PENDING.value, JobState.RUNNING.value])).order_by(Job.id)
    job_ids = list(session.scalars(active))
    published = fill(session, job_ids, now, slots=slots)
    fresh = {run_id for run_id, _ in published}
    due = select(HostRun).where(HostRun.state == RunState.QUEUED.value, HostRun.next_publish_at <= now)
    for run in session.scalars(due.order_by(HostRun.next_publish_at).limit(1000)):
        if run.id not in fresh:
            published.append((run.id, run.attempt))
            wait = min(_REPUBLISH_SECONDS * 2 ** min(run.publishes, 10), _REPUBLISH_MOST_SECONDS)
            run.next_publish_at = now + timedelta(seconds=wait)
            run.publishes += 1
    session.flush()
    return published


def republish_soon(session: Session, now: datetime) -> None:
    """Makes every queued run due at once: some message may have gone down with a worker or the broker."""
    session.execute(update(HostRun).where(HostRun.state == RunState.QUEUED.value).values(next_publish_at=now))


def _held(session: Session) -> bool:
    return session.scalar(select(Console.held_at).limit(1)) is not None


# Not the whole row: its command may be large, and this is asked for every group of finished hosts.
_LOOK = (
    Job.id,
    Job.state,
    Job.options,
    Job.started_at,
    Job.plan.is_not(None).label("staged"),
    Job.wave,
    Job.hold_ms,
    Job.failures_allowed,
    Job.count_unreachable,
    Job.n_q,
    Job.n_queued,
    Job.n_c,
    Job.n_r,
    Job.n_f,
    Job.n_k,
    Job.n_u,
    Job.n_l,
)
_ACTIVE_JOBS = [JobState.PENDING.value, JobState.RUNNING.value, JobState.PAUSED.value, JobState.STOPPING.value]


def _fill_job(session: Session, job_id: int, now: datetime, slots: int) -> Published:
    # The first look only spares the lock when there is nothing to do; what counts is read again under it.
    job = session.execute(select(*_LOOK).where(Job.id == job_id)).one_or_none()
    if job is None or not _something_to_do(job):
        return []
    transitions.lock_job(session, job_id)
    job = session.execute(select(*_LOOK).where(Job.id == job_id)).one()
    if _failed_too_often(job):
        stages.stop(session, job_id, StopReason.THRESHOLD, now)
        return []
    if _between_waves(job):
        stages.advance(session, job_id, now)
        job = session.execute(select(*_LOOK).where(Job.id == job_id)).one()
    if job.state not in {JobState.PENDING, JobState.RUNNING} or job.hold_ms is not None:
        return []
    waiting = int(session.scalar(select(func.sum(Job.n_queued)).where(Job.state.in_(_ACTIVE_JOBS))) or 0)
    free = RunOptions.from_json(job.options).concurrency - _in_flight(job)
    return _queue(session, job, now, min(free, slots * _WAITING_PER_SLOT - waiting))


def _something_to_do(job: Row[Any]) -> bool:
    if job.state not in {JobState.PENDING, JobState.RUNNING}:
        return False
    return _failed_too_often(job) or (job.n_q > job.n_queued and job.hold_ms is None)


def _in_flight(job: Row[Any]) -> int:
    return int(job.n_queued + job.n_c + job.n_r)


def _failed_too_often(job: Row[Any]) -> bool:
    """Says no when all hosts have ended: then nothing is left to be stopped."""
    failures = over_budget(job.failures_allowed, job.count_unreachable, f=job.n_f, k=job.n_k, u=job.n_u, lost=job.n_l)
    return failures and job.n_q + job.n_c + job.n_r > 0


def _between_waves(job: Row[Any]) -> bool:
    return bool(job.staged) and not _in_flight(job) and job.hold_ms is None


def _queue(session: Session, job: Row[Any], now: datetime, room: int) -> Published:
    if room <= 0:
        return []
    query = (
        select(HostRun.id, HostRun.attempt)
        .where(HostRun.job_id == job.id, HostRun.state == RunState.PENDING.value, HostRun.held.is_(False))
        .where(or_(HostRun.next_publish_at.is_(None), HostRun.next_publish_at <= now))
        .order_by(HostRun.rank)
        .limit(room)
    )
    if job.staged:
        query = query.where(HostRun.wave <= job.wave)
    found = [(row.id, row.attempt) for row in session.execute(query)]
    if not found:
        return []
    if job.state == JobState.PENDING:
        transitions.move_job(session, job.id, JobState.RUNNING, {})
    if job.started_at is None:
        session.execute(update(Job).where(Job.id == job.id).values(started_at=now))
    values = {
        "queued_at": now,
        "next_publish_at": now + timedelta(seconds=_REPUBLISH_SECONDS),
        "publishes": 1,
    }
    only = [run_id for run_id, _ in found]
    return transitions.move_many(session, job.id, RunState.PENDING, RunState.QUEUED, values, now, only=only)
