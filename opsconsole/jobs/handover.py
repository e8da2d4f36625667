"""Durable runs change hands: the command goes on at its host while no worker follows it, until one takes it over.

A run is left with ``owner`` NULL, its fence unchanged: a worker that was given up by mistake may still finish it. The
fence rises when another one takes it over.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import transitions
from opsconsole.jobs.claims import Claim, ClaimReader
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.states import RunState

# A message that was lost is sent again, ever more rarely; one that comes twice finds the fence raised.
_REPEAT_SECONDS = 10
_REPEAT_MOST_SECONDS = 600
_AT_ONCE = 1000


def goes_on(session: Session, run: HostRun, now: datetime) -> bool:
    """Lets go of ``run``, whose worker is gone, if its command goes on all the same; returns whether it does."""
    if run.state != RunState.RUNNING:
        return False
    durable = session.execute(select(Job.durable).where(Job.id == run.job_id)).scalar_one()
    return bool(durable) and leave(session, run.id, run.fence, now)


def leave(session: Session, run_id: int, fence: int, now: datetime) -> bool:
    """Lets go of a running durable run; returns whether it was still ``fence``'s."""
    mine = update(HostRun).where(HostRun.id == run_id, HostRun.fence == fence, HostRun.state == RunState.RUNNING.value)
    left = mine.values(owner=None, next_publish_at=now, publishes=0).returning(HostRun.id)
    return session.execute(left.execution_options(synchronize_session=False)).first() is not None


def unattended(session: Session, now: datetime, *, again: bool = False) -> list[tuple[int, int]]:
    """Returns ``(run id, fence)`` of the running durable runs that nobody follows and whose message is due, or of all
    of them when what was sent may be lost (``again``). Commit before you send."""
    query = select(HostRun).where(HostRun.state == RunState.RUNNING.value, HostRun.owner.is_(None))
    if not again:
        query = query.where(HostRun.next_publish_at <= now)
    found = list(session.scalars(query.limit(_AT_ONCE)))
    for run in found:
        wait = min(_REPEAT_SECONDS * 2 ** min(run.publishes, 10), _REPEAT_MOST_SECONDS)
        run.next_publish_at = now + timedelta(seconds=wait)
        run.publishes += 1
    session.flush()
    return [(run.id, run.fence) for run in found]


@dataclass(frozen=True, slots=True)
class TakeOver:
    """A message said that nobody follows run ``run_id``: take it, if ``fence`` is still its fence."""

    run_id: int
    fence: int

    def write(self, session: Session, reader: ClaimReader, now: datetime) -> Claim | None:
        """Returns the claim, or ``None`` when the run is not for the taking (any more)."""
        found = reader.read(session, [(self.run_id, 0)]).get(self.run_id)
        if found is None or found.fence != self.fence:
            return None
        version = transitions.lock_job(session, found.job_id)
        free = update(HostRun).where(HostRun.id == self.run_id, HostRun.fence == self.fence, HostRun.owner.is_(None))
        taken = free.where(HostRun.state == RunState.RUNNING.value).values(
            fence=self.fence + 1, owner=reader.worker_id, worker=reader.worker_name, claimed_at=now, ver=version
        )
        taken = taken.returning(HostRun.mark, HostRun.started_at).execution_options(synchronize_session=False)
        row = session.execute(taken).one_or_none()
        if row is None or row.mark is None:
            return None
        claim = reader.claims(session, [found._replace(mark=row.mark)], now)[self.run_id]
        return replace(claim, ran_seconds=max(0.0, (now - row.started_at).total_seconds()))


@dataclass(frozen=True, slots=True)
class HandOver:
    """This worker leaves the run to another one."""

    claim: Claim

    def write(self, session: Session, _: ClaimReader, now: datetime) -> bool:
        """Returns whether it was still the claim's."""
        return leave(session, self.claim.run_id, self.claim.fence, now)


@dataclass(frozen=True, slots=True)
class Rewind:
    """The host tells the output of a run that was taken over again, from its first byte: what is stored makes room."""

    claim: Claim

    def write(self, session: Session, _: ClaimReader, __: datetime) -> bool:
        """Returns whether the run is still the claim's."""
        mine = select(HostRun.id).where(HostRun.id == self.claim.run_id, HostRun.fence == self.claim.fence)
        if session.execute(mine).first() is None:
            return False
        gone = delete(OutputChunk).where(OutputChunk.host_run_id == self.claim.run_id)
        # What steps before this start wrote is nothing that the host tells again.
        gone = gone.where(OutputChunk.offset >= self.claim.start.so_far.total)
        session.execute(gone.execution_options(synchronize_session=False))
        return True


@dataclass(frozen=True, slots=True)
class Anew:
    """What has become of a claim that had no way to its host, while its command goes on there."""

    claim: Claim

    def write(self, session: Session, reader: ClaimReader, now: datetime) -> Claim | None:
        """Returns the claim as it is now, or ``None`` when the run is not its any more. Writes nothing."""
        found = reader.read(session, [(self.claim.run_id, 0)]).get(self.claim.run_id)
        if found is None or found.fence != self.claim.fence:
            return None
        # A claim is read just before its fence is raised; this one's was.
        before = found._replace(fence=found.fence - 1, mark=self.claim.mark)
        started_at = session.execute(select(HostRun.started_at).where(HostRun.id == found.id)).scalar_one() or now
        ran_seconds = max(0.0, (now - started_at).total_seconds())
        return replace(reader.claims(session, [before], now)[found.id], ran_seconds=ran_seconds)


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A message came to a worker that takes none: its run is for the others."""

    run_id: int

    def write(self, session: Session, _: ClaimReader, now: datetime) -> None:
        """Makes the run's message due again, unless somebody is changing the run."""
        mine = select(HostRun).where(HostRun.id == self.run_id, HostRun.state == RunState.QUEUED.value)
        # Its job's lock is not held, so waiting for the row could deadlock.
        for run in session.scalars(mine.with_for_update(skip_locked=True)):
            run.next_publish_at = now
        session.flush()


Step = TakeOver | HandOver | Rewind | Anew | TurnedAway
