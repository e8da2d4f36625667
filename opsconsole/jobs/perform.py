"""One host run from the message to the result: claim, connect, open the gate, run, finish.

Deadlines are monotonic. Orders (cancel, shutdown) are looked at whenever the remote side is silent for a moment and
between its outputs; a remote failure is a value, never an exception.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from opsconsole import crash
from opsconsole.crash import CrashPoint
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Ledger, Outcome
from opsconsole.jobs.orders import CancelOrder
from opsconsole.jobs.output import STDERR, STDOUT, BoundedOutput
from opsconsole.jobs.ports import (
    Connector,
    Dropped,
    Exited,
    Idle,
    NotStarted,
    Output,
    RemoteCommand,
    RemoteProcess,
    Session,
    Sight,
    Started,
    Stream,
    Unreached,
)
from opsconsole.jobs.states import Reason, RunState

_log = structlog.get_logger(__name__)
_FD: Mapping[Stream, int] = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR}
_POLL_SECONDS = 0.2
_STORE_SECONDS = 0.1
_TAIL_SECONDS = 1.0
_IDLE_POLL_SECONDS = 0.05
# After KILL the remote end gets this long to confirm; then it is asked over a new connection, which may take so long.
_CONFIRM_SECONDS = 4.0
_ASK_ANEW_SECONDS = 8.0
_CONFIRMED = "The remote end confirmed that the command ended."
_CONFIRMED_ANEW = "A search of the host over a new connection found nothing of the command alive."
# The remote side's own limit fires only when we are gone, so it lies a little behind ours.
_REMOTE_LIMIT_SLACK = 15
_NO_LIMIT_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many bytes of a run's output are kept, and how much of the claim's lease (seconds) may pass before exec."""

    head: int
    tail: int
    gate_seconds: float


@dataclass(slots=True)
class _Order:
    """Why the command is being ended: what the run will then be called."""

    state: RunState
    reason: Reason | None
    detail: str
    grace: float


class Performer:
    """Carries out runs in the threads (or greenlets) that call it, and knows which it has in hand."""

    def __init__(self, ledger: Ledger, connector: Connector, bounds: Bounds) -> None:
        self._ledger = ledger
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
        with self._lock:
            self._in_hand[claim.run_id] = claim.fence
        try:
            self._carry_out(claim, claimed)
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
        session = claim.problem or self._connector.connect(claim.target, claim.auth, claim.limits)
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
        not_run = Outcome(RunState.UNREACHABLE, Reason.INTERNAL, text)
        if not self._ledger.finish(claim, not_run):
            # The gate's commit did arrive after all, so the record says running; nothing was sent, but only
            # ``lost`` is never wrong.
            self._ledger.finish(claim, Outcome(RunState.LOST, Reason.INTERNAL, text))

    def _run(self, claim: Claim, session: Session) -> bool:
        """Runs the command and stores its outcome. Returns whether the connection may be kept for a later run."""
        limits = claim.limits
        command = RemoteCommand(
            mark=claim.mark,
            script=claim.script,
            limit_seconds=int(limits.command or _NO_LIMIT_SECONDS) + int(limits.grace) + _REMOTE_LIMIT_SLACK,
            grace_seconds=int(limits.grace) or 1,
        )
        output = BoundedOutput(self._bounds.head, self._bounds.tail)
        follower = _Follower(self, claim, session.start(command), output)
        outcome = follower.follow()
        if follower.doubt is not None and not self.stopping.is_set():
            outcome = follower.searched(outcome, self._search(claim))
        crash.passing(CrashPoint.BEFORE_FINISH)
        self._ledger.finish(claim, outcome, output=output)
        ended = outcome.exit_status is not None or outcome.exit_signal is not None
        clean = ended and outcome.state in {RunState.SUCCEEDED, RunState.FAILED} and not outcome.left_children
        return clean and not self.stopping.is_set()

    def _search(self, claim: Claim) -> Sight:
        """Asks the host over a new connection what is left of a command that was ordered to end, and ends that."""
        limits = replace(claim.limits, connect=min(claim.limits.connect, _ASK_ANEW_SECONDS))
        session = self._connector.connect(claim.target, claim.auth, limits)
        if isinstance(session, Unreached):
            return Sight(problem=f"Whether the command ended is not known: {session.detail}")
        try:
            return session.search(claim.mark, end=0.0, seconds=_ASK_ANEW_SECONDS)
        finally:
            session.close(keep=False)

    def order_for(self, claim: Claim) -> _Order | None:
        """Returns the order that ends this run early, if there is one."""
        cancel = self._cancelled.get(claim.run_id)
        if cancel is not None:
            grace = claim.limits.grace if cancel.grace is None else cancel.grace
            return _Order(RunState.CANCELLED, None, cancel.cause, grace)
        if self.stopping.is_set():
            detail = "The worker process was shut down."
            return _Order(RunState.CANCELLED, Reason.WORKER_SHUTDOWN, detail, min(claim.limits.grace, 1.0))
        return None

    def store(self, claim: Claim, output: BoundedOutput, *, tail: bool) -> None:
        """Stores the output that is ready."""
        self._ledger.progress(claim, output, tail=tail)


class _Follower:
    """Follows one remote process: collects output, watches deadlines and orders, and names the outcome."""

    def __init__(self, performer: Performer, claim: Claim, process: RemoteProcess, output: BoundedOutput) -> None:
        self._performer = performer
        self._claim = claim
        self._process = process
        self._output = output
        self._began = self._heard = self._stored = self._tail_stored = time.monotonic()
        self._order: _Order | None = None
        self._ordered_at = 0.0
        self._killed = False
        self._pid: int | None = None
        # Set when the command was ordered to end and the remote end did not confirm that all of it has ended.
        self.doubt: str | None = None

    def follow(self) -> Outcome:
        """Returns the outcome once the process ended, or once it did not confirm its end in time."""
        for event in self._process.events(_POLL_SECONDS):
            now = time.monotonic()
            match event:
                case Output(stream, data):
                    self._heard = now
                    crash.passing(CrashPoint.MID_COMMAND)
                    self._output.add(_FD[stream], data, int((now - self._began) * 1000))
                case Started(pid):
                    self._pid = pid
                case Exited():
                    return self._ended(event, now)
                case Dropped(detail):
                    return self._dropped(detail, now)
                case NotStarted(detail):
                    # The gate said running, so the only states left are those of a run; an exec that was refused
                    # ran nothing, which the reason says.
                    return self._outcome(RunState.FAILED, now, reason=Reason.EXEC_REFUSED, detail=detail)
                case Idle():
                    pass
            self._store(now)
            unconfirmed = self._enforce(now)
            if unconfirmed is not None:
                return unconfirmed
        return self._dropped("The connection ended.", time.monotonic())

    def _store(self, now: float) -> None:
        tail_due = now - self._tail_stored >= _TAIL_SECONDS
        if (self._output.waiting and now - self._stored >= _STORE_SECONDS) or (tail_due and self._output.held):
            self._performer.store(self._claim, self._output, tail=tail_due)
            self._stored = time.monotonic()
            if tail_due:
                self._tail_stored = self._stored

    def _enforce(self, now: float) -> Outcome | None:
        """Sends TERM and KILL when a deadline passed or an order came; returns an outcome when no end was confirmed."""
        if self._order is None:
            self._order = self._performer.order_for(self._claim) or self._deadline(now)
            if self._order is not None:
                self._ordered_at = now
                self._process.signal("TERM", grace=self._order.grace)
            return None
        if not self._killed and now - self._ordered_at >= self._order.grace:
            self._killed = True
            self._process.signal("KILL")
        if now - self._ordered_at >= self._order.grace + _CONFIRM_SECONDS:
            return self._ordered(self._order, now, "The remote end did not confirm that the command ended.")
        return None

    def _deadline(self, now: float) -> _Order | None:
        limits = self._claim.limits
        if limits.command and now - self._began >= limits.command:
            text = f"Stopped after {limits.command:g} s."
            return _Order(RunState.TIMED_OUT, Reason.COMMAND_TIMEOUT, text, limits.grace)
        if limits.idle and now - self._heard >= limits.idle:
            text = f"Stopped after {limits.idle:g} s without output."
            return _Order(RunState.TIMED_OUT, Reason.IDLE_TIMEOUT, text, limits.grace)
        return None

    def _ended(self, event: Exited, now: float) -> Outcome:
        exit_status, signal, left = event.status, event.signal, event.left_children
        if self._order is not None:
            outcome = self._ordered(self._order, now, event.doubt)
        elif signal is not None:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_SIGNAL, detail=f"Killed by SIG{signal}.")
        elif exit_status == 0:
            outcome = self._outcome(RunState.SUCCEEDED, now)
        else:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_STATUS)
        return replace(outcome, exit_status=exit_status, exit_signal=signal, left_children=left)

    def _dropped(self, detail: str, now: float) -> Outcome:
        if self._order is not None:
            return self._ordered(self._order, now, f"{detail} Whether the command ended is not known.")
        return self._outcome(RunState.LOST, now, reason=Reason.CONNECTION_LOST, detail=detail)

    def _ordered(self, order: _Order, now: float, doubt: str | None) -> Outcome:
        """Returns the outcome of a command that was ordered to end; ``doubt`` says why it may not have."""
        self.doubt = doubt
        killed = Reason.KILLED if doubt is None else Reason.KILL_UNCONFIRMED
        detail = f"{order.detail} {doubt or _CONFIRMED}"
        return self._outcome(order.state, now, reason=order.reason or killed, detail=detail)

    def searched(self, outcome: Outcome, sight: Sight) -> Outcome:
        """Returns ``outcome`` of a command that was ordered to end as it stands after a search of the host."""
        if self._order is None:
            return outcome
        killed = Reason.KILLED if sight.clear else Reason.KILL_UNCONFIRMED
        detail = f"{self._order.detail} {_CONFIRMED_ANEW if sight.clear else sight.words}"
        return replace(outcome, reason=self._order.reason or killed, detail=detail)

    def _outcome(
        self, state: RunState, now: float, *, reason: Reason | None = None, detail: str | None = None
    ) -> Outcome:
        duration_ms = int((now - self._began) * 1000)
        return Outcome(state, reason, detail, duration_ms=duration_ms, pid=self._pid)
