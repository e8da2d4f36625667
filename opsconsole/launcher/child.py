"""One child process of the supervisor: how it is started, what it writes, and when it is started again."""

import logging
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

from opsconsole.launcher.orphans import end_with_parent

_LOG_BYTES = 5 * 1024 * 1024
_LOG_FILES = 3
_LINE_BYTES = 8192
_READ_BYTES = 65536
_ALARMING = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b|\[(error|critical) *\]|\"level\": ?\"(error|critical)\"")
_TRACE_START = "Traceback (most recent call last)"
_TRACE_CHAIN = ("During handling of the above", "The above exception was")
_TAIL_LINES = 20

FIRST_DELAY = 0.2
STEADY_SECONDS = 30.0
_PROVEN_SECONDS = 1.0


def restart_delay(failures: int, longest: float) -> float:
    """Returns the seconds, ``longest`` at most, until a child starts again after ``failures`` (from 1) short lives."""
    return float(min(FIRST_DELAY * 2 ** (min(failures, 16) - 1), longest))


def _never_mind(_pid: int) -> None:
    """The default of ``ChildSpec.on_exit``: nobody needs to know."""


def _surely(_pid: int) -> bool:
    """The default of ``ChildSpec.alive``: it runs, so all is well."""
    return True


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running.

    ``stage`` orders the stop: lower ones end first. ``stop_seconds`` after the order to stop it is killed. ``ready``,
    ``alive`` and ``on_exit`` get its process id; they must answer within a second and raise nothing. Without ``ready``
    a child counts as ready when it has lived for a second.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stage: int = 0
    stop_seconds: float = 3.0
    pass_fds: tuple[int, ...] = ()
    ready: Callable[[int], bool] | None = None
    alive: Callable[[int], bool] = _surely
    on_exit: Callable[[int], None] = _never_mind


class AlarmFilter:
    """Picks the log lines that a person should see: errors, and of a traceback the line that says what happened."""

    def __init__(self) -> None:
        self._in_trace = False

    def picks(self, line: str) -> bool:
        """Returns whether to show ``line``, the next one of the log."""
        if line.startswith(_TRACE_START):
            self._in_trace = True
            return False
        if self._in_trace:
            self._in_trace = line.startswith((" ", "\t", *_TRACE_CHAIN))
            return not self._in_trace
        return _ALARMING.search(line) is not None


@dataclass(slots=True, eq=False)
class Child:
    """The running state of one ``ChildSpec``."""

    spec: ChildSpec
    log: RotatingFileHandler
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ready: bool = False
    was_ready: bool = False
    checked: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    kill_at: float | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    alarms: AlarmFilter = field(default_factory=AlarmFilter)
    _partial: bytes = b""

    @property
    def pid(self) -> int:
        """Process id of the running process."""
        if self.process is None:
            raise RuntimeError(f"{self.spec.name} does not run")
        return self.process.pid

    def spawn(self, now: float) -> int:
        """Starts the process and returns the descriptor that its output arrives on."""
        self.process = subprocess.Popen(
            self.spec.command,
            env=dict(self.spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self.spec.pass_fds,
            preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509  With one thread here, no lock can be held.
        )
        self.started, self.ready, self.restart_at, self.kill_at = now, False, None, None
        self._partial, self.alarms = b"", AlarmFilter()
        stream = self.process.stdout
        if stream is None:
            raise RuntimeError("a child was started without a pipe")
        os.set_blocking(stream.fileno(), False)
        return stream.fileno()

    def is_ready(self, now: float) -> bool:
        """Returns whether the process works."""
        if self.spec.ready is None:
            return now - self.started >= _PROVEN_SECONDS
        return self.spec.ready(self.pid)

    def read(self) -> list[str] | None:
        """Returns the whole lines that have arrived and writes them to the log; ``None`` when the output has ended."""
        if self.process is None or self.process.stdout is None:
            return None
        try:
            data = os.read(self.process.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        *whole, rest = (self._partial + data).split(b"\n")
        if not data or len(rest) > _LINE_BYTES:
            whole, rest = [*whole, rest], b""
        self._partial = rest
        lines = [line.decode("utf-8", "replace").rstrip("\r") for line in whole if line]
        for line in lines:
            self.log.emit(logging.makeLogRecord({"msg": line}))
            self.tail.append(line)
        return lines if data else None

    def signal_group(self, number: signal.Signals) -> None:
        """Sends a signal to the process and all that it started in its session."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """Closes the pipe and forgets the ended process."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


class _ChildLog(RotatingFileHandler):
    """A log whose troubles stay its own: a full disk must not end the watch over the processes."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drops the line; whoever looks for a full disk has the doctor."""


def open_log(folder: Path, name: str) -> RotatingFileHandler:
    """Returns the log file of a child, which turns over by size and keeps two old files."""
    handler = _ChildLog(
        folder / f"{name}.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES - 1, encoding="utf-8", errors="replace"
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def printable(line: str, limit: int = 300) -> str:
    """Returns ``line`` safe for a terminal: no control characters (a log repeats what hosts say), not too long."""
    shown = "".join(character if character.isprintable() else "�" for character in line[:limit])
    return shown + (" …" if len(line) > limit else "")


def how_it_ended(returncode: int) -> str:
    """Returns how a process ended, in words."""
    if returncode < 0:
        try:
            return f"was killed by {signal.Signals(-returncode).name}"
        except ValueError:
            return f"was killed by signal {-returncode}"
    return f"ended with status {returncode}"
