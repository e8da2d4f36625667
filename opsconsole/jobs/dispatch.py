"""Which pending runs may go next. The rows are the outbox: they are committed as queued before a message is sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import transitions
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, Reason, RunState, StopReason

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

    A crossed failure threshold stops the job instead. Returns ``(run id, attempt)`` of the messages to publish once
    the caller's transaction is committed.
    """
    published: Published = []
    for job_id in sorted(set(job_ids)):
        published.extend(_fill_job(session, job_id, now, slots))
    return published


def sweep(session: Session, now: datetime, *, slots: int) -> Published:
    """Does for every active job what ``fill`` does, and gathers queued runs whose message seems lost."""
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


_LOOK = (Job.state, Job.target_count, Job.options, Job.n_q, Job.n_queued, Job.n_f, Job.n_k, Job.n_u, Job.n_l)


def _fill_job(session: Session, job_id: int, now: datetime, slots: int) -> Published:
    # Not the whole row: its command may be large, and this is asked for every group of finished hosts.
    job = session.execute(select(*_LOOK).where(Job.id == job_id)).one_or_none()
    if job is None or not job.n_q:
        return []
    if job.state not in {JobState.PENDING, JobState.RUNNING}:
        return []
    options = RunOptions.from_json(job.options)
    if _stopped_by_threshold(session, job_id, job, options, now) or job.n_q == job.n_queued:
        return []
    # The numbers are read again under the lock; the first look only spares the lock when there is nothing to do.
    transitions.lock_job(session, job_id)
    free = options.concurrency - transitions.in_flight(session, job_id)
    waiting = int(session.scalar(select(func.sum(Job.n_queued)).where(Job.state.in_(_ACTIVE_JOBS))) or 0)
    room = min(free, slots * _WAITING_PER_SLOT - waiting)
    if room <= 0:
        return []
    if job.state == JobState.PENDING:
        transitions.move_job(session, job_id, JobState.RUNNING, {"started_at": now})
    values = {
        "queued_at": now,
        "next_publish_at": now + timedelta(seconds=_REPUBLISH_SECONDS),
        "publishes": 1,
    }
    return transitions.move_many(session, job_id, RunState.PENDING, RunState.QUEUED, values, now, limit=room)


_ACTIVE_JOBS = [JobState.PENDING.value, JobState.RUNNING.value, JobState.STOPPING.value]


def _stopped_by_threshold(session: Session, job_id: int, job: Row[Any], options: RunOptions, now: datetime) -> bool:
    allowed = options.allowed_failures(job.target_count)
    if allowed is None or job.n_f + job.n_k + job.n_u + job.n_l <= allowed:
        return False
    stop = {"stop_reason": StopReason.THRESHOLD.value}
    if transitions.move_job(session, job_id, JobState.STOPPING, stop):
        skipped = {"reason": Reason.THRESHOLD.value, "finished_at": now, "detail": "Too many hosts failed before."}
        for source in (RunState.PENDING, RunState.QUEUED):
            transitions.move_many(session, job_id, source, RunState.SKIPPED, skipped, now)
    return True
