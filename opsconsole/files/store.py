"""The bytes: uploaded files by their SHA-256, and what came back from hosts, in a folder that all processes share.

Nothing here is ever half there: what is being written has a name of its own until it is whole.
"""

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from opsconsole.errors import Invalid, TooLarge, Unavailable
from opsconsole.sentences import Sentence

_PIECE = 256 * 1024
# So often, in bytes, it is looked how much of the disk is left.
_LOOK_AFTER = 64 * 1024 * 1024
_DAY_SECONDS = 86_400
# A file that was just given may not be in the database yet.
_FRESH_SECONDS = 3600
_SHA256_CHARS = 64


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Returns at most ``size`` bytes, empty at the end."""


class Store:
    """The files below ``root``. ``spare_bytes`` of the disk are left free."""

    def __init__(self, root: Path, *, spare_bytes: int) -> None:
        self._blobs = root / "blobs"
        self._uploads = root / "uploads"
        self._pulled = root / "pulled"
        self._spare_bytes = spare_bytes

    def receive(self, source: Readable, *, limit: int, expected: int | None = None) -> tuple[str, int]:
        """Keeps what ``source`` holds and returns its SHA-256 and size. Raises ``TooLarge`` beyond ``limit`` bytes,
        ``Unavailable`` when the disk has no room, ``Invalid`` when it does not have the ``expected`` size."""
        try:
            self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._uploads / secrets.token_hex(16)
            try:
                sha256, size = self._written(source, draft, limit)
                if expected is not None and size != expected:
                    raise Invalid(
                        "Only {size:,} of {expected:,} bytes arrived.", size=size, expected=expected, code="cut_short"
                    )
                self._settle(draft, sha256)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            text = Sentence(
                "The console cannot store the file: {reason}.", reason=error.strerror or "the disk does not answer"
            )
            raise Unavailable(text, code="disk") from error
        return sha256, size

    def _written(self, source: Readable, draft: Path, limit: int) -> tuple[str, int]:
        summed, size, look_at = hashlib.sha256(), 0, 0
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while data := source.read(_PIECE):
                size += len(data)
                if size > limit:
                    raise TooLarge("A file may have {limit:,} bytes at most (max_file_bytes).", limit=limit)
                if size >= look_at:
                    look_at = size + _LOOK_AFTER
                    self._refuse_full()
                summed.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return summed.hexdigest(), size

    def _refuse_full(self) -> None:
        if shutil.disk_usage(self._uploads).free < self._spare_bytes:
            raise Unavailable("The disk of the console is nearly full (files_spare_bytes).", code="disk")

    def _settle(self, draft: Path, sha256: str) -> None:
        place = self.blob(sha256)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            # It is here already; that it was given anew keeps it from being removed in this moment.
            os.utime(place)
            return
        draft.rename(place)

    def blob(self, sha256: str) -> Path:
        """Returns where the file with this digest lies, or would."""
        assert len(sha256) == _SHA256_CHARS and sha256.isalnum()  # noqa: S101, PT018 - digests come from us alone.
        return self._blobs / sha256[:2] / sha256

    def remove_blob(self, sha256: str) -> None:
        """Removes a file that nobody needs, unless it was given in the last hour."""
        with suppress(FileNotFoundError):
            if time.time() - self.blob(sha256).stat().st_mtime > _FRESH_SECONDS:
                self.blob(sha256).unlink()

    def pulled(self, job_id: int, i: int) -> Path:
        """Returns the folder of what the job's host ``i`` gave."""
        return self._pulled / str(job_id) / str(i)

    def pulled_hosts(self, job_id: int) -> list[int]:
        """Returns which hosts of the job have given something, by their index."""
        try:
            return sorted(int(entry.name) for entry in (self._pulled / str(job_id)).iterdir() if entry.name.isdigit())
        except FileNotFoundError:
            return []

    def pulled_files(self, job_id: int, i: int) -> Iterator[tuple[str, int]]:
        """Yields the path and the size of each file that the host gave, in the order of their paths."""
        root = self.pulled(job_id, i)
        yield from _walk(root, root)

    def pulled_file(self, job_id: int, i: int, path: str) -> Path | None:
        """Returns where one of these files lies, ``None`` when there is none by that path."""
        root = self.pulled(job_id, i)
        parts = path.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            return None
        found = root.joinpath(*parts)
        inside = found.resolve().is_relative_to(root.resolve())
        return found if inside and found.is_file() and not found.is_symlink() else None

    def jobs_with_pulled(self) -> list[int]:
        """Returns the jobs that files of hosts are kept for."""
        try:
            return sorted(int(entry.name) for entry in self._pulled.iterdir() if entry.name.isdigit())
        except FileNotFoundError:
            return []

    def remove_pulled(self, job_id: int) -> None:
        """Removes what the hosts of a job gave."""
        shutil.rmtree(self._pulled / str(job_id), ignore_errors=True)

    def clear(self) -> None:
        """Removes what was left half written by processes that were killed."""
        for draft in [*self._uploads.glob("*"), *self._pulled.glob("*/*.part")]:
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > _DAY_SECONDS:
                    shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _walk(root: Path, folder: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield str(Path(entry.path).relative_to(root)), entry.stat(follow_symlinks=False).st_size
