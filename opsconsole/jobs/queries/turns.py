"""Whose turn it is: why a job waits, its place among those that wait, and how many slots there are."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, func, select, true
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.db.console import Console
from opsconsole.jobs.guard import COUNTDOWN_SLACK_MS
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.queries.console import Offer, hold, iso, offer
from opsconsole.jobs.states import JobState, PauseReason, Priority, RunState
from opsconsole.jobs.steps import Step, until

_OPEN = [state.value for state in JobState if not state.terminal]
_SERVED = [JobState.PENDING.value, JobState.RUNNING.value]
_LISTED_AT_MOST = 500
_NAMED_AT_MOST = 5
_AT_GATE = {
    PauseReason.WAVE: "It waits between two waves until a person lets it continue.",
    PauseReason.WAVE_FAILED: "A host of the last wave failed; a person has to let it continue, or cancel it.",
    PauseReason.CANARY: "Its canary is done; a person has to let it continue, or cancel it.",
}


class Slots(NamedTuple):
    """How many hosts the live workers can handle at once, and how many they have in hand."""

    total: int
    busy: int

    def to_json(self) -> dict[str, int]:
        """Returns the slots as the queue view tells them."""
        return {"total": self.total, "busy": self.busy, "free": max(self.total - self.busy, 0)}


def slots(session: Session) -> Slots:
    """Returns the slots of the workers that take work."""
    busy = session.scalar(select(func.sum(Job.n_c + Job.n_r)).where(Job.state.in_(_OPEN)))
    return Slots(offer(session).slots, int(busy or 0))


def turns(session: Session) -> list[int]:
    """Returns the ids of the jobs with hosts to start, in the order in which a free slot is offered to them.

    Higher priority first, then the person with the fewest hosts in flight, that person's job with the fewest, the
    older one.
    """
    in_flight = Job.n_queued + Job.n_c + Job.n_r
    rows = session.execute(
        select(Job.id, Job.created_by_id, Job.priority, Job.state, Job.n_q, in_flight).where(Job.state.in_(_OPEN))
    ).all()
    held_by: dict[int, int] = {}
    for _, person, _, _, _, flying in rows:
        held_by[person] = held_by.get(person, 0) + flying
    waiting_ones = [
        (-priority, held_by[person], flying, job_id)
        for job_id, person, priority, state, left, flying in rows
        if left and state in _SERVED
    ]
    return [job_id for *_, job_id in sorted(waiting_ones)]


def waiting(session: Session, job: Job, *, now: datetime) -> dict[str, Any] | None:
    """Returns why the job's next host does not start: ``code``, ``text`` in words, and the ``ahead``, ``slots`` and
    ``busy`` that go with it; ``None`` when nothing holds it back but its own concurrency, or it has none to start."""
    state = JobState(job.state)
    if not job.n_q or state.terminal or state is JobState.STOPPING:
        return None
    console = session.get_one(Console, 1)
    if console.held_at is not None:
        return _told("console_held", _held_text(console))
    if state is JobState.PAUSED:
        return _told("paused", _pause_text(job))
    started = job.n_c + job.n_r
    options = RunOptions.from_json(job.options)
    if started >= options.concurrency:
        return None
    there = slots(session)
    if not (offered := offer(session)).takers:
        return _nobody(offered, there)
    if job.hold_ms is not None:
        return _held_for(job)
    if not started and not job.n_queued and (why := _nothing_ready(session, job, now)):
        return why
    ahead = _ahead(session, job)
    if there.busy >= there.total:
        return _told("no_slot", f"Waiting for a free slot: {_ahead_text(ahead, there)}", there, ahead)
    if not job.n_queued and _limited(session, job):
        limit = f"limit {options.limit_per}" if options.limit_per else "console's limit on hosts of one kind"
        return _told("limit", f"The {limit} holds the others back.")
    if started:
        return None
    if not ahead:
        return _told("turn", "Waiting for a worker to take it up.", there, ahead)
    return _told("turn", f"Waiting for its turn: {_ahead_text(ahead, there)}", there, ahead)


def _nobody(offered: Offer, there: Slots) -> dict[str, Any]:
    if not offered.drained:
        return _told("no_workers", "No worker is connected; the job waits for one.", there)
    names = offered.drained
    named = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if len(names) <= _NAMED_AT_MOST else "each"
    are = "are" if 1 < len(names) <= _NAMED_AT_MOST else "is"
    return _told("workers_drained", f"No worker takes runs: {named} {are} drained.", there)


def _held_for(job: Job) -> dict[str, Any]:
    if job.wave == 0:
        return _told("countdown", f"It starts in {max(round(starts_in_ms(job) / 1000), 1)} s.")
    return _told("wave_pause", f"The next wave starts in {max(round((job.hold_ms or 0) / 1000), 1)} s.")


def starts_in_ms(job: Job) -> int:
    """Returns after how many milliseconds at the earliest a job starts that counts down."""
    return max((job.hold_ms or 0) - COUNTDOWN_SLACK_MS, 0)


def backlog(session: Session) -> dict[str, Any]:
    """Returns how many hosts of everybody's jobs wait for workers (``hosts``), and since when (``since``) the oldest of
    these jobs is there. A paused job waits for a person."""
    query = select(func.coalesce(func.sum(Job.n_q), 0), func.min(Job.created_at))
    hosts, since = session.execute(query.where(Job.state.in_(_SERVED), Job.n_q > 0)).one()
    return {"hosts": int(hosts), "since": iso(since)}


def queue(session: Session, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """Returns the queue: the hold, the slots, what has not started, and the jobs not ended that ``actor`` may see, in
    the order of their turns. ``place`` counts from 1 over everybody's jobs; ``None``: it has no host to start."""
    query = select(Job).where(Job.state.in_(_OPEN)).order_by(Job.id).limit(_LISTED_AT_MOST)
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(Job.created_by_id == actor.user_id)
    place = {job_id: number for number, job_id in enumerate(turns(session), start=1)}
    jobs = sorted(session.scalars(query), key=lambda job: (place.get(job.id, 10**9), job.id))
    return {
        "hold": hold(session),
        "slots": slots(session).to_json(),
        "backlog": backlog(session),
        "jobs": [_queued(session, job, place.get(job.id), now) for job in jobs],
    }


def _queued(session: Session, job: Job, place: int | None, now: datetime) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.title,
        "by": job.created_by,
        "priority": Priority(job.priority).name.lower(),
        "state": job.state,
        "place": place,
        "pending": job.n_q,
        "in_flight": job.n_c + job.n_r,
        "concurrency": RunOptions.from_json(job.options).concurrency,
        "waits": waiting(session, job, now=now),
    }


def _nothing_ready(session: Session, job: Job, now: datetime) -> dict[str, Any] | None:
    """Says why no pending host of the current wave may start, if that is so."""
    resting = HostRun.next_publish_at > now
    held, later, ready = session.execute(
        select(
            func.sum(case((HostRun.held, 1), else_=0)),
            func.sum(case((HostRun.held, 0), (resting, 1), else_=0)),
            func.sum(case((HostRun.held, 0), (resting, 0), else_=1)),
        ).where(
            HostRun.job_id == job.id,
            HostRun.state == RunState.PENDING.value,
            HostRun.wave <= job.wave,
            HostRun.step.in_(until(Step(job.step))) if job.step is not None else true(),
        )
    ).one()
    if ready:
        return None
    if later:
        return _told("retry", f"Waits a little before it tries {_hosts(later)} again.")
    if held:
        return _told("held_hosts", f"{_hosts(held)} held back by a person; resume them to go on.")
    return None


def _limited(session: Session, job: Job) -> bool:
    """Returns whether pending hosts of the job count for a limit."""
    pending = select(HostRun.id).where(HostRun.job_id == job.id, HostRun.state == RunState.PENDING.value)
    return session.scalars(pending.where(HostRun.limit_keys.is_not(None)).limit(1)).first() is not None


def _ahead(session: Session, job: Job) -> int:
    order = turns(session)
    return order.index(job.id) if job.id in order else 0


def _told(code: str, text: str, there: Slots | None = None, ahead: int | None = None) -> dict[str, Any]:
    total, busy = (there.total, there.busy) if there else (None, None)
    return {"code": code, "text": text, "ahead": ahead, "slots": total, "busy": busy}


def _held_text(console: Console) -> str:
    why = f": {console.held_reason}" if console.held_reason else ""
    return f"The console is held by {console.held_by or 'its operator'}{why}. Nothing starts until it is lifted."


def _pause_text(job: Job) -> str:
    at_gate = _AT_GATE.get(PauseReason(job.pause_reason)) if job.pause_reason else None
    return at_gate or (f"Paused by {job.paused_by}." if job.paused_by else "Paused.")


def _ahead_text(ahead: int, there: Slots) -> str:
    jobs = "1 job" if ahead == 1 else f"{ahead or 'no'} jobs"
    return f"{jobs} ahead, {min(there.busy, there.total)} of {there.total} slots busy"


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
