"""Files that a job carries to its hosts or brings back from them, as the workers are told. Pure."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PushedFile:
    """One file for a host: ``source`` on this machine, with its SHA-256 and ``size`` in bytes, goes ``to`` a full or
    relative path there. Without ``mode`` or ``owner`` (``user:group``) it keeps those of the file it replaces."""

    source: Path
    sha256: str
    size: int
    to: str
    mode: int | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Files to put on a host, in order; the first that fails keeps the others from being sent. ``mark`` is part of the
    name under which a file lies there until it is whole. ``make_folders`` makes the folders that are missing."""

    mark: str
    files: tuple[PushedFile, ...]
    make_folders: bool = False


@dataclass(frozen=True, slots=True)
class Pull:
    """What to bring from a host: ``paths`` of files and folders, with ``*``, ``?`` and ``[...]``, come into the folder
    ``into``, which is there only once all has arrived. At most ``max_files`` of ``max_bytes`` together are taken, and
    ``spare_bytes`` of this machine's disk are left free."""

    mark: str
    paths: tuple[str, ...]
    into: Path
    max_files: int
    max_bytes: int
    spare_bytes: int


Transfer = Push | Pull


@dataclass(frozen=True, slots=True)
class Progress:
    """How many bytes are done, of how many if that is known; also a chance to look at deadlines and orders."""

    done: int
    total: int | None
