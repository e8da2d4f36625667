"""Plays hosts: connections, commands and their ends as ``jobs.simulation`` describes them. There is no network in it.

Nothing here blocks but sleeps and waits, which under gevent cost a thousand hosts in flight next to nothing.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from opsconsole.executors.fake_host import FakeHost, Fate
from opsconsole.executors.fake_memory import Kept, Memory
from opsconsole.executors.fake_shell import End, Say, Wait, in_turn
from opsconsole.jobs.ports import (
    Auth,
    Become,
    ConnectionFacts,
    Dropped,
    Event,
    Exited,
    Idle,
    KnownKey,
    Limits,
    Output,
    RemoteCommand,
    RemoteProcess,
    Sight,
    Spool,
    Started,
    Stream,
    Target,
    Unreached,
    Vanished,
)
from opsconsole.jobs.raw import RawCommand, RawEnded
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence

_STATUS_OF = {"TERM": 143, "HUP": 129}
# What is told to end takes a moment for it.
_ENDING_SECONDS = 0.02
_PIDS = (300, 4_000_000)
_LOST = "Simulated: the connection ended before the command's result came."
_NOTHING_KEPT = "Simulated: the host keeps nothing of this command."
_NO_KEYS = Unreached(Reason.PROTOCOL, "A simulated host has no host keys.")
_LOST_PART = 0.5
_RAW_SECONDS = 7 * 86_400


class SimulatedConnector:
    """See ``opsconsole.jobs.ports.Connector``. ``folder`` is for what must outlive a worker process."""

    def __init__(self, folder: Path) -> None:
        self._memory = Memory(folder)

    def connect(self, target: Target, auth: Auth, limits: Limits) -> "SimulatedSession | Unreached":
        """Returns a session after the time that the host takes, or why there is none. No login is looked at."""
        host = FakeHost(target.host, target.simulation or Simulation())
        refusal = host.refusal
        seconds = limits.connect if host.silent else min(host.connect_seconds, limits.connect)
        time.sleep(seconds)
        if refusal is not None:
            return refusal
        if seconds >= limits.connect:
            text = Sentence("Simulated: no answer within {connect:g} s.", connect=limits.connect)
            return Unreached(Reason.CONNECT_TIMEOUT, text, retryable=True)
        return SimulatedSession(host, self._memory, target.address, round(seconds * 1000))

    def scan(self, target: Target, limits: Limits) -> tuple[KnownKey, ...] | Unreached:
        """Returns that there is nothing to see."""
        return _NO_KEYS

    def close(self) -> None:
        """Has nothing to close."""


class SimulatedSession:
    """See ``opsconsole.jobs.ports.Session``."""

    def __init__(self, host: FakeHost, memory: Memory, address: str, connect_ms: int) -> None:
        self.facts = ConnectionFacts(
            address=address, host_key=None, host_key_new=False, reused=False, connect_ms=connect_ms
        )
        self._host = host
        self._memory = memory

    def start(self, command: RemoteCommand) -> "SimulatedProcess":
        """Begins to play the command, or goes on with one that is durable."""
        return SimulatedProcess(self._host, self._memory, command)

    def start_raw(self, command: RawCommand) -> "SimulatedDevice":
        """Begins to play the command as a device that is spoken to over a terminal would."""
        text = RemoteCommand("raw", command.text.encode(), _RAW_SECONDS, 1)
        return SimulatedDevice(SimulatedProcess(self._host, self._memory, text))

    def search(self, mark: str, *, end: float | None, seconds: float, become: Become | None = None) -> Sight:
        """Returns whether the command goes on; with ``end`` it is ended."""
        if end is not None:
            return Sight(ended=int(self._memory.end(mark, "KILL")))
        kept = self._memory.find(mark)
        return Sight(alive=int(kept is not None and kept.alive))

    def forget(self, mark: str, become: Become | None = None) -> None:
        """Removes what is kept of a durable command."""
        self._memory.forget(mark)

    def close(self, *, keep: bool) -> None:
        """Has nothing to close."""


class SimulatedProcess:
    """See ``opsconsole.jobs.ports.RemoteProcess``. One thread iterates ``events``; any may call ``signal``."""

    def __init__(self, host: FakeHost, memory: Memory, command: RemoteCommand) -> None:
        self._host = host
        self._memory = memory
        self._command = command
        self._ordered: str | None = None
        self._pid = host.number(f"pid {command.mark}", *_PIDS)
        self._known = _known(command.spool)

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what happens, at least one event every ``poll_seconds``."""
        spool, now = self._command.spool, time.monotonic()
        kept = self._memory.find(self._command.mark) if spool is not None and spool.attach else None
        if spool is not None and spool.attach and kept is None:
            yield Vanished(_NOTHING_KEPT)
            return
        began = kept.began if kept is not None else now
        if spool is not None and kept is None:
            self._memory.keep(self._command.mark, Kept(began, self._ends(began)))
        yield Started(self._pid, now - began if kept is not None else None)
        if kept is not None and kept.ended is not None:
            yield from self._rest_of(kept)
            return
        yield from self._play(began, poll_seconds, drops=self._host.fate is Fate.LOST and kept is None)

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Orders the end of the command. A stubborn host listens to KILL alone."""
        if name == "KILL" or not self._host.stubborn:
            self._ordered = self._ordered or name
            if self._command.spool is not None:
                self._memory.end(self._command.mark, name)

    def _play(self, began: float, poll: float, *, drops: bool) -> Iterator[Event]:
        at = began
        limit_at = began + self._command.limit_seconds
        drop_at = began + self._host.run_seconds * _LOST_PART if drops else None
        for step in self._steps():
            if isinstance(step, Say):
                yield from self._said(step)
                continue
            at = at + step.seconds if isinstance(step, Wait) else at
            until = min(at, limit_at) if drop_at is None else min(at, limit_at, drop_at)
            yield from self._await(until, poll)
            if self._ordered is not None:
                time.sleep(_ENDING_SECONDS)
                yield _ended_by(self._ordered)
                return
            if drop_at is not None and (drop_at <= at or isinstance(step, End)):
                self._goes_on(began)
                yield Dropped(_LOST)
                return
            if limit_at < at:
                yield Exited(_STATUS_OF["TERM"], by_limit=self._command.spool is not None)
                return
            if isinstance(step, End):
                yield Exited(step.status)
                return

    def _steps(self) -> Iterator[Wait | Say | End]:
        if self._host.fate is Fate.HANGS:
            yield Wait(float(self._command.limit_seconds) + 1.0)
        yield from in_turn(self._command.script, self._command.mark, self._host)

    def _await(self, until: float, poll: float) -> Iterator[Event]:
        """Yields ``Idle`` so often as is asked for until then, or until an order comes.

        All hosts look up in the same moments: a loop that wakes once for a thousand of them costs a fifth.
        """
        while self._ordered is None and (left := until - time.monotonic()) > 0:
            pause = poll - time.monotonic() % poll
            time.sleep(min(left, pause))
            if left > pause:
                yield Idle()

    def _said(self, step: Say) -> Iterator[Event]:
        """Yields the part of it that is not known yet."""
        known = self._known[step.stream]
        self._known[step.stream] = max(known - len(step.data), 0)
        if len(step.data) > known:
            yield Output(step.stream, step.data[known:])

    def _rest_of(self, kept: Kept) -> Iterator[Event]:
        """Yields what a command had said when it was ended, as far as that is not known yet, and how it ended."""
        at, end = kept.began, kept.ended_at or kept.began
        for step in self._steps():
            at = at + step.seconds if isinstance(step, Wait) else at
            if at > end:
                break
            if isinstance(step, Say):
                yield from self._said(step)
        yield _ended_by(kept.ended or "TERM")

    def _goes_on(self, began: float) -> None:
        if self._command.spool is None:
            self._memory.keep(self._command.mark, Kept(began, self._ends(began)))

    def _ends(self, began: float) -> float:
        lasts = sum(step.seconds for step in self._steps() if isinstance(step, Wait))
        return began + min(lasts, float(self._command.limit_seconds))


class SimulatedDevice:
    """See ``opsconsole.jobs.ports.RemoteProcess``: the same, without a guard that tells how it ended."""

    def __init__(self, process: RemoteProcess) -> None:
        self._process = process

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what happens, at least one event every ``poll_seconds``."""
        for event in self._process.events(poll_seconds):
            if isinstance(event, Exited):
                yield RawEnded(event.status, event.signal)
            elif not isinstance(event, Started):
                yield event

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Ends the session."""
        self._process.signal("KILL")


def _known(spool: Spool | None) -> dict[Stream, int]:
    return {Stream.STDOUT: spool.stdout if spool else 0, Stream.STDERR: spool.stderr if spool else 0}


def _ended_by(order: str) -> Exited:
    return Exited(None, signal="KILL") if order == "KILL" else Exited(_STATUS_OF.get(order, 143))
