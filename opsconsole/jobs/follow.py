"""One remote process followed to its end: its output, its deadlines, the orders for it, and what its end is called."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from opsconsole import crash
from opsconsole.crash import CrashPoint
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.masking import masker_of
from opsconsole.jobs.output import STDERR, STDOUT, BoundedOutput
from opsconsole.jobs.ports import (
    Detached,
    Dropped,
    Event,
    Exited,
    Idle,
    NotStarted,
    Output,
    RemoteProcess,
    Sight,
    Skipped,
    Started,
    Stream,
    Vanished,
)
from opsconsole.jobs.raw import RawEnded
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.steps import Divider, Ended, Piece, Step, StepState, state_of
from opsconsole.jobs.transfer import Progress
from opsconsole.sentences import Sentence, joined

_FD: Mapping[Stream, int] = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR}
_STREAMS = {number: stream for stream, number in _FD.items()}
_POLL_SECONDS = 0.2
_STORE_SECONDS = 0.1
_TAIL_SECONDS = 1.0
# After KILL the remote end gets this long to confirm; then it is asked over a new connection, which may take so long.
_CONFIRM_SECONDS = 4.0
_CONFIRMED = Sentence("The remote end confirmed that the command ended.")
_UNCONFIRMED = Sentence("The remote end did not confirm that the command ended.")
_UNKNOWN = Sentence("Whether the command ended is not known.")
_UNTOLD = Sentence("The host did not tell how its steps ended.")
# What ends a run in one of these steps is no failure of the command itself.
_STEP_REASONS = {Step.CHECK: Reason.CHECK, Step.VERIFY: Reason.VERIFY}
_CONFIRMED_ANEW = Sentence("A search of the host over a new connection found nothing of the command alive.")


@dataclass(slots=True)
class Order:
    """Why the command is being ended: what the run will then be called. ``keeps``: what lies half written on the host
    may stay, so that a later push of it goes on from there; who cancels wants none of it."""

    state: RunState
    reason: Reason | None
    detail: str
    grace: float
    keeps: bool = False


class Master(Protocol):
    """Who has the run in hand."""

    def order_for(self, claim: Claim) -> Order | None:
        """Returns the order that ends this run early, if there is one."""

    def now(self) -> datetime:
        """Returns the wall-clock time, for records."""

    def leaves(self, claim: Claim) -> bool:
        """Returns whether another worker is to follow the command, which goes on."""

    def rewind(self, claim: Claim) -> None:
        """Makes room for output that comes again from its first byte."""

    def store(self, claim: Claim, output: BoundedOutput, *, tail: bool) -> None:
        """Stores the output that is ready."""


class Left(Exception):
    """The command goes on, and another worker is to follow it."""


class Follower:
    """Follows one remote process: collects output, watches deadlines and orders, and names the outcome."""

    def __init__(self, master: Master, claim: Claim, process: RemoteProcess, output: BoundedOutput) -> None:
        self._master = master
        self._claim = claim
        self._process = process
        self._output = output
        self._masker = masker_of(claim.secrets)
        self._masked = {stream: self._masker.stream() for stream in Stream}
        self._divider = Divider(claim.mark, claim.start.steps) if claim.start.steps else None
        self._began = self._heard = self._stored = self._tail_stored = time.monotonic()
        self._order: Order | None = None
        self._ordered_at = 0.0
        self._killed = False
        self._detached = False
        self._pid: int | None = None
        # Set when the command was ordered to end and the remote end did not confirm that all of it has ended.
        self.doubt: str | None = None
        # Whether the output is the run's from its first byte on.
        self.told = claim.ran_seconds is None

    def follow(self) -> Outcome:
        """Returns the outcome once the process ended, or once it did not confirm its end in time."""
        outcome = self._followed()
        self._let_go(time.monotonic())
        if self._output.steps and self._output.steps[-1].state is StepState.RUNNING:
            self._output.end(StepState(outcome.state.value), outcome.exit_status, self._master.now())
        return self._without_secrets(outcome)

    def _followed(self) -> Outcome:
        for event in self._process.events(_POLL_SECONDS):
            now = time.monotonic()
            outcome = self._take(event, now)
            if outcome is None:
                self._store(now)
                outcome = self._enforce(now)
            if outcome is not None:
                return outcome
            if self._master.leaves(self._claim):
                raise Left
        return self._dropped("The connection ended.", time.monotonic(), Reason.CONNECTION_LOST)

    def _take(self, event: Event, now: float) -> Outcome | None:
        """Takes in what happened; returns the outcome when that was the end."""
        self._detached = isinstance(event, Detached)
        match event:
            case Output(stream, data):
                self._heard = now
                crash.passing(CrashPoint.MID_COMMAND)
                self._hear(stream, data, now)
            case Skipped(stream, size):
                self._let_go(now)
                self._output.skip(_FD[stream], size)
            case Started(pid, age):
                self._begin(pid, age, now)
            case Exited():
                return self._ended(event, now)
            case RawEnded():
                return self._raw_ended(event, now)
            case Dropped(detail):
                return self._dropped(detail, now, Reason.CONNECTION_LOST)
            case Vanished(detail):
                return self._dropped(detail, now, Reason.VANISHED)
            case NotStarted(detail, reason):
                # The gate said running, so the only states left are those of a run; an exec that was refused
                # ran nothing, which the reason says.
                return self._outcome(RunState.FAILED, now, reason=reason, detail=detail)
            case Detached():
                self._heard = now
            case Progress(done, total):
                self._heard = now
                self._output.carry(done, total)
            case Idle():
                pass
        return None

    def _hear(self, stream: Stream, data: bytes, now: float) -> None:
        if self._divider is None:
            self._add(stream, self._masked[stream].feed(data), now)
            return
        for told in self._divider.feed(_FD[stream], data):
            self._divided(told, now)

    def _divided(self, told: Piece | Ended, now: float) -> None:
        if isinstance(told, Piece):
            stream = _STREAMS[told.stream]
            self._add(stream, self._masked[stream].feed(told.data), now)
            return
        self._unmask(now)
        if not self._output.steps:
            self._output.begin(self._claim.start.steps[0], self._master.now())
        while self._output.steps[-1].step is not told.step:
            # Its own end was not kept by the host; what came after it says that it passed.
            self._go_on(StepState.PASSED, 0)
        self._go_on(state_of(told.step, told.status), told.status)

    def _go_on(self, state: StepState, status: int) -> None:
        """Ends the present step and begins the next, if it passed and there is one."""
        steps, at = self._claim.start.steps, self._master.now()
        following = steps.index(self._output.steps[-1].step) + 1
        self._output.end(state, status, at)
        if state is StepState.PASSED and following < len(steps):
            self._output.begin(steps[following], at)

    def _let_go(self, now: float) -> None:
        """Takes in what was held back, because nothing follows it, or not what comes next."""
        for told in self._divider.rest() if self._divider is not None else ():
            self._divided(told, now)
        self._unmask(now)

    def _unmask(self, now: float) -> None:
        for stream in Stream:
            self._add(stream, self._masked[stream].rest(), now)

    def _add(self, stream: Stream, data: bytes, now: float) -> None:
        if data:
            self._output.add(_FD[stream], data, self._ms(now))

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        return replace(outcome, detail=self._masker.text(outcome.detail)) if outcome.detail else outcome

    def _begin(self, pid: int, age: float | None, now: float) -> None:
        self._pid = pid
        if age is not None:
            # The host tells how long it ran: while nobody listened it may have ended.
            self._began = now - age
            if not self.told:
                self._master.rewind(self._claim)
                self.told = True
        if self._claim.start.steps and not self._output.steps:
            self._output.begin(self._claim.start.steps[0], self._master.now())

    def _store(self, now: float) -> None:
        tail_due = now - self._tail_stored >= _TAIL_SECONDS
        ready = self._output.waiting or self._output.moved
        news = self._output.held or self._output.advanced
        if (ready and now - self._stored >= _STORE_SECONDS) or (tail_due and news):
            self._master.store(self._claim, self._output, tail=tail_due)
            self._stored = time.monotonic()
            if tail_due:
                self._tail_stored = self._stored

    def _enforce(self, now: float) -> Outcome | None:
        """Sends TERM and KILL when a deadline passed or an order came; returns an outcome when no end was confirmed."""
        if self._order is None:
            self._order = self._master.order_for(self._claim) or self._deadline(now)
            if self._order is not None:
                self._ordered_at = now
                self._process.signal("HUP" if self._order.keeps else "TERM", grace=self._order.grace)
            return None
        if not self._killed and now - self._ordered_at >= self._order.grace:
            self._killed = True
            self._process.signal("KILL")
        if now - self._ordered_at >= self._order.grace + _CONFIRM_SECONDS:
            return self._ordered(self._order, now, _UNCONFIRMED)
        return None

    def _deadline(self, now: float) -> Order | None:
        limits, keeps = self._claim.limits, self._claim.transfer is not None
        if self._detached:
            # It may have ended in time; the host's own limit sees to it otherwise.
            return None
        if limits.command and now - self._began >= limits.command:
            text = Sentence("Stopped after {seconds:g} s.", seconds=limits.command)
            return Order(RunState.TIMED_OUT, Reason.COMMAND_TIMEOUT, text, limits.grace, keeps)
        if limits.idle and now - self._heard >= limits.idle:
            text = Sentence("Stopped after {seconds:g} s without output.", seconds=limits.idle)
            return Order(RunState.TIMED_OUT, Reason.IDLE_TIMEOUT, text, limits.grace, keeps)
        return None

    def _ended(self, event: Exited, now: float) -> Outcome:
        exit_status, signal, left = event.status, event.signal, event.left_children
        self._let_go(now)
        if self._order is not None:
            outcome = self._ordered(self._order, now, event.doubt, kept=event.kept)
        elif event.by_limit:
            text = Sentence("Stopped by the host's own limit of time, while no worker could do it.")
            outcome = self._outcome(RunState.TIMED_OUT, now, reason=Reason.COMMAND_TIMEOUT, detail=text)
        elif self._output.steps:
            outcome = self._stepped(exit_status, signal, now)
        elif signal is not None:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_SIGNAL, detail=_killed_by(signal))
        elif exit_status == 0:
            outcome = self._outcome(RunState.SUCCEEDED, now)
        else:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_STATUS)
        if event.cut:
            cut = Sentence("The host could not store all of the output (its disk is full).")
            outcome = replace(outcome, detail=f"{outcome.detail} {cut}" if outcome.detail else cut)
        return replace(outcome, exit_status=exit_status, exit_signal=signal, left_children=left)

    def _raw_ended(self, event: RawEnded, now: float) -> Outcome:
        """A device that tells no exit status has succeeded when its session ended cleanly and no line told a fault."""
        if self._order is not None:
            outcome = self._ordered(self._order, now, event.doubt)
        elif event.signal is not None:
            killed = _killed_by(event.signal)
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_SIGNAL, detail=killed)
        elif event.status:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.EXIT_STATUS, detail=event.problem)
        elif event.problem is not None:
            outcome = self._outcome(RunState.FAILED, now, reason=Reason.DEVICE_FAULT, detail=event.problem)
        else:
            outcome = self._outcome(RunState.SUCCEEDED, now, detail=event.note)
        return replace(outcome, exit_status=event.status, exit_signal=event.signal)

    def _stepped(self, status: int | None, signal: str | None, now: float) -> Outcome:
        """Returns the outcome of steps that ended by themselves: that of the last one which began."""
        last = self._output.steps[-1]
        if last.state is StepState.RUNNING:
            if self._divider is not None and status == 0:
                return self._outcome(RunState.LOST, now, reason=Reason.VANISHED, detail=_UNTOLD)
            self._output.end(state_of(last.step, status), status, self._master.now())
            last = self._output.steps[-1]
        if last.state is StepState.NOTHING_TO_DO:
            return self._outcome(RunState.SUCCEEDED, now, reason=Reason.NOTHING_TO_DO)
        if last.state is StepState.PASSED and self._claim.start.next_step is not None:
            return replace(self._outcome(RunState.PENDING, now), next_step=self._claim.start.next_step)
        if last.state is StepState.PASSED:
            return self._outcome(RunState.SUCCEEDED, now)
        usual = Reason.EXIT_STATUS if signal is None else Reason.EXIT_SIGNAL
        detail = None if signal is None else _killed_by(signal)
        return self._outcome(RunState.FAILED, now, reason=_STEP_REASONS.get(last.step, usual), detail=detail)

    def _dropped(self, detail: str, now: float, lost: Reason) -> Outcome:
        if self._order is not None and self._order.keeps:
            # No search: it would remove what is to stay.
            return self._ordered(self._order, now, None, kept=detail)
        if self._order is not None:
            return self._ordered(self._order, now, joined(" ", [detail, _UNKNOWN]))
        return self._outcome(RunState.LOST, now, reason=lost, detail=detail)

    def _ordered(self, order: Order, now: float, doubt: str | None, *, kept: str | None = None) -> Outcome:
        """Returns the outcome of a command that was ordered to end; ``doubt`` says why it may not have, ``kept`` what
        stays there."""
        self.doubt = doubt
        killed = Reason.KILLED if doubt is None else Reason.KILL_UNCONFIRMED
        detail = f"{order.detail} {doubt or kept or _CONFIRMED}"
        return self._outcome(order.state, now, reason=order.reason or killed, detail=detail)

    def searched(self, outcome: Outcome, sight: Sight) -> Outcome:
        """Returns ``outcome`` of a command that was ordered to end as it stands after a search of the host."""
        if self._order is None:
            return outcome
        killed = Reason.KILLED if sight.clear else Reason.KILL_UNCONFIRMED
        detail = f"{self._order.detail} {_CONFIRMED_ANEW if sight.clear else sight.words}"
        return self._without_secrets(replace(outcome, reason=self._order.reason or killed, detail=detail))

    def _outcome(
        self, state: RunState, now: float, *, reason: Reason | None = None, detail: str | None = None
    ) -> Outcome:
        return Outcome(state, reason, detail, duration_ms=self._ms(now), pid=self._pid)

    def _ms(self, now: float) -> int:
        """Returns for how long the host has been at its steps, those before this start included."""
        return self._claim.start.so_far.ms + int((now - self._began) * 1000)


def _killed_by(signal: str) -> Sentence:
    return Sentence("Killed by SIG{signal}.", signal=signal)
