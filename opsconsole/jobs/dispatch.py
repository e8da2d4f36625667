"""Which pending runs may go next. The rows are the outbox: they are committed as queued before a message is sent."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.jobs import fairness, queries, stages, transitions
from opsconsole.jobs.admission import over_budget
from opsconsole.jobs.choosing import Place, choose
from opsconsole.jobs.fairness import Want
from opsconsole.jobs.limits import NO_CAPS, Caps
from opsconsole.jobs.models import HostRun, Job, LeaderLease
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, RunState, StopReason

# A message that was lost is sent again after this long, then ever more rarely: repeats are harmless but not free.
_REPUBLISH_SECONDS = 30
_REPUBLISH_MOST_SECONDS = 600

Published = list[tuple[int, int]]


class Filled(NamedTuple):
    """The messages to publish once the transaction is committed, and whether other jobs should have slots as well."""

    published: Published
    others_wait: bool


def live_slots(session: Session) -> int:
    """Returns how many hosts the live workers can handle at once."""
    return queries.offer(session).slots


def fill(session: Session, job_ids: Collection[int], now: datetime, *, slots: int, caps: Caps = NO_CAPS) -> Filled:
    """Queues pending runs of the jobs, whose locks the caller holds: their fair share of ``slots``, up to each job's
    concurrency.

    A crossed failure threshold stops the job instead, and where a wave is over it lets the next one start or not.
    Under ``caps`` only ``sweep`` queues, because sweeps never run side by side.
    """
    found = _judged(session, _active(session), job_ids, now)
    if found.held:
        return Filled([], others_wait=False)
    shares = found.shares(slots)
    if caps.limiting:
        return Filled([], others_wait=bool(shares))
    published: Published = []
    for job_id in sorted(shares.keys() & set(job_ids)):
        published += _queue(session, found.jobs[job_id], now, caps, shares[job_id])
    return Filled(published, others_wait=bool(shares.keys() - set(job_ids)))


def sweep(session: Session, now: datetime, *, slots: int, caps: Caps = NO_CAPS) -> Published:
    """Does for every active job what ``fill`` does, and gathers queued runs whose message seems lost.

    What one job cannot use, because of a wave or a limit, goes to the others. Nothing is queued or sent while the
    console is held.
    """
    if caps.limiting:
        session.execute(select(LeaderLease.name).with_for_update())
    found = _active(session)
    found = _judged(session, found, found.jobs.keys(), now)
    if found.held:
        return []
    published = _fill_all(session, found, now, slots, caps)
    fresh = {run_id for run_id, _ in published}
    due = select(HostRun).where(HostRun.state == RunState.QUEUED.value, HostRun.next_publish_at <= now)
    # A row that somebody is changing needs no message now, and waiting for it without its job's lock could deadlock.
    due = due.order_by(HostRun.next_publish_at).limit(1000).with_for_update(skip_locked=True)
    for run in session.scalars(due):
        if run.id not in fresh:
            published.append((run.id, run.attempt))
            wait = min(_REPUBLISH_SECONDS * 2 ** min(run.publishes, 10), _REPUBLISH_MOST_SECONDS)
            run.next_publish_at = now + timedelta(seconds=wait)
            run.publishes += 1
    session.flush()
    return published


def _fill_all(session: Session, found: "_Active", now: datetime, slots: int, caps: Caps) -> Published:
    published: Published = []
    while shares := found.shares(slots):
        for job_id, share in sorted(shares.items()):
            queued: Published = []
            most = min(share, found.room_of_person(job_id, caps))
            # The first look spares the lock, and so a new version, when there is nothing to queue.
            if _chosen(session, found.jobs[job_id], now, caps, min(most, 1)):
                transitions.lock_job(session, job_id)
                (job,) = _look(session, Job.id == job_id)
                queued = _queue(session, job, now, caps, most)
            published += queued
            found.note(job_id, len(queued), satisfied=len(queued) < share)
    return published


def republish_soon(session: Session, now: datetime) -> None:
    """Makes every queued run due at once: some message may have gone down with a worker or the broker."""
    session.execute(update(HostRun).where(HostRun.state == RunState.QUEUED.value).values(next_publish_at=now))


def settle_turns(session: Session, deliveries: list[tuple[int, int]]) -> Published:
    """Lets each delivered message be a chance for the run whose turn it is, which may be another than its own.

    Changes ``deliveries`` in place and returns the messages to send again for the runs that were passed over.
    """
    if not deliveries:
        return []
    hands = select(Job.id, Job.created_by_id, Job.priority, Job.n_queued, Job.n_c, Job.n_r)
    queued = session.execute(hands.where(Job.state.in_(_GOING), Job.n_queued > 0)).all()
    if len(queued) < 2:
        return []
    wants = [Want(job.id, job.created_by_id, job.priority, job.n_c + job.n_r, job.n_queued) for job in queued]
    rows = session.execute(
        select(HostRun.id, HostRun.job_id, HostRun.attempt).where(
            HostRun.id.in_([run_id for run_id, _ in deliveries]), HostRun.state == RunState.QUEUED.value
        )
    )
    jobs = {(row.id, row.attempt): row.job_id for row in rows}
    valid = [place for place, delivery in enumerate(deliveries) if delivery in jobs]
    delivered = [jobs[deliveries[place]] for place in valid]
    turns = fairness.turns(wants, delivered)
    passed_over: Published = []
    for job_id in {turn for turn, own in zip(turns, delivered, strict=True) if turn != own}:
        places = [p for p, turn, own in zip(valid, turns, delivered, strict=True) if turn == job_id != own]
        for place, run in zip(places, _next_queued(session, job_id, deliveries, len(places)), strict=False):
            passed_over.append(deliveries[place])
            deliveries[place] = run
    return passed_over


def _next_queued(session: Session, job_id: int, but: Iterable[tuple[int, int]], count: int) -> Published:
    query = select(HostRun.id, HostRun.attempt).where(HostRun.job_id == job_id, HostRun.state == RunState.QUEUED.value)
    query = query.where(HostRun.id.not_in([run_id for run_id, _ in but])).order_by(HostRun.rank)
    return [(row.id, row.attempt) for row in session.execute(query.limit(count))]


# Not the whole row: its command may be large, and this is asked for every group of finished hosts.
_LOOK = (
    Job.id,
    Job.created_by_id,
    Job.priority,
    Job.state,
    Job.options,
    Job.started_at,
    or_(Job.plan.is_not(None), Job.step.is_not(None)).label("staged"),
    Job.step,
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
    select(Console.held_at).limit(1).scalar_subquery().label("held_at"),
)
_ACTIVE_JOBS = [JobState.PENDING.value, JobState.RUNNING.value, JobState.PAUSED.value, JobState.STOPPING.value]
_GOING = frozenset({JobState.PENDING.value, JobState.RUNNING.value})


@dataclass(slots=True)
class _Active:
    """All jobs that have not ended, as of one look; exact for those whose lock is held."""

    jobs: dict[int, Row[Any]]
    # What was queued since the look, and which jobs could use no more than they got.
    queued: dict[int, int] = field(default_factory=dict)
    satisfied: set[int] = field(default_factory=set)

    @property
    def held(self) -> bool:
        """Whether the console is held."""
        return any(job.held_at is not None for job in self.jobs.values())

    def wants(self) -> list[Want]:
        """Returns what each job has in flight and could use."""
        found = []
        for job in self.jobs.values():
            fresh = self.queued.get(job.id, 0)
            in_flight, count = _in_flight(job) + fresh, 0
            if job.state in _GOING and job.hold_ms is None and job.id not in self.satisfied:
                count = max(min(job.n_q - job.n_queued - fresh, job.options["concurrency"] - in_flight), 0)
            found.append(Want(job.id, job.created_by_id, job.priority, in_flight, count))
        return found

    def shares(self, slots: int) -> dict[int, int]:
        """Returns how many hosts of each job may be queued now."""
        waiting = sum(job.n_queued for job in self.jobs.values()) + sum(self.queued.values())
        return fairness.shares(self.wants(), slots=slots, waiting=waiting)

    def room_of_person(self, job_id: int, caps: Caps) -> int:
        """Returns how many more hosts the job's person may have in flight."""
        person = self.jobs[job_id].created_by_id
        load = sum(want.in_flight for want in self.wants() if want.person == person)
        return caps.user_room(load)

    def note(self, job_id: int, queued: int, *, satisfied: bool) -> None:
        """Takes down what a job got, and whether it could use no more."""
        self.queued[job_id] = self.queued.get(job_id, 0) + queued
        if satisfied:
            self.satisfied.add(job_id)


def _look(session: Session, *where: ColumnElement[bool]) -> Sequence[Row[Any]]:
    return session.execute(select(*_LOOK).where(*where).order_by(Job.id)).all()


def _active(session: Session) -> _Active:
    return _Active({job.id: job for job in _look(session, Job.state.in_(_ACTIVE_JOBS))})


def _judged(session: Session, found: _Active, job_ids: Collection[int], now: datetime) -> _Active:
    """Stops jobs in which too many hosts failed and ends waves that are over; returns how the jobs stand then."""
    judged = False
    for job_id in sorted(found.jobs.keys() & set(job_ids)):
        job = found.jobs[job_id]
        if _failed_too_often(job) or (
            _between_waves(job) and not stages.wave_open(session, job_id, job.wave, job.step)
        ):
            transitions.lock_job(session, job_id)
            (job,) = _look(session, Job.id == job_id)
            if _failed_too_often(job):
                stages.stop(session, job_id, StopReason.THRESHOLD, now)
            else:
                stages.advance(session, job_id, now)
            judged = True
    return _active(session) if judged else found


def _in_flight(job: Row[Any]) -> int:
    return int(job.n_queued + job.n_c + job.n_r)


def _failed_too_often(job: Row[Any]) -> bool:
    if job.state == JobState.STOPPING:
        return False
    allowed, count_unreachable = job.failures_allowed, job.count_unreachable
    return over_budget(allowed, count_unreachable, f=job.n_f, k=job.n_k, u=job.n_u, lost=job.n_l)


def _between_waves(job: Row[Any]) -> bool:
    return bool(job.staged) and job.state in _GOING and not _in_flight(job) and job.hold_ms is None


def _chosen(session: Session, job: Row[Any], now: datetime, caps: Caps, room: int) -> list[int]:
    if room <= 0 or job.state not in _GOING or job.hold_ms is not None:
        return []
    options = RunOptions.from_json(job.options)
    free = min(room, options.concurrency - _in_flight(job))
    return (
        choose(session, Place(job.id, job.staged, job.wave, job.step), options, caps, room=free, now=now)
        if free > 0
        else []
    )


def _queue(session: Session, job: Row[Any], now: datetime, caps: Caps, room: int) -> Published:
    chosen = _chosen(session, job, now, caps, room)
    if not chosen:
        return []
    if job.state == JobState.PENDING:
        transitions.move_job(session, job.id, JobState.RUNNING, {})
    if job.started_at is None:
        started = update(Job).where(Job.id == job.id).values(started_at=now)
        session.execute(started.execution_options(synchronize_session=False))
    values = {
        "queued_at": now,
        "next_publish_at": now + timedelta(seconds=_REPUBLISH_SECONDS),
        "publishes": 1,
    }
    return transitions.move_many(session, job.id, RunState.PENDING, RunState.QUEUED, values, now, only=chosen)
