"""Where the demo hosts' commands run: a world of their own, where nothing of the machine can be changed or signalled.

The fleet asks ``confined.py``, the first process of that world, to start commands and servers of files, and hears from
it how they ended.
"""

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING

import opsconsole
from opsconsole.errors import Unavailable
from opsconsole.launcher import demo
from opsconsole.launcher.demo import DemoHost
from opsconsole.settings import Settings

if TYPE_CHECKING:
    # Whoever only asks whether there can be a world should not wait for an SSH library.
    from opsconsole.launcher.ssh_session import Place

# As root nothing must be left of root's rights, in a namespace or not. This user owns nothing by convention.
_NOBODY = 65534
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_MESSAGE_BYTES = 65536
# A fork bomb in the demo stops here. Before this kernel the limit counted all of a user's processes on the machine.
_PROCESSES, _PROCESSES_PER_HOST = 1000, 50
_LIMIT_FROM_KERNEL = (5, 14)
# It imports nothing but the standard library and what stands beside it, so it needs no installed package.
_FIRST_PROCESS = (
    "import sys; sys.path.append(sys.argv[1]); from opsconsole.launcher import confined; confined.main(sys.argv[2:])"
)


@dataclass(slots=True)
class Confined:
    """A command that runs in the world; the streams are the fleet's ends."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]
    signal: Callable[[int], None]


class Confinement:
    """A running world. ``close`` takes it down with all that runs in it; so does the end of this process."""

    def __init__(self, folder: Path, hidden: Sequence[Path], hosts: int) -> None:
        """Makes a world with the homes in ``folder``, without ``hidden``. Raises ``Unavailable`` where it cannot be."""
        unshare = _unshare()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Whether the world has ended without being told to.
        self.ended = False
        self._numbers = count(1)
        self._ended: dict[bytes, Callable[[int], None]] = {}
        with theirs:
            self._process = _start(unshare, folder, hidden, hosts, theirs)
        try:
            self._await_ready()
        except Unavailable:
            self.close()
            raise

    @staticmethod
    def home(host: str) -> Path:
        """Where a host's commands start."""
        return Path("/home") / host

    def watch(self, loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]) -> None:
        """Hears from the world in ``loop``; ``on_end`` is called when it has ended by itself."""
        loop.add_reader(self._link, self._hear, loop, on_end)

    def start(self, command: str, place: "Place", on_exit: Callable[[int], None]) -> Confined:
        """Starts ``command`` in the world as leader of a session of its own. Raises ``OSError``."""
        variables = (f"{key}={value}" for key, value in place.environment().items())
        return self._start(b"start", [place.host, str(place.home), command, *variables], on_exit)

    def start_files(self, place: "Place", on_exit: Callable[[int], None]) -> Confined:
        """Starts a server of SFTP in the world, with a command's rights. Raises ``OSError``."""
        return self._start(b"files", [place.host, str(place.home)], on_exit)

    def close(self) -> None:
        """Ends the world."""
        self._link.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def _start(self, verb: bytes, words: Sequence[str], on_exit: Callable[[int], None]) -> Confined:
        name = str(next(self._numbers)).encode()
        message = b"\0".join([verb, name, *(os.fsencode(word) for word in words)])
        (stdin, our_in), (our_out, stdout), (our_err, stderr) = os.pipe(), os.pipe(), os.pipe()
        try:
            socket.send_fds(self._link, [message], [stdin, stdout, stderr])
        except OSError:
            for descriptor in (our_in, our_out, our_err):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        self._ended[name] = on_exit
        return Confined(
            os.fdopen(our_in, "wb", 0), os.fdopen(our_out, "rb", 0), os.fdopen(our_err, "rb", 0),
            lambda number: self._signal(name, number),
        )  # fmt: skip

    def _signal(self, name: bytes, number: int) -> None:
        if name in self._ended:
            self._link.send(b"signal\0%s\0%d" % (name, number))

    def _hear(self, loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]) -> None:
        message = self._link.recv(_MESSAGE_BYTES)
        if not message:
            loop.remove_reader(self._link)
            self.ended = True
            on_end()
            return
        _, name, status = message.split(b"\0")
        self._ended.pop(name)(int(status))

    def _await_ready(self) -> None:
        self._link.settimeout(_START_SECONDS)
        try:
            message = self._link.recv(_MESSAGE_BYTES)
        except OSError as error:
            raise _refused(str(error)) from None
        if message == b"ready":
            self._link.settimeout(None)
            return
        if message:
            raise _refused(message.partition(b"\0")[2].decode(errors="replace"))
        said = self._process.communicate(timeout=_STOP_SECONDS)[1].decode(errors="replace").strip()
        raise _refused(said or "unshare ended without a word")


def confine(settings: Settings, hosts: Sequence[DemoHost]) -> tuple[Confinement | None, str]:
    """Returns a world for the commands of ``hosts``, or ``None`` and why there is none.

    Raises ``Unavailable`` as root: any typing mistake would then hit the machine itself.
    """
    for host in hosts:
        demo.home(settings, host)
    hidden = [settings.data_dir]
    home = Path(os.path.expanduser("~"))
    # The home of root or of a service may be a folder of the system.
    if os.geteuid() and home.is_dir() and home.stat().st_uid == os.geteuid():
        hidden.append(home)
    try:
        return Confinement(demo.homes(settings), hidden, len(hosts)), ""
    except Unavailable as error:
        if not os.geteuid():
            raise Unavailable(
                f"{error.detail}. As root every command on them would run with all rights on this machine. Start the "
                "demo as another user, or, where nothing on this machine matters, with --demo-unconfined.",
                code="demo_confinement",
            ) from None
        return None, error.detail


def user() -> int:
    """Returns the number of the user whom confined commands run as: oneself, and nobody when that is root."""
    return os.geteuid() or _NOBODY


def _unshare() -> str:
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        raise _refused("this system has no unshare")
    return unshare


def _start(
    unshare: str, folder: Path, hidden: Sequence[Path], hosts: int, link: socket.socket
) -> "subprocess.Popen[bytes]":
    options = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "unchanged"]
    if os.geteuid():
        options += ["--user", "--map-current-user", "--keep-caps"]
    group = os.getegid() if os.geteuid() else _NOBODY
    program = [sys.executable, "-I", "-S", "-c", _FIRST_PROCESS, Path(opsconsole.__file__).resolve().parents[1]]
    facts = [folder.resolve(), user(), group, _limit(hosts), *(path.resolve() for path in hidden)]
    # Its environment could hold secrets, and its first process has no use for any.
    return subprocess.Popen(
        [unshare, *options, *map(str, program), *map(str, facts)],
        stdin=link.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict[str, str](),
    )


def _limit(hosts: int) -> int:
    release = tuple(int(word) for word in platform.release().split(".")[:2] if word.isdigit())
    return _PROCESSES + _PROCESSES_PER_HOST * hosts if not os.geteuid() or release >= _LIMIT_FROM_KERNEL else 0


def _refused(why: str) -> Unavailable:
    return Unavailable(f"The demo hosts cannot be kept apart from this machine: {why}", code="demo_confinement")
