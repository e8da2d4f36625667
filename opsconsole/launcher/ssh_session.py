"""One command or file session on a demo host: a real process behind an SSH channel of the demo fleet."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import asyncssh

from opsconsole.launcher import sftp_server

_CHUNK = 65536
_STDIN_HIGH_WATER = 1024 * 1024
# Once its connection is gone a command has this long to end by itself (the guard ends it through its stdin).
_ORPHAN_SECONDS = 8.0
_LINGER_SECONDS = 2.0
_SIGNALS = {"TERM", "INT", "HUP", "QUIT", "KILL", "USR1", "USR2"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom a host's commands run, and how long a slow host thinks before each."""

    host: str
    home: Path
    user: str
    delay: float = 0.0

    def environment(self) -> dict[str, str]:
        """Returns the whole environment of a command: nothing of this process's own, which may hold secrets."""
        return {
            "PATH": _PATH,
            "HOME": str(self.home),
            "USER": self.user,
            "LOGNAME": self.user,
            "SHELL": "/bin/sh",
            "HOSTNAME": self.host,
            "LANG": "C.UTF-8",
        }


class Running(Protocol):
    """A command that runs, and our ends of its streams."""

    @property
    def stdin(self) -> IO[bytes]:
        """What the command reads."""

    @property
    def stdout(self) -> IO[bytes]:
        """What it writes."""

    @property
    def stderr(self) -> IO[bytes]:
        """What it writes of its faults."""

    def signal(self, number: int) -> None:
        """Signals the command with all that it started in its session; does nothing once it has ended."""


class Runner(Protocol):
    """Who starts commands, and servers of files that may do what commands may."""

    def start(self, command: str, place: Place, on_exit: Callable[[int], None]) -> Running:
        """Starts ``command`` in /bin/sh as leader of a session of its own. Raises ``OSError``.

        ``on_exit`` gets its status, or the negative number of the signal that ended it.
        """

    def start_files(self, place: Place, on_exit: Callable[[int], None]) -> Running:
        """Starts a server of SFTP in the same way; its streams are the session. Raises ``OSError``."""


class _Own:
    """A command among the processes of this machine."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("a command was started without pipes")
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._pid = process.pid

    def signal(self, number: int) -> None:
        """Signals its process group."""
        signal_group(self._pid, number)


class Processes:
    """Commands that run as the one who started this process, with all rights. SIGCHLD tells when one has ended."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], Callable[[int], None]] = {}
        # Process groups that outlived their leader, the command.
        self._leftovers: set[int] = set()

    def start(self, command: str, place: Place, on_exit: Callable[[int], None]) -> Running:
        """Starts ``command`` in /bin/sh as leader of a session of its own. Raises ``OSError``."""
        return self._start(["/bin/sh", "-c", command], place, on_exit)

    def start_files(self, place: Place, on_exit: Callable[[int], None]) -> Running:
        """Starts a server of SFTP in the same way. Raises ``OSError``."""
        return self._start([sys.executable, "-I", "-S", sftp_server.__file__], place, on_exit)

    def _start(self, words: Sequence[str], place: Place, on_exit: Callable[[int], None]) -> Running:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=place.home,
            env=place.environment(),
            start_new_session=True,
        )
        self._running[process] = on_exit
        return _Own(process)

    def reap(self) -> None:
        """Tells whoever started them of the commands that have ended."""
        for process in [process for process in self._running if process.poll() is not None]:
            self._leftovers.add(process.pid)
            self._running.pop(process)(process.returncode)
        self._leftovers = {group for group in self._leftovers if signal_group(group, 0)}

    def kill_all(self) -> None:
        """Kills every running command with all it started in its session, and what ended commands left behind."""
        for group in [*(process.pid for process in self._running), *self._leftovers]:
            signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Signals a process group; returns whether any of it is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class CommandSession(asyncssh.SSHServerSession[bytes]):
    """Serves one exec request, or one request for SFTP."""

    def __init__(self, place: Place, runner: Runner) -> None:
        self._place = place
        self._runner = runner
        # None is a session of files.
        self._command: str | None = None
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._process: Running | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._early = bytearray()
        self._early_eof = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        """Keeps the channel."""
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        """Accepts the command."""
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Accepts a session of files."""
        return subsystem == "sftp"

    def session_started(self) -> None:
        """Starts the command."""
        self._task = asyncio.create_task(self._serve())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hands input on to the command."""
        if self._stdin is None:
            self._early += data
            return
        self._stdin.write(data)
        if self._channel and self._stdin.get_write_buffer_size() > _STDIN_HIGH_WATER:
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        """Ends the command's input; the channel stays open for its output."""
        if self._stdin is None:
            self._early_eof = True
        else:
            self._stdin.write_eof()
        return True

    def signal_received(self, signal: str) -> None:
        """Signals the command's process group (RFC 4254 section 6.9)."""
        if self._process and signal in _SIGNALS:
            self._process.signal(_number_of(signal))

    def pause_writing(self) -> None:
        """The other side does not read: the command has to wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other side reads again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the command's input away and, when it does not end by that, kills it."""
        self._lost = True
        self._writable.set()
        if self._process is None or self._exited.done():
            return
        process, exited = self._process, self._exited
        if self._stdin:
            self._stdin.close()
        process.signal(signal.SIGHUP)
        asyncio.get_running_loop().call_later(
            _ORPHAN_SECONDS, lambda: None if exited.done() else process.signal(signal.SIGKILL)
        )

    def input_drained(self) -> None:
        """The command has read what waited for it."""
        if self._channel and not self._lost:
            self._channel.resume_reading()

    async def _serve(self) -> None:
        if self._place.delay:
            await asyncio.sleep(self._place.delay)
        if self._lost or self._channel is None:
            return
        try:
            self._process = self._begin()
        except OSError as error:
            self._channel.write_stderr(f"{error.strerror}\n".encode())
            self._channel.exit(126)
            return
        process = self._process
        pumps = asyncio.gather(
            self._pump(process.stdout, self._channel.write), self._pump(process.stderr, self._channel.write_stderr)
        )
        await self._open_stdin(process.stdin)
        status = await self._exited
        # What the command left in the background may hold its streams open for ever.
        await asyncio.wait([pumps], timeout=_LINGER_SECONDS)
        pumps.cancel()
        if self._stdin:
            self._stdin.close()
        self._tell(status)

    def _begin(self) -> Running:
        if self._command is None:
            return self._runner.start_files(self._place, self._on_exit)
        return self._runner.start(self._command, self._place, self._on_exit)

    async def _open_stdin(self, pipe: IO[bytes]) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_write_pipe(lambda: _Input(self), pipe)
        transport.set_write_buffer_limits(_STDIN_HIGH_WATER)
        self._stdin = transport
        if self._early:
            transport.write(bytes(self._early))
        if self._early_eof:
            transport.write_eof()

    async def _pump(self, pipe: IO[bytes], write: Callable[[bytes], None]) -> None:
        reader = asyncio.StreamReader(limit=_CHUNK)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while data := await reader.read(_CHUNK):
                await self._writable.wait()
                if self._lost:
                    return
                write(data)
        finally:
            transport.close()

    def _on_exit(self, returncode: int) -> None:
        if not self._exited.done():
            self._exited.set_result(returncode)

    def _tell(self, returncode: int) -> None:
        if self._channel is None or self._lost:
            return
        if returncode < 0:
            self._channel.exit_with_signal(signal.Signals(-returncode).name.removeprefix("SIG"))
        else:
            self._channel.exit(returncode)


class _Input(asyncio.BaseProtocol):
    """Tells the session when the command has read its input."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session

    def resume_writing(self) -> None:
        """Called by the pipe when its buffer has run empty."""
        self._session.input_drained()


def _number_of(name: str) -> int:
    return int(signal.Signals[f"SIG{name}"])
