"""A look at hosts whose command may still be there: lost, or told to end without confirming it. Never runs it again.

A person asks; the rows keep the question until a worker has answered it, so that a lost message only costs time. The
worker searches the host for the run's mark over a new connection, and on request ends what it finds.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.credentials.external import Fetcher
from opsconsole.db.database import Database
from opsconsole.errors import FieldError, Forbidden, Invalid, Unavailable
from opsconsole.jobs import naming, transitions
from opsconsole.jobs.answering import Answerer
from opsconsole.jobs.claims import Claim, ClaimReader, Delivered
from opsconsole.jobs.fetching import fetched
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.ports import Connector, Sight, Unreached
from opsconsole.jobs.states import TERMINAL, Reason, RunState
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence, joined

# A question that nobody has answered after this long is given to another worker.
_ASK_AGAIN_SECONDS = 60
# How many questions may be with the workers at once: they take slots from runs.
_MOST_AT_ONCE = 50
_SEARCH_SECONDS = 20.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

# Runs what uses the database where a blocking call stops nobody else.
Offload = Callable[[Callable[[], Any]], Any]


class Look(StrEnum):
    """What is known from a look; ``asked`` until a worker has been there."""

    ASKED = "asked"
    RUNNING = "running"
    GONE = "gone"
    UNKNOWN = "unknown"


def ask(
    session: Session,
    job: Job,
    actor: Actor,
    *,
    now: datetime,
    hosts: Sequence[str] | None = None,
    kill: bool = False,
) -> Job:
    """Asks for a look at ``hosts`` of a job, without them at all whose command's end is not known, and returns the job.

    With ``kill`` what is found there is ended: TERM, the job's grace, KILL. Asking again while the question waits
    changes nothing. Raises ``Forbidden``, or ``Invalid`` for a host that is not in the job, that has not ended yet or
    where nothing was started.
    """
    if not actor.may(Permission.RUN):
        raise Forbidden("Your role or token may look at jobs but not at their hosts.")
    if What.from_json(job.what).raw:
        message = "A raw run left no mark on its device: there is nothing the console could look for."
        raise Invalid(message, code="raw_run", errors=[FieldError("hosts", message, code="raw_run")])
    version = transitions.lock_job(session, job.id)
    wanted = HostRun.job_id == job.id, HostRun.state.in_([state.value for state in TERMINAL]), HostRun.mark.is_not(None)
    if hosts is None:
        chosen: ColumnElement[bool] = _end_unknown()
    else:
        chosen = HostRun.i.in_(_started_and_ended(session, job, hosts))
    fresh = [HostRun.look.is_(None), HostRun.look != Look.ASKED.value]
    if kill:
        fresh.append(HostRun.look_kill.is_(False))
    question = {"look": Look.ASKED.value, "look_kill": kill, "look_detail": None, "looked_at": now}
    asking = update(HostRun).where(*wanted, chosen, or_(*fresh)).values(**question, next_publish_at=now, ver=version)
    asked = session.execute(asking.returning(HostRun.i).execution_options(synchronize_session=False)).all()
    if asked:
        detail = {"hosts": list(hosts or []), "asked": len(asked), "kill": kill}
        record(session, actor, "job.check", now=now, object=f"job/{job.id}", detail=detail)
    session.refresh(job)
    return job


def due(session: Session, now: datetime) -> list[int]:
    """Returns the runs whose question should be sent to a worker now, and notes that it was."""
    asked = HostRun.look == Look.ASKED.value
    under_way = session.scalar(select(func.count()).where(asked, HostRun.next_publish_at > now)) or 0
    query = select(HostRun.id).where(asked, or_(HostRun.next_publish_at.is_(None), HostRun.next_publish_at <= now))
    ids = list(session.scalars(query.order_by(HostRun.id).limit(max(_MOST_AT_ONCE - under_way, 0))))
    if ids:
        again = {"next_publish_at": now + timedelta(seconds=_ASK_AGAIN_SECONDS)}
        noting = update(HostRun).where(HostRun.id.in_(ids)).values(**again)
        session.execute(noting.execution_options(synchronize_session=False))
    return ids


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker needs for one look. ``claim`` says where, with what login and for which mark."""

    claim: Claim
    kill: bool


def question(session: Session, reader: ClaimReader, run_id: int, now: datetime) -> Question | None:
    """Returns the question about a run, or ``None`` when nobody asks (any more)."""
    run = session.get(HostRun, run_id, populate_existing=True)
    if run is None or run.look != Look.ASKED or run.mark is None:
        return None
    fields = {name: getattr(run, name) for name in Delivered._fields}
    return Question(reader.claims(session, [Delivered(**fields)], now)[run_id], run.look_kill)


def answer(session: Session, asked: Question, sight: Sight, now: datetime) -> bool:
    """Writes what a look found; returns false when somebody else's answer was there first."""
    claim = asked.claim
    version = transitions.lock_job(session, claim.job_id)
    found = Look.UNKNOWN if sight.problem is not None else Look.RUNNING if sight.alive else Look.GONE
    values = {"look": found.value, "look_detail": _told(sight)[:500], "looked_at": now, "next_publish_at": None}
    writing = update(HostRun).where(HostRun.id == claim.run_id, HostRun.look == Look.ASKED.value)
    # A question that became an order to end meanwhile is not answered by a mere look.
    writing = writing.where(HostRun.look_kill.is_(asked.kill)).values(**values, ver=version)
    written = session.execute(writing.returning(HostRun.id).execution_options(synchronize_session=False))
    return written.first() is not None


class Looker(Answerer):
    """Answers questions in the threads (or greenlets) that call it. One for each worker process."""

    def __init__(
        self,
        database: Database,
        reader: ClaimReader,
        connector: Connector,
        *,
        now: Callable[[], datetime],
        offload: Offload,
        sources: Fetcher | None = None,
    ) -> None:
        super().__init__()
        self._sources = sources
        self._database = database
        self._reader = reader
        self._connector = connector
        self._now = now
        self._offload = offload

    def look(self, run_id: int) -> None:
        """Answers the question about a run. A repeated message, or one that nobody asked, does nothing.

        While the database does not answer nothing is written, and the question is put again later.
        """
        with self.taken(run_id) as mine, contextlib.suppress(Unavailable):
            asked = self._offload(lambda: self._question(run_id)) if mine else None
            if asked is not None:
                sight = self._search(asked)
                self._offload(lambda: self._answer(asked, sight))

    def _question(self, run_id: int) -> Question | None:
        with self._database.transaction() as session:
            return question(session, self._reader, run_id, self._now())

    def _answer(self, asked: Question, sight: Sight) -> None:
        with self._database.transaction() as session:
            answer(session, asked, sight, self._now())

    def _search(self, asked: Question) -> Sight:
        claim = fetched(asked.claim, self._sources)
        session = claim.problem or self._connector.connect(claim.target, claim.auth, claim.limits)
        if isinstance(session, Unreached):
            return Sight(problem=session.detail)
        ended = False
        try:
            end = claim.limits.grace if asked.kill else None
            sight = session.search(claim.mark, end=end, seconds=_SEARCH_SECONDS, become=claim.become)
            ended = sight.problem is None
            return sight
        finally:
            session.close(keep=ended)


def _end_unknown() -> ColumnElement[bool]:
    return or_(HostRun.state == RunState.LOST.value, HostRun.reason == Reason.KILL_UNCONFIRMED.value)


def _started_and_ended(session: Session, job: Job, hosts: Sequence[str]) -> list[int]:
    """Returns the places of the hosts in the roster, all of which have had a command that is over for us."""
    places = naming.places(session, job, hosts)
    rows = session.execute(
        select(HostRun.host, HostRun.state, HostRun.started_at).where(HostRun.job_id == job.id, HostRun.i.in_(places))
    )
    wrong = [host for host, state, started_at in rows if started_at is None or RunState(state) not in TERMINAL]
    if wrong:
        message = Sentence(
            "Nothing was started there, or it has not ended yet: {wrong}", wrong=", ".join(wrong[:5])[:200]
        )
        raise Invalid(message, code="nothing_to_check", errors=[FieldError("hosts", message, code="nothing_to_check")])
    return places


def _told(sight: Sight) -> str:
    if sight.problem is not None:
        return sight.problem
    if sight.alive:
        oldest = max((process.age_seconds for process in sight.processes), default=None)
        return sight.words if oldest is None else joined(" ", [sight.words, _began(oldest)])
    if sight.ended == 1:
        return joined(" ", [Sentence("1 process of it was ended."), sight.words])
    if sight.ended:
        return joined(" ", [Sentence("{count} processes of it were ended.", count=sight.ended), sight.words])
    return sight.words


def _began(seconds: int) -> Sentence:
    if seconds >= 2 * _DAY:
        return Sentence("It began {count} d ago.", count=seconds // _DAY)
    if seconds >= 2 * _HOUR:
        return Sentence("It began {count} h ago.", count=seconds // _HOUR)
    if seconds >= 2 * _MINUTE:
        return Sentence("It began {count} min ago.", count=seconds // _MINUTE)
    return Sentence("It began {count} s ago.", count=seconds)
