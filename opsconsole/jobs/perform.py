"""One host run from the message to the result: claim, connect, open the gate, run, finish.

Deadlines are monotonic. Orders (cancel, shutdown) are looked at whenever the remote side is silent for a moment and
between its outputs; a remote failure is a value, never an exception.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

import structlog

from opsconsole import crash
from opsconsole.crash import CrashPoint
from opsconsole.credentials.external import Fetcher
from opsconsole.jobs.alike import ComparedOutput
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.fetching import fetched
from opsconsole.jobs.follow import Follower, Left, Order
from opsconsole.jobs.ledger import Ledger, Outcome
from opsconsole.jobs.orders import CancelOrder
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.ports import (
    Become,
    Connector,
    RemoteProcess,
    Session,
    Sight,
    Spool,
    Unreached,
)
from opsconsole.jobs.raw import RawCommand
from opsconsole.jobs.reattach import Reattaching
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.transfer import Transfer
from opsconsole.sentences import Sentence

_log = structlog.get_logger(__name__)
# So often a host is connected to although the database did not confirm the start; tries of the job come on top.
_MOST_UNCONFIRMED = 3
_IDLE_POLL_SECONDS = 0.05
_ASK_ANEW_SECONDS = 8.0
# So often it is asked whether a host that nothing may connect to may be connected to by now.
_BLOCKED_PAUSE_SECONDS = 5.0
# Of a durable run the host keeps at least so much of the head and of the tail of each stream: more than the console
# does, so that a worker that is slow for a while misses nothing.
_HOST_KEEPS_BYTES = 16 * 1024 * 1024
# A host is tried for so long at least, however long ago the command's time was over.
_LEAST_TRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many bytes of a run's output are kept, and how much of the claim's lease (seconds) may pass before exec."""

    head: int
    tail: int
    gate_seconds: float


@runtime_checkable
class RawSession(Protocol):
    """A session that has terminals."""

    def start_raw(self, command: RawCommand) -> RemoteProcess:
        """Gives ``command`` to the device. Call only after the start gate is committed. Never raises for a remote
        failure. The connection serves no later run."""


@runtime_checkable
class FileSession(Protocol):
    """A session that carries files."""

    def transfer(self, transfer: Transfer, become: Become | None = None) -> RemoteProcess:
        """Carries files. Call only after the start gate is committed. Never raises for a remote failure. A folder of
        ours into which files are brought is there only when the process ended with a status."""

    def tidy(self, transfer: Transfer, *, seconds: float, become: Become | None = None) -> Sight:
        """Removes what a transfer that was ended left half written on the host, instead of ``transfer``; what could not
        be removed is the ``problem``. Never raises for a remote failure."""


class Performer:
    """Carries out runs in the threads (or greenlets) that call it, and knows which it has in hand."""

    def __init__(self, ledger: Ledger, connector: Connector, bounds: Bounds, sources: Fetcher | None = None) -> None:
        """``sources`` knows where external credentials are."""
        self._ledger = ledger
        self._sources = sources
        self._connector = connector
        self._bounds = bounds
        self._in_hand: dict[int, int] = {}
        self._cancelled: dict[int, CancelOrder] = {}
        self._deliveries = 0
        self._lock = threading.Lock()
        # ``draining`` takes no further run; ``stopping`` also ends those in hand.
        self.draining = threading.Event()
        self.stopping = threading.Event()

    @property
    def busy(self) -> int:
        """How many runs are in hand."""
        return len(self._in_hand)

    def in_hand(self) -> list[int]:
        """Returns the ids of the runs in hand."""
        return list(self._in_hand)

    def cancel(self, orders: Mapping[int, CancelOrder]) -> None:
        """Orders the end of runs in hand; the first order for a run counts."""
        with self._lock:
            for run_id, order in orders.items():
                if run_id in self._in_hand:
                    self._cancelled.setdefault(run_id, order)

    def perform(self, run_id: int, attempt: int) -> None:
        """Carries out one delivery. Returns when the run has ended or was not this delivery's to do."""
        with self._lock:
            if self.draining.is_set():
                return
            self._deliveries += 1
        try:
            self._perform(run_id, attempt)
        finally:
            with self._lock:
                self._deliveries -= 1

    def attach(self, run_id: int, fence: int) -> None:
        """Follows a durable command to its end that another worker left. Returns when it has ended, was left again, or
        was not for this message to take."""
        with self._lock:
            if self.draining.is_set():
                return
            self._deliveries += 1
        try:
            claim = self._ledger.take_over(run_id, fence)
            if claim is not None:
                self._hold(claim, lambda: self._follow_left(claim))
        finally:
            with self._lock:
                self._deliveries -= 1

    def await_idle(self) -> None:
        """Returns once no delivery is being carried out. Only a draining performer ever comes to that."""
        while self._deliveries:
            time.sleep(_IDLE_POLL_SECONDS)

    def _perform(self, run_id: int, attempt: int) -> None:
        crash.passing(CrashPoint.BEFORE_CLAIM)
        # The run whose turn it is, which need not be the message's own.
        claim = self._ledger.take(run_id, attempt)
        if claim is None:
            return
        claimed = time.monotonic()
        crash.passing(CrashPoint.AFTER_CLAIM)
        self._hold(claim, lambda: self._carry_out(fetched(claim, self._sources), claimed))

    def _hold(self, claim: Claim, work: Callable[[], None]) -> None:
        with self._lock:
            self._in_hand[claim.run_id] = claim.fence
        try:
            work()
        except Exception:  # noqa: BLE001
            # A fault of ours must not leave the run hanging. Whether the command ran is unknown here.
            _log.exception("run failed inside the worker", run_id=claim.run_id, job_id=claim.job_id)
            self._give_up(claim)
        finally:
            with self._lock:
                self._in_hand.pop(claim.run_id, None)
                self._cancelled.pop(claim.run_id, None)

    def _give_up(self, claim: Claim) -> None:
        text = "A fault inside the worker; its log has the details."
        not_run = Outcome(RunState.UNREACHABLE, Reason.INTERNAL, text)
        if not self._ledger.finish(claim, not_run):
            self._ledger.finish(claim, Outcome(RunState.LOST, Reason.INTERNAL, text))

    def _carry_out(self, claim: Claim, claimed: float) -> None:
        # 1. Reach the host. What fails here certainly did not run.
        session = self._reach(claim)
        if isinstance(session, Unreached):
            if session.retryable and claim.attempt <= claim.retries and self._ledger.again(claim, session):
                return
            outcome = Outcome(RunState.UNREACHABLE, session.reason, session.detail)
            self._ledger.finish(claim, outcome, unreached=session)
            return
        keep = False
        try:
            if self.draining.is_set():
                # A stopping worker starts nothing more; once it has signed off, another one takes the run over.
                return
            # 2. The start gate: committed before anything is sent.
            if not self._ledger.open_gate(claim, session.facts, deadline=claimed + self._bounds.gate_seconds):
                keep = True
                self._not_started(claim)
                return
            crash.passing(CrashPoint.AFTER_GATE)
            # 3. Run it and follow it to its end.
            if claim.durable:
                self._follow_durable(claim, session)
            else:
                keep = self._run(claim, session)
        finally:
            session.close(keep=keep)

    def _not_started(self, claim: Claim) -> None:
        """The gate stayed shut: cancelled meanwhile, taken from us, or the database away. Nothing was sent."""
        cancelled = Outcome(RunState.CANCELLED, Reason.BEFORE_START, "Cancelled before it started.")
        if claim.run_id in self._cancelled or not self._ledger.still_wanted(claim):
            self._ledger.finish(claim, cancelled)
            return
        text = "The database did not confirm the start in time; the command was not sent."
        unconfirmed = Unreached(Reason.INTERNAL, text)
        if claim.attempt < _MOST_UNCONFIRMED + claim.retries and self._ledger.again(claim, unconfirmed):
            return
        not_run = Outcome(RunState.UNREACHABLE, Reason.INTERNAL, text)
        if not self._ledger.finish(claim, not_run):
            # The gate's commit did arrive after all, so the record says running; nothing was sent, but only
            # ``lost`` is never wrong.
            self._ledger.finish(claim, Outcome(RunState.LOST, Reason.INTERNAL, text))

    def _run(self, claim: Claim, session: Session) -> bool:
        """Runs the command and stores its outcome. Returns whether the connection may be kept for a later run."""
        output = self._output(claim)
        follower = Follower(self, claim, _started(claim, session), output)
        outcome = follower.follow()
        # A device has nothing that could be searched for what a raw run left.
        if follower.doubt is not None and claim.raw is None and not self.stopping.is_set():
            outcome = follower.searched(outcome, self._search(claim))
        crash.passing(CrashPoint.BEFORE_FINISH)
        self._ledger.finish(claim, outcome, output=output)
        ended = outcome.exit_status is not None or outcome.exit_signal is not None
        clean = (
            claim.raw is None
            and ended
            and outcome.state in {RunState.SUCCEEDED, RunState.FAILED, RunState.PENDING}
            and not outcome.left_children
        )
        return clean and not self.stopping.is_set()

    def _output(self, claim: Claim) -> BoundedOutput:
        output = ComparedOutput(self._bounds.head, self._bounds.tail, claim.own)
        behind = claim.start.so_far
        if behind.total:
            gap = None if behind.gap_from is None else (behind.gap_from, behind.gap_bytes)
            output.resume(behind.stdout_bytes, behind.stderr_bytes, behind.lines, behind.last_line, gap)
        return output

    def _search(self, claim: Claim) -> Sight:
        """Asks the host over a new connection what is left of a command that was ordered to end, and ends that."""
        limits = replace(claim.limits, connect=min(claim.limits.connect, _ASK_ANEW_SECONDS))
        session = claim.problem or self._connector.connect(claim.target, claim.auth, limits)
        if isinstance(session, Unreached):
            return Sight(problem=f"Whether the command ended is not known: {session.detail}")
        try:
            if claim.transfer is not None:
                return _for_files(session).tidy(claim.transfer, seconds=_ASK_ANEW_SECONDS, become=claim.become)
            return session.search(claim.mark, end=0.0, seconds=_ASK_ANEW_SECONDS, become=claim.become)
        finally:
            session.close(keep=False)

    def _follow_left(self, claim: Claim) -> None:
        """Follows what another worker left. While nothing may connect there (an alarm over a host key, a credential
        that cannot be had) it waits: the command goes on, and a person may decide at any moment."""
        claim = fetched(claim, self._sources)
        give_up_at = time.monotonic() + _left_seconds(claim)
        while claim.problem is not None and self.order_for(claim) is None and time.monotonic() < give_up_at:
            asks_at = time.monotonic() + _BLOCKED_PAUSE_SECONDS
            while time.monotonic() < asks_at and self.order_for(claim) is None:
                if self.leaves(claim):
                    self._ledger.hand_over(claim)
                    return
                time.sleep(_IDLE_POLL_SECONDS)
            fresh = self._ledger.anew(claim)
            claim = fetched(fresh, self._sources) if fresh is not None else claim
        self._follow_durable(claim, None)

    def _follow_durable(self, claim: Claim, session: Session | None) -> None:
        """Starts a durable command over ``session``, or without one goes on with what another worker started."""
        command = claim.command()
        kept = Spool(
            head=max(self._bounds.head, _HOST_KEEPS_BYTES),
            tail=max(self._bounds.tail, _HOST_KEEPS_BYTES),
            attach=claim.ran_seconds is not None,
        )
        process = Reattaching(
            command, kept, session, lambda: self._reach(claim), time.monotonic() + _left_seconds(claim)
        )
        output = self._output(claim)
        follower = Follower(self, claim, process, output)
        try:
            try:
                outcome = follower.follow()
            except Left:
                self._ledger.hand_over(claim)
                return
            if follower.doubt is not None:
                outcome = follower.searched(outcome, self._search(claim))
            crash.passing(CrashPoint.BEFORE_FINISH)
            # Of a run that could not be found again what was stored before stays.
            if self._ledger.finish(claim, outcome, output=output if follower.told else None):
                process.forget()
        finally:
            process.close(keep=False)

    def _reach(self, claim: Claim) -> Session | Unreached:
        return claim.problem or self._connector.connect(claim.target, claim.auth, claim.limits)

    def order_for(self, claim: Claim) -> Order | None:
        """Returns the order that ends this run early, if there is one."""
        cancel = self._cancelled.get(claim.run_id)
        if cancel is not None:
            grace = claim.limits.grace if cancel.grace is None else cancel.grace
            return Order(RunState.CANCELLED, None, cancel.cause, grace)
        if self.stopping.is_set():
            detail = Sentence("The worker process was shut down.")
            keeps = claim.transfer is not None
            return Order(RunState.CANCELLED, Reason.WORKER_SHUTDOWN, detail, min(claim.limits.grace, 1.0), keeps)
        return None

    def now(self) -> datetime:
        """Returns the wall-clock time, for records."""
        return self._ledger.now()

    def rewind(self, claim: Claim) -> None:
        """Makes room for output that comes again from its first byte."""
        self._ledger.rewind(claim)

    def leaves(self, claim: Claim) -> bool:
        """Returns whether this worker stops and leaves the run, whose command goes on, to another one."""
        return claim.durable and self.draining.is_set()

    def store(self, claim: Claim, output: BoundedOutput, *, tail: bool) -> None:
        """Stores the output that is ready."""
        self._ledger.progress(claim, output, tail=tail)


def _left_seconds(claim: Claim) -> float:
    """Returns for how long a durable command that may have run for a while is still to be followed."""
    return max(claim.command().limit_seconds - (claim.ran_seconds or 0.0), _LEAST_TRY_SECONDS)


def _started(claim: Claim, session: Session) -> RemoteProcess:
    if claim.transfer is not None:
        return _for_files(session).transfer(claim.transfer, claim.become)
    if claim.raw is None:
        return session.start(claim.command())
    if isinstance(session, RawSession):
        return session.start_raw(claim.raw)
    raise TypeError(f"{type(session).__name__} has no terminals")


def _for_files(session: Session) -> FileSession:
    if isinstance(session, FileSession):
        return session
    raise TypeError(f"{type(session).__name__} carries no files")
