"""The first process of the demo hosts' own world: builds it, runs their commands in it, and takes it down by ending.

Started by ``unshare`` with the words FOLDER UID GID LIMIT HIDDEN... and a socket as standard input, which
``opsconsole.launcher.confinement`` holds the other end of. It stands in mount, process, name and IPC namespaces of its
own (and a user namespace, unless root started it). The standard library and ``sftp_server`` are all there is here:
after ``chroot`` nothing can be imported from the installation any more.
"""

import ctypes
import os
import resource
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from opsconsole.launcher import sftp_server

# Only what commands need to run, and all of it read-only; what is not named here (homes, /root, /srv, other disks, /run
# with the sockets of Docker, D-Bus and systemd) is not there at all.
_SHOWN = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "var", "nix", "gnu")
_EMPTY = ("dev", "dev/shm", "proc", "home", "root", "run", "tmp", "mnt", "srv")
# Where each host has files of its own: a folder of the world, and what lies there before any host's is shown.
_HOSTS = ".hosts"
_OWN = (("home", "home"), ("srv", "srv"), ("tmp", "tmp"), ("tmp", "var/tmp"), ("shm", "dev/shm"))
_OPEN = ("shm", "tmp")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_SIZE = "size=256m,nr_inodes=200k"

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC = 1, 2, 4, 8, 32, 4096, 16384
# Flags that a mount keeps when it is mounted anew: whoever is not root may not drop them. (statvfs bit: mount bit)
_KEPT = {2: _NOSUID, 4: _NODEV, 8: _NOEXEC, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_PRIVATE = 1 << 18
_CLONE_NEWNS, _CLONE_NEWUTS = 0x00020000, 0x04000000
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 4, 38, 47, 4
_MESSAGE_BYTES = 1 << 18
_STREAMS = 3
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Builds the world from ``arguments`` and serves until the other end of the socket is closed."""
    folder, uid, gid, limit, *hidden = arguments
    link = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The console keeps its files to itself; here another user has to get in.
    os.umask(0o022)
    try:
        _build(Path(folder), int(uid), int(gid), [Path(path) for path in hidden])
    except OSError as error:
        link.send(b"fault\0" + str(error).encode())
        return
    link.send(b"ready")
    _Hosts(link, int(uid), int(gid), int(limit)).serve()


def _build(folder: Path, uid: int, gid: int, hidden: list[Path]) -> None:
    """Makes the world and enters it. ``folder`` holds a home folder for each host, which is copied."""
    _keep_mounts_here()
    homes = {home.name: {file.name: file.read_bytes() for file in home.iterdir()} for home in folder.iterdir()}
    _mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, f"mode=755,{_SIZE}")
    root = folder / "world"
    for name in ("", *_EMPTY):
        # All hosts share these. Unless root started this they belong to who the commands run as, too.
        (root / name).mkdir(mode=0o555)
    for name in _SHOWN:
        _show(Path("/") / name, root / name)
    for path in hidden:
        _cover(root, path)
    _devices(root / "dev")
    _mount("proc", root / "proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    for host, files in homes.items():
        _own_files(root / _HOSTS / host, files, uid, gid)
    os.chroot(root)
    os.chdir("/")


def _keep_mounts_here() -> None:
    """Makes all mounts private, so that none made here appears outside.

    Below a ``chroot`` their uppermost folder cannot be named, but it is where one stands on entering a namespace.
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    if _libc.setns(own, _CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "/proc/self/ns/mnt")
    _mount(None, Path("/"), None, _REC | _PRIVATE)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.close(own)


def _own_files(folder: Path, files: dict[str, bytes], uid: int, gid: int) -> None:
    """Makes what one host has for itself; ``files`` lie in its home."""
    home, srv = folder / "home" / folder.name, folder / "srv"
    for made in (home, srv):
        made.mkdir(parents=True)
    for name in _OPEN:
        (folder / name).mkdir()
        (folder / name).chmod(0o1777)
    home.chmod(0o700)
    for name, content in files.items():
        (home / name).write_bytes(content)
        os.chown(home / name, uid, gid)
    for owned in (home, srv):
        os.chown(owned, uid, gid)


def _show_own_files(host: str) -> None:
    """Shows this process, and all that it will start, the files of one host, and those of no other."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    own = Path("/") / _HOSTS / host
    for name, place in _OWN:
        # A machine without /var/tmp has none in here.
        if (Path("/") / place).is_dir():
            _mount(own / name, Path("/") / place, None, _BIND)
    _mount(Path("/mnt"), Path("/") / _HOSTS, None, _BIND)


def _show(path: Path, target: Path) -> None:
    """Shows a folder of the machine in the world, read-only with all that is mounted below it."""
    if path.is_symlink():
        target.symlink_to(path.readlink())
    elif path.is_dir():
        target.mkdir()
        _mount(path, target, None, _BIND | _REC)
        for point in list(_mounted_below(target)):
            had = os.statvfs(point).f_flag
            kept = sum(flag for bit, flag in _KEPT.items() if had & bit)
            _mount(None, point, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | kept)


def _mounted_below(folder: Path) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(
            line.split(" ")[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")
        )
        if point.is_relative_to(folder):
            yield point


def _cover(root: Path, path: Path) -> None:
    """Hides ``path`` where the world shows a folder that holds it."""
    covered = root / path.relative_to("/")
    if covered.is_dir():
        _mount("tmpfs", covered, "tmpfs", _RDONLY | _NOSUID | _NODEV | _NOEXEC, "size=4k,mode=000")


def _devices(folder: Path) -> None:
    for name in _DEVICES:
        (folder / name).touch()
        _mount(Path("/dev") / name, folder / name, None, _BIND)
    (folder / "pts").mkdir()
    _mount("devpts", folder / "pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    for name, target in _LINKS.items():
        (folder / name).symlink_to(target)


def _mount(source: str | Path | None, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} (mounting {kind or source or 'read-only'})", str(target))


class _Hosts:
    """Starts commands and servers of files for the fleet, signals them, and tells how they ended."""

    def __init__(self, link: socket.socket, uid: int, gid: int, limit: int) -> None:
        self._link = link
        self._uid, self._gid, self._limit = uid, gid, limit
        self._running: dict[int, bytes] = {}
        self._to_tell: list[bytes] = []
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    def serve(self) -> None:
        """Returns when the fleet has gone. The end of this process ends all others in its world."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        while True:
            poll.register(self._link, select.POLLIN | (select.POLLOUT if self._to_tell else 0))
            ready = dict(poll.poll())
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._reap()
            self._tell()
            if ready.get(self._link.fileno(), 0) & ~select.POLLOUT and not self._take_order():
                return

    def _take_order(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._link, _MESSAGE_BYTES, _STREAMS)
        if not message:
            return False
        verb, name, *rest = message.split(b"\0")
        if verb == b"signal":
            self._signal(name, int(rest[0]))
            return True
        self._start(verb, name, rest, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _start(self, verb: bytes, name: bytes, words: list[bytes], streams: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            os.write(streams[2], f"{error.strerror}\n".encode())
            self._to_tell.append(b"exit\0%s\0126" % name)
            return
        if pid == 0:
            self._become(verb, words, streams)
        self._running[pid] = name

    def _become(self, verb: bytes, words: list[bytes], streams: list[int]) -> NoReturn:
        """Becomes a command or a server of files, in its own session and without any right to change this world."""
        try:
            host, home, *rest = words
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            for target, descriptor in enumerate(streams):
                os.dup2(descriptor, target)
            if _libc.unshare(_CLONE_NEWUTS) == 0:
                socket.sethostname(host.decode())
            _show_own_files(host.decode())
            self._give_up_rights()
            os.chdir(home)
            if verb == b"files":
                self._serve_files()
            command, *variables = rest
            os.execve("/bin/sh", [b"/bin/sh", b"-c", command], dict(word.split(b"=", 1) for word in variables))
        except OSError as error:
            os.write(2, f"{error.strerror}\n".encode())
        finally:
            os._exit(126)

    def _serve_files(self) -> NoReturn:
        # Unlike a command it is no new program, so that nothing closes what orders and signals of this world come by.
        os.closerange(_STREAMS, os.sysconf("SC_OPEN_MAX"))
        with open(0, "rb") as source, open(1, "wb") as sink:
            sftp_server.serve(source, sink)
        os._exit(0)

    def _give_up_rights(self) -> None:
        if self._limit:
            resource.setrlimit(resource.RLIMIT_NPROC, (self._limit, self._limit))
        if os.geteuid() != self._uid:
            os.setgroups([])
            os.setresgid(self._gid, self._gid, self._gid)
            os.setresuid(self._uid, self._uid, self._uid)
        done = _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        if done or _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "The rights of the demo cannot be given up")

    def _signal(self, name: bytes, number: int) -> None:
        for pid in [pid for pid, theirs in self._running.items() if theirs == name]:
            try:
                os.killpg(pid, number)
            except OSError:
                # It ends at this moment, or has not made its session yet.
                os.kill(pid, number)

    def _reap(self) -> None:
        """Takes in all that have ended, those too whose parents left them behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (name := self._running.pop(pid, None)) is not None:
                self._to_tell.append(b"exit\0%s\0%d" % (name, os.waitstatus_to_exitcode(status)))

    def _tell(self) -> None:
        while self._to_tell:
            try:
                self._link.send(self._to_tell[0], socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                # Nobody listens any more: the next look at the socket ends this.
                self._to_tell.clear()
                return
            del self._to_tell[0]
