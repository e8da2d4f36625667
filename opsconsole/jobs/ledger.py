"""What a worker process writes about its runs, gathered into few transactions.

Every entry is committed before ``enter`` returns; messages for runs that the same transaction queued are published
after the commit. The file is the group's writer and the entries it takes.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TypeGuard

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.db.database import Database
from opsconsole.db.group_commit import GroupCommit, Written
from opsconsole.errors import Unavailable
from opsconsole.inventory import hostkeys
from opsconsole.jobs import attempts, contacts, dispatch, drain, endings, handover, transitions
from opsconsole.jobs.claims import Claim, ClaimReader, Delivered
from opsconsole.jobs.contacts import Ending
from opsconsole.jobs.delivery import FIRST_RETRY_SECONDS, MOST_RETRY_SECONDS, Delivery
from opsconsole.jobs.entries import Again, Answer, Entry, Finish, Look, OpenGate, Progress, Replay, RunEntry, TakeRun
from opsconsole.jobs.limits import NO_CAPS, Caps
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.outcomes import Outcome as Outcome
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.ports import ConnectionFacts, Dispatcher, Unreached
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.tide import Tide
from opsconsole.jobs.transitions import Change, Moved

_log = structlog.get_logger(__name__)


class Ledger:
    """One worker process's pen. ``now`` is wall-clock time; ``slots`` tells how many slots all live workers have.

    ``dispatcher`` takes messages at once, as a worker's postbox does: what is written about running commands must not
    wait for a broker.
    ``kick`` is called when a sweep over all jobs is due: a slot came free and is another job's. It must be quick.
    ``tide`` notices a database that has gone back in time: nothing is then written to it. ``spool`` keeps results
    that the database does not take within ``spool_seconds``.
    """

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        reader: ClaimReader,
        *,
        now: Callable[[], datetime],
        slots: Callable[[], int],
        kick: Callable[[], None],
        caps: Caps = NO_CAPS,
        offload: Callable[[Callable[[], Written[Answer]]], Written[Answer]],
        tide: Tide,
        spool: Spool,
        spool_seconds: float,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._reader = reader
        self._now = now
        self._slots = slots
        self._kick = kick
        self._caps = caps
        self._tide = tide
        self._group: GroupCommit[Entry, Answer] = GroupCommit(self._write, offload=offload)
        self._delivery = Delivery(self._group, spool, spool_seconds, lambda: tide.generation)

    def now(self) -> datetime:
        """Returns the wall-clock time that records are given."""
        return self._now()

    def take(self, run_id: int, attempt: int) -> Claim | None:
        """Claims a run and returns what it needs, or ``None`` when it is not this delivery's turn (any more).

        It may be another run than the message's: a message is a chance to work, and it goes to the run whose turn it
        is. The message's own run is then sent again.

        A database that does not answer is a ``None`` too: the message is sent again, and a claim that was committed
        all the same is given back by ``release_stray``.
        """
        try:
            answer = self._group.submit(TakeRun(run_id, attempt))
        except Unavailable as error:
            _log.warning("message dropped, the sweep sends it again", run_id=run_id, reason=error.detail)
            return None
        return answer if isinstance(answer, Claim) else None

    def open_gate(self, claim: Claim, facts: ConnectionFacts, *, deadline: float) -> bool:
        """Returns whether the command may be sent. True only when the database says so before ``deadline``.

        While the database does not answer, the outcome of the commit is unknown; the gate is asked again, which is
        harmless because a gate already open for the same claim says so.
        """
        wait = FIRST_RETRY_SECONDS
        while time.monotonic() < deadline:
            try:
                return bool(self._group.submit(OpenGate(claim, facts, deadline))) and time.monotonic() < deadline
            except Unavailable:
                time.sleep(wait)
                wait = min(wait * 2, MOST_RETRY_SECONDS)
        return False

    def again(self, claim: Claim, unreached: Unreached) -> bool:
        """Lets a run whose host could not be reached wait for another try. Returns false when there is none: it was
        cancelled, or taken over."""
        return bool(self._delivery.insist(Again(claim, unreached)))

    def progress(self, claim: Claim, output: BoundedOutput, *, tail: bool) -> None:
        """Sends the output that is ready on its way, the held tail too when ``tail``, and returns at once.

        While the database has not taken what was sent before, nothing more is sent: it waits in ``output``, which
        is bounded.
        """
        self._delivery.progress(claim, output, tail=tail)

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        output: BoundedOutput | None = None,
        unreached: Unreached | None = None,
    ) -> bool:
        """Stores how the run ended and returns whether it was still this claim's to say.

        ``output`` is given when the command had started. Retries until stored; meanwhile such a result lies in the
        spool, and once this process is told to ``leave`` it is left there for the next one.
        """
        ended_at = self._now()
        if output is None:
            return bool(self._delivery.insist(Finish(claim, outcome, ended_at, unreached=unreached)))
        return self._delivery.finish(claim, outcome, ended_at, output)

    def still_wanted(self, claim: Claim) -> bool:
        """Returns false when a cancel was asked for this claim's run, or the run is no longer this claim's."""
        return bool(self._delivery.insist(Look(claim)))

    def replay(self) -> None:
        """Stores the results that former processes left in the spool, as far as the database takes them."""
        self._delivery.replay()

    def leave(self) -> None:
        """Says that this process is about to end: it no longer insists on what others can settle without it."""
        self._delivery.leaving.set()

    def take_over(self, run_id: int, fence: int) -> Claim | None:
        """Takes a running durable run that nobody follows; ``None`` when it is not for the taking (any more)."""
        try:
            answer = self._group.submit(handover.TakeOver(run_id, fence))
        except Unavailable as error:
            _log.warning("message dropped, the sweep sends it again", run_id=run_id, reason=error.detail)
            return None
        return answer if isinstance(answer, Claim) else None

    def anew(self, claim: Claim) -> Claim | None:
        """Returns a claim that was taken over as it is now: others may trust a key meanwhile, or mend a credential.
        ``None`` when it is not ours any more, or the database does not answer."""
        try:
            answer = self._group.submit(handover.Anew(claim))
        except Unavailable:
            return None
        return answer if isinstance(answer, Claim) else None

    def hand_over(self, claim: Claim) -> None:
        """Leaves a running durable run to another worker. Retries until that is stored."""
        self._delivery.insist(handover.HandOver(claim))

    def rewind(self, claim: Claim) -> None:
        """Removes the output stored of a run that was taken over: it comes again from its first byte."""
        self._delivery.insist(handover.Rewind(claim))

    def close(self) -> None:
        """Commits what is under way and ends."""
        self.leave()
        self._group.close()

    def _write(self, entries: Sequence[Entry]) -> Written[Answer]:
        now = self._now()
        filled = dispatch.Filled([], others_wait=False)
        with self._database.transaction() as session:
            self._tide.look(session)
            self._tide.check()
            entries = drain.gated(session, self._reader.worker_id, entries)
            entries, published = _taken_in_turn(session, entries)
            answers, touched = _write_entries(session, entries, self._reader, now)
            if touched:
                filled = dispatch.fill(session, touched, now, slots=self._slots(), caps=self._caps)
        published += filled.published
        return answers, partial(self._go_on, published, filled.others_wait)

    def _go_on(self, published: dispatch.Published, others_wait: bool) -> None:
        if published:
            self._dispatcher.publish(published)
        if others_wait:
            self._kick()


def _taken_in_turn(session: Session, entries: Sequence[Entry]) -> tuple[Sequence[Entry], dispatch.Published]:
    """Returns the entries with each message given to the run whose turn it is, and the messages to send again."""
    places = [place for place, entry in enumerate(entries) if isinstance(entry, TakeRun)]
    deliveries = [(entry.run_id, entry.attempt) for entry in entries if isinstance(entry, TakeRun)]
    passed_over = dispatch.settle_turns(session, deliveries)
    if not passed_over:
        return entries, []
    settled = list(entries)
    for place, delivery in zip(places, deliveries, strict=True):
        settled[place] = TakeRun(*delivery)
    return settled, passed_over


def _write_entries(
    session: Session, entries: Sequence[Entry], reader: ClaimReader, now: datetime
) -> tuple[list[Answer], set[int]]:
    """Writes all entries and returns their answers and the jobs in which a slot became free."""
    takes = reader.read(session, [(entry.run_id, entry.attempt) for entry in entries if isinstance(entry, TakeRun)])
    replayed = endings.known(session, [entry.result for entry in entries if isinstance(entry, Replay)])
    changes: list[Change] = []
    owners: list[int] = []
    for index, entry in enumerate(entries):
        change = _change_of(entry, takes, reader, replayed, now)
        if change is not None:
            changes.append(change)
            owners.append(index)
    moves: list[Moved | None] = [None] * len(entries)
    stepped = {entry.claim.job_id for entry in entries if isinstance(entry, Progress) and entry.steps}
    for index, moved in zip(owners, transitions.apply(session, changes, now, touching=stepped), strict=True):
        moves[index] = moved
    touched: set[int] = set()
    taken = [takes[entry.run_id] for entry, move in zip(entries, moves, strict=True) if _won_take(entry, move)]
    claims = reader.claims(session, [run for run in taken if reader.refusal(run) is None], now)
    touched.update(run.job_id for run in taken if reader.refusal(run) is not None)
    answers: list[Answer] = []
    for entry, move in zip(entries, moves, strict=True):
        if isinstance(entry, handover.Step):
            answers.append(entry.write(session, reader, now))
            continue
        answers.append(_settle_entry(session, entry, move, claims, now))
        if isinstance(entry, Finish | Replay | Again) and move is not None and move.won:
            touched.add(_job_of(entry))
    contacts.note(session, dict(_ended(entries, moves)))
    return answers, touched


def _ended(entries: Sequence[Entry], moves: Sequence[Moved | None]) -> Iterator[tuple[int, Ending]]:
    """Yields the runs that ended with this transaction."""
    for entry, move in zip(entries, moves, strict=True):
        if isinstance(entry, Finish) and move is not None and move.won:
            yield entry.claim.run_id, Ending(entry.outcome, entry.ended_at)
        elif isinstance(entry, Replay) and move is not None and move.won:
            yield entry.result.run_id, Ending(entry.result.outcome, entry.result.ended_at)


def _job_of(entry: Finish | Replay | Again) -> int:
    return entry.result.job_id if isinstance(entry, Replay) else entry.claim.job_id


def _won_take(entry: Entry, move: Moved | None) -> TypeGuard[TakeRun]:
    return isinstance(entry, TakeRun) and move is not None and move.won


def _change_of(
    entry: Entry, takes: dict[int, Delivered], reader: ClaimReader, replayed: Collection[str], now: datetime
) -> Change | None:
    match entry:
        case TakeRun(run_id, attempt):
            run = takes.get(run_id)
            if run is None:
                return None
            refused = reader.refusal(run)
            if refused is not None:
                values = {**refused, "finished_at": now}
                return Change(run.id, run.job_id, RunState.SKIPPED, attempt=attempt, values=values)
            values = {"owner": reader.worker_id, "worker": reader.worker_name, "claimed_at": now, "mark": run.mark}
            return Change(
                run.id,
                run.job_id,
                RunState.CONNECTING,
                attempt=attempt,
                claim=True,
                unless_cancelled=True,
                from_states=frozenset({RunState.QUEUED}),
                values=values,
            )
        case OpenGate(claim, facts, deadline):
            # The transaction may have waited for the database for long.
            if time.monotonic() >= deadline:
                return None
            values = {
                "started_at": now,
                "connect_ms": facts.connect_ms,
                "reused": facts.reused,
                "host_key": hostkeys.fingerprint(facts.host_key) if facts.host_key is not None else None,
            }
            return Change(
                claim.run_id,
                claim.job_id,
                RunState.RUNNING,
                fence=claim.fence,
                unless_cancelled=True,
                values=values,
            )
        case Again(claim, _):
            wait = claim.retry_pause * 2 ** (claim.attempt - 1)
            # The fence rises, so that a message of the attempt that ended can write nothing more.
            due = now + timedelta(seconds=wait)
            again = {"attempt": claim.attempt + 1, "owner": None, "queued_at": None, "next_publish_at": due}
            return Change(
                claim.run_id,
                claim.job_id,
                RunState.PENDING,
                fence=claim.fence,
                claim=True,
                unless_cancelled=True,
                values=again,
            )
        case Finish(claim, outcome, ended_at, result, unreached):
            values = endings.columns(outcome, result, ended_at, claim.own)
            if unreached is not None and unreached.offered is not None:
                values["host_key"] = hostkeys.fingerprint(unreached.offered)
            return endings.change(claim.run_id, claim.job_id, claim.fence, outcome, result, values)
        case Replay(result):
            if result.key not in replayed:
                return None
            values = endings.columns(result.outcome, result, result.ended_at)
            return endings.change(result.run_id, result.job_id, result.fence, result.outcome, result, values)
        case _:
            return None


def _settle_entry(
    session: Session, entry: RunEntry, move: Moved | None, claims: dict[int, Claim], now: datetime
) -> Answer:
    """Writes what goes with a change that won, and returns the entry's answer."""
    match entry:
        case TakeRun(run_id, _):
            # Of two deliveries in one group only the first is the claim's.
            return claims.get(run_id) if move is not None and move.won else None
        case OpenGate(claim, facts, _):
            # Asked again after an unknown commit: it is open already when the fence is still ours.
            opened = move is not None and move.fence == claim.fence and RunState.RUNNING in (move.before, move.after)
            if opened:
                _remember_keys(session, claim, facts, now)
            return opened
        case Look(claim):
            run = session.get(HostRun, claim.run_id, populate_existing=True)
            return run is not None and run.fence == claim.fence and run.cancel_requested_at is None
        case Progress(claim, output_facts, flush, steps):
            mine = update(HostRun).where(HostRun.id == claim.run_id, HostRun.fence == claim.fence)
            mine = mine.where(HostRun.state.in_(_WRITES_ON)).values(**asdict(output_facts))
            if steps:
                # Its job's lock is held: the new version tells that the host has come to another step.
                ver = select(Job.ver).where(Job.id == claim.job_id).scalar_subquery()
                mine = mine.values(step=steps[-1].step.value, ver=ver)
            won = session.execute(mine.returning(HostRun.id).execution_options(synchronize_session=False)).first()
            if won is not None:
                endings.store(session, claim.run_id, flush)
                endings.store_steps(session, claim.run_id, steps)
            return won is not None
        case Again(claim, unreached_for_now):
            if move is None or not move.won:
                return False
            attempts.ended_unreached(session, claim.run_id, claim.attempt, unreached_for_now, now)
            return True
        case Finish():
            return _settle_finish(session, entry, move, now)
        case Replay(result):
            return None if move is None else endings.settle_end(session, result.run_id, move, result)


def _settle_finish(session: Session, entry: Finish, move: Moved | None, now: datetime) -> bool:
    if not endings.settle_end(session, entry.claim.run_id, move, entry.result):
        return False
    unreached = entry.unreached
    if unreached is not None and unreached.offered is not None and unreached.reason in _KEY_REASONS:
        place = unreached.hop or entry.claim.target
        hostkeys.offer(session, place.address, place.port, unreached.offered, now=now)
    return True


def _remember_keys(session: Session, claim: Claim, facts: ConnectionFacts, now: datetime) -> None:
    """Writes down keys that were accepted unasked: from now on another one is a changed key."""
    places = [(hop.address, hop.port, key) for hop, key in facts.new_hops]
    if facts.host_key_new and facts.host_key is not None:
        places.append((claim.target.address, claim.target.port, facts.host_key))
    for address, port, key in places:
        hostkeys.remember(session, address, port, key, source=hostkeys.Source.ACCEPT_NEW, now=now)


_KEY_REASONS = frozenset({Reason.HOST_KEY_UNKNOWN, Reason.HOST_KEY_CHANGED, Reason.JUMP})
# A worker that was given up by mistake goes on: its late result needs all of its output.
_WRITES_ON = (RunState.RUNNING.value, RunState.LOST.value)
