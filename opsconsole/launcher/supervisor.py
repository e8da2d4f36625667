"""Keeps a set of processes running: starts, watches, restarts with growing delays, and stops them in order.

It has one thread, which waits in one place for output, ended children and signals.
"""

import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

from opsconsole.errors import Unavailable
from opsconsole.launcher.child import (
    STEADY_SECONDS,
    Child,
    ChildSpec,
    how_it_ended,
    open_log,
    printable,
    restart_delay,
)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READY_POLL = 0.05
_ALIVE_POLL = 5.0
# So many short lives in a row, before a child was ever ready, mean that it cannot start at all.
_HOPELESS = 4
_ALARMS_PER_WINDOW = 6
_ALARM_WINDOW = 30.0
# A stage is told to stop when the one before it has ended, or this long after it was told, whichever is first. The
# last stage (the broker) waits for all others: they still speak to it.
_STAGE_HEAD_START = 0.5
_SAME_ORDER = 1.0


class Supervisor:
    """Runs children in ``logs_dir``'s company. Use as a context manager: leaving it stops and reaps all of them.

    ``say`` prints one line for the person at the console; a child that keeps ending waits ``longest_delay`` seconds
    at most for its next start.
    """

    def __init__(self, logs_dir: Path, say: Callable[[str], None], *, longest_delay: float) -> None:
        self._logs_dir = logs_dir
        self._longest_delay = longest_delay
        self._say = say
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stop_asked: float | None = None
        self._impatient = False
        self._stopping = False
        self._alarms: dict[str, list[float]] = {}
        self._wake_read, self._wake_write = socket.socketpair()
        self._old_handlers: dict[signal.Signals, Any] = {}
        self._old_wakeup = -1

    def __enter__(self) -> Self:
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._old_wakeup = signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            # Who starts us with nohup wants us to outlive the terminal.
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._old_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    @property
    def stop_requested(self) -> bool:
        """True once Ctrl-C or a signal asked for the end."""
        return self._stop_asked is not None

    def pids(self) -> dict[str, int]:
        """Returns the process ids of the running children by name."""
        return {child.spec.name: child.pid for child in self._children if child.process}

    def start(self, specs: Sequence[ChildSpec]) -> None:
        """Starts children at once; ``wait_ready`` tells when they work."""
        for spec in specs:
            child = Child(spec, open_log(self._logs_dir, spec.name))
            self._children.append(child)
            self._spawn(child)

    def wait_ready(self, seconds: float) -> bool:
        """Waits until all children are ready. Returns False when a signal asked for the end first.

        Raises ``Unavailable`` with the last words of a child that cannot start, or that is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not self.stop_requested:
            late = [child for child in self._children if not child.ready]
            if not late:
                return True
            for child in late:
                if child.failures >= _HOPELESS and not child.was_ready:
                    raise Unavailable(self._last_words(child, "cannot start"), code="child")
            if time.monotonic() > deadline:
                raise Unavailable(self._last_words(late[0], f"is not ready after {seconds:.0f} s"), code="child")
            self._turn(_READY_POLL)
        return False

    def run(self) -> None:
        """Watches the children until Ctrl-C, SIGTERM or SIGHUP asks for the end."""
        while not self.stop_requested:
            self._turn(_ALIVE_POLL)

    def stop(self) -> None:
        """Ends all children, stage by stage, and returns when none is left. A second Ctrl-C kills at once."""
        self._stopping = True
        for child in self._children:
            child.restart_at = None
        stages = sorted({child.spec.stage for child in self._children})
        for stage, following in zip(stages, [*stages, None][1:], strict=True):
            self._tell_to_stop(stage)
            last = following is None or following == stages[-1]
            limit = float("inf") if last else time.monotonic() + _STAGE_HEAD_START
            while self._running(up_to=stage) and time.monotonic() < limit:
                if self._impatient:
                    self._kill_all()
                self._turn(_READY_POLL)
        for child in self._children:
            child.log.close()

    def _running(self, up_to: int) -> list[Child]:
        return [child for child in self._children if child.process and child.spec.stage <= up_to]

    def _tell_to_stop(self, stage: int) -> None:
        for child in self._children:
            if child.spec.stage == stage and child.process:
                child.kill_at = time.monotonic() + child.spec.stop_seconds
                child.process.send_signal(signal.SIGTERM)

    def _kill_all(self) -> None:
        for child in self._children:
            child.signal_group(signal.SIGKILL)

    def _turn(self, seconds: float) -> None:
        """Waits at most ``seconds`` for something to happen, then does all that is due."""
        now = time.monotonic()
        dues = [due for child in self._children for due in (child.restart_at, child.kill_at) if due is not None]
        waiting = any(child.process and not child.ready for child in self._children)
        timeout = min([seconds, *(max(due - now, 0.0) for due in dues), *([_READY_POLL] if waiting else [])])
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._drain_wakeups()
            else:
                self._read(key.data)
        for child in self._children:
            self._attend(child)

    def _attend(self, child: Child) -> None:
        now = time.monotonic()
        if child.process and child.process.poll() is not None:
            self._ended(child, child.process.returncode)
        elif child.process and child.kill_at is not None and now >= child.kill_at:
            self._say(f"{child.spec.name} did not end in time and is killed")
            child.signal_group(signal.SIGKILL)
            child.kill_at = None
        elif child.process and not self._stopping:
            self._watch(child, now)
        elif child.restart_at is not None and now >= child.restart_at and not self._stopping:
            self._spawn(child)

    def _watch(self, child: Child, now: float) -> None:
        if not child.ready:
            child.ready = child.is_ready(now)
            if child.ready and child.was_ready:
                self._say(f"{child.spec.name} is back (process {child.pid})")
            child.was_ready = child.was_ready or child.ready
        elif now - child.checked >= _ALIVE_POLL:
            child.checked = now
            if not child.spec.alive(child.pid):
                self._say(f"{child.spec.name} gives no sign of life and is killed")
                child.signal_group(signal.SIGKILL)

    def _spawn(self, child: Child) -> None:
        try:
            descriptor = child.spawn(time.monotonic())
        except OSError as error:
            child.tail.append(f"{child.spec.command[0]}: {error.strerror}")
            self._try_later(child, f"{child.spec.name} cannot be started ({error.strerror})")
            return
        self._selector.register(descriptor, selectors.EVENT_READ, child)

    def _try_later(self, child: Child, what: str) -> None:
        child.failures += 1
        delay = restart_delay(child.failures, self._longest_delay)
        child.restart_at = time.monotonic() + delay
        self._say(f"{what}; starting it again in {delay:.1f} s")

    def _read(self, child: Child) -> bool:
        """Takes in a child's output; returns False when there is no more for now."""
        lines = child.read()
        if lines is None:
            if child.process and child.process.stdout:
                self._forget(child)
            return False
        for line in lines:
            if child.alarms.picks(line) and not self._stopping:
                self._alarm(child.spec.name, line)
        return bool(lines)

    def _forget(self, child: Child) -> None:
        if child.process and child.process.stdout:
            descriptor = child.process.stdout.fileno()
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)

    def _ended(self, child: Child, returncode: int) -> None:
        while self._read(child):
            pass
        # What it started in its session has lost its parent.
        child.signal_group(signal.SIGKILL)
        pid, lived = child.pid, time.monotonic() - child.started
        self._forget(child)
        child.close()
        child.ready, child.kill_at = False, None
        child.spec.on_exit(pid)
        if self._stopping or self.stop_requested:
            return
        if lived >= STEADY_SECONDS:
            child.failures = 0
        self._try_later(child, f"{child.spec.name} (process {pid}) {how_it_ended(returncode)}")

    def _alarm(self, name: str, line: str) -> None:
        now = time.monotonic()
        recent = [at for at in self._alarms.get(name, []) if now - at < _ALARM_WINDOW]
        if len(recent) < _ALARMS_PER_WINDOW:
            self._say(f"{name}: {printable(line)}")
        elif len(recent) == _ALARMS_PER_WINDOW:
            self._say(f"{name}: more of this in {self._logs_dir / name}.log")
        self._alarms[name] = [*recent, now][-_ALARMS_PER_WINDOW - 1 :]

    def _last_words(self, child: Child, what: str) -> str:
        said = "\n".join(f"  {printable(line)}" for line in list(child.tail)[-6:])
        log = self._logs_dir / f"{child.spec.name}.log"
        return f"{child.spec.name} {what}. Its log is {log}; the last lines:\n{said or '  (it said nothing)'}"

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            return

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number not in _STOP_SIGNALS:
            return
        now = time.monotonic()
        if self._stop_asked is None:
            self._stop_asked = now
        # One order may arrive twice: straight, and through the process group of whoever started us.
        self._impatient = self._impatient or (number == signal.SIGINT and now - self._stop_asked > _SAME_ORDER)
