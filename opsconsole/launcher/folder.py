"""The data folder: made private, checked before anything is started in it, and locked by the one who runs there."""

import fcntl
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from opsconsole.errors import Conflict, Unavailable
from opsconsole.settings import Settings

_PRIVATE = 0o700


def prepare(settings: Settings) -> None:
    """Makes the data folder and its sub-folders with mode 0700, and the folder of the broker's socket.

    Also sets this process's umask to 077. Raises ``Unavailable`` when a folder belongs to somebody else or cannot be
    written.
    """
    os.umask(0o077)
    folders = [settings.data_dir, settings.run_dir, logs_dir(settings)]
    if settings.embedded_broker:
        folders += [broker_dir(settings), settings.broker_socket.parent]
    for folder in folders:
        _make_private(folder)
    _check_writable(settings.data_dir)


def logs_dir(settings: Settings) -> Path:
    """Where the logs of the processes lie."""
    return settings.data_dir / "logs"


def broker_dir(settings: Settings) -> Path:
    """Where the embedded broker keeps its queue."""
    return settings.data_dir / "broker"


def write_private(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` with mode 0600; a reader sees the old content or the new, never a part."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    Path(draft).replace(path)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        # Not followed: in a folder that all may write to, somebody else could have laid a link there first.
        facts = folder.lstat()
        if facts.st_uid != os.geteuid():
            raise Unavailable(
                f"{folder} belongs to another user (number {facts.st_uid}). Start as that user, or name a folder of "
                "your own: OPSCONSOLE_DATA_DIR or --data-dir.",
                code="data_dir_owner",
            )
        if stat.S_ISDIR(facts.st_mode) and stat.S_IMODE(facts.st_mode) != _PRIVATE:
            folder.chmod(_PRIVATE)
    except OSError as error:
        raise _unusable(folder, error) from None


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe.") as handle:
            handle.write(b"\0" * 4096)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The data folder {folder} cannot be used: {error.strerror or error}. "
        "Name another one: OPSCONSOLE_DATA_DIR or --data-dir.",
        code="data_dir",
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs on a data folder."""

    pid: int
    url: str


class RunLock:
    """The right to run on one data folder. The system takes it back when its process ends, however it ends."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.run_dir / "up.lock"
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict(_occupied(read_holder(self._path)), code="already_running") from None
        self._descriptor = descriptor
        self.tell(Holder(os.getpid(), ""))
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def tell(self, holder: Holder) -> None:
        """Writes who holds the lock, for the message to the next one who wants it."""
        if self._descriptor is None:
            raise RuntimeError("the lock is not held")
        text = json.dumps({"pid": holder.pid, "url": holder.url}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)


def read_holder(path: Path) -> Holder | None:
    """Returns who wrote the lock file at ``path`` last, or ``None`` when it does not say."""
    try:
        found = json.loads(path.read_text())
        return Holder(int(found["pid"]), str(found["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _occupied(holder: Holder | None) -> str:
    if holder is None:
        return "opsconsole is already running on this data folder."
    where = f" at {holder.url}" if holder.url else ""
    return f"opsconsole is already running on this data folder{where} (process {holder.pid})."
