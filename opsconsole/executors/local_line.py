"""Programs on this machine, spoken to as an SSH channel is: so that one guard and one way to follow it serve both.

Nothing here blocks but waits that gevent knows; a program costs two greenlets, or two threads.
"""

import contextlib
import os
import pwd
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable

from opsconsole.jobs.ports import Stream
from opsconsole.ssh.deadline import Deadline, news

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a program may write before we have read it.
_WINDOW = 512 * 1024
_READ_AT_ONCE = 64 * 1024
_SEND_SECONDS = 2.0
# So often a pump looks whether its channel was closed, or has room again.
_LOOK_SECONDS = 0.25
_CROWDED_SECONDS = 0.01


class LocalChannel:
    """See ``opsconsole.ssh.line.LineChannel``. When it is closed the program's input ends, as at a lost connection."""

    def __init__(self, wake: threading.Event | None = None) -> None:
        self.wake = wake or threading.Event()
        self.opened = True
        self.open_refusal: int | None = None
        self.exec_accepted: bool | None = None
        self.exit_code: int | None = None
        self.exit_signal: str | None = None
        self.eof_received = False
        self.closed = False
        self._news: deque[tuple[Stream, bytes]] = deque()
        self._waiting = 0
        self._crowded = False
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._stdin: int | None = None

    @property
    def peer_closed(self) -> bool:
        """Whether the program and all that writes where it did have ended."""
        return self.eof_received and (self.exit_code is not None or self.exit_signal is not None)

    @property
    def has_output(self) -> bool:
        """Whether ``take`` has something to give."""
        return bool(self._news)

    def take(self) -> tuple[Stream, bytes] | None:
        """Returns the next output, or ``None``."""
        if not self._news:
            return None
        piece = self._news.popleft()
        self._waiting -= len(piece[1])
        return piece

    def send(self, s: bytes) -> int:
        """Writes what the pipe takes. Raises ``TimeoutError`` while it is full, ``OSError`` once nobody reads it."""
        with self._lock:
            if self._stdin is None:
                raise BrokenPipeError
            try:
                return os.write(self._stdin, s)
            except BlockingIOError:
                self._crowded = True
                raise TimeoutError from None

    def sendall(self, s: bytes) -> None:
        """Writes all of a few bytes, for which there usually is room."""
        give_up = Deadline(_SEND_SECONDS)
        while s:
            try:
                s = s[self.send(s) :]
            except TimeoutError:
                if give_up.passed:
                    raise
                time.sleep(_CROWDED_SECONDS)

    def request_exec(self, command: str) -> None:
        """Starts the program as the leader of a session of its own, with a login's environment and none of ours."""
        home, environment = _surroundings()
        self._program = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        pipes = self._program.stdin, self._program.stdout, self._program.stderr
        numbers = [pipe.fileno() for pipe in pipes if pipe is not None]
        for number in numbers:
            os.set_blocking(number, False)
        self._stdin = numbers[0]
        self.exec_accepted = True
        for work in (self._pump, self._await):
            threading.Thread(target=work, args=(self._program,), name="local-command", daemon=True).start()

    def answered(self) -> bool:
        """Returns that a program can be started."""
        return True

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until news make ``condition`` true; returns whether it is."""
        return news(self.wake, condition, seconds)

    def close(self) -> None:
        """Ends the program's input and stops listening to it."""
        self.closed = True
        self._shut_stdin()
        self.wake.set()

    def _shut_stdin(self) -> None:
        with self._lock:
            self._stdin = None
            program = self._program
            if program is not None and program.stdin is not None:
                with contextlib.suppress(OSError):
                    program.stdin.close()

    def _await(self, program: "subprocess.Popen[bytes]") -> None:
        status = program.wait()
        if status < 0:
            self.exit_signal = signal.Signals(-status).name.removeprefix("SIG")
        else:
            self.exit_code = status
        self._shut_stdin()
        self.wake.set()

    def _pump(self, program: "subprocess.Popen[bytes]") -> None:
        assert program.stdout is not None  # noqa: S101  Both were asked for as pipes.
        assert program.stderr is not None  # noqa: S101
        streams = {program.stdout.fileno(): Stream.STDOUT, program.stderr.fileno(): Stream.STDERR}
        listening = select.poll()
        for number in streams:
            listening.register(number, select.POLLIN)
        while streams and not self.closed:
            if self._waiting >= _WINDOW:
                time.sleep(_CROWDED_SECONDS)
                continue
            for number, _ in listening.poll(_LOOK_SECONDS * 1000):
                data = _read(number)
                if data is None:
                    continue
                if not data:
                    listening.unregister(number)
                    del streams[number]
                    continue
                self._waiting += len(data)
                self._news.append((streams[number], data))
                self.wake.set()
            if self._crowded:
                # There may be room again for what could not be sent.
                self._crowded = False
                self.wake.set()
        self.eof_received = not streams
        program.stdout.close()
        program.stderr.close()
        self.wake.set()


class LocalLine:
    """See ``opsconsole.ssh.line.Line``: this machine, which is always there."""

    def __init__(self) -> None:
        self._channels: list[LocalChannel] = []
        self._ended = False

    def open_run_channel(self, wake: threading.Event | None = None) -> LocalChannel:
        """Returns a channel, which is open."""
        if self._ended:
            raise EOFError
        channel = LocalChannel(wake)
        self._channels.append(channel)
        return channel

    def is_active(self) -> bool:
        """Returns whether ``abort`` was not called."""
        return not self._ended

    def abort(self) -> None:
        """Closes all channels: what runs loses its lease and is ended by its guard."""
        self._ended = True
        for channel in self._channels:
            channel.close()

    def silent_seconds(self) -> float:
        """Returns that it was heard just now."""
        return 0.0

    def send_probe(self) -> None:
        """Has nobody to ask."""


def _read(number: int) -> bytes | None:
    """Returns what can be read, empty at the end; ``None`` when there was nothing after all."""
    try:
        return os.read(number, _READ_AT_ONCE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _surroundings() -> tuple[str, dict[str, str]]:
    """Returns the folder and the environment that a login of this user would have. Ours holds the console's secrets."""
    try:
        entry = pwd.getpwuid(os.geteuid())
        name, home, shell = entry.pw_name, entry.pw_dir, entry.pw_shell
    except KeyError:
        name, home, shell = str(os.geteuid()), "/", ""
    if not os.path.isdir(home):
        home = "/"
    user = {"HOME": home, "USER": name, "LOGNAME": name, "SHELL": shell or "/bin/sh"}
    return home, {**user, "PATH": _PATH, "LANG": "C.UTF-8"}
