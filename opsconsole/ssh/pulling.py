"""Files brought from a host into a folder of ours. A name that a host tells is hostile until it was made harmless."""

import fnmatch
import hashlib
import os
import posixpath
import shutil
from collections.abc import Iterator
from pathlib import Path

from opsconsole.jobs.ports import Event, Output, Stream
from opsconsole.jobs.transfer import Pull
from opsconsole.ssh import remote_files as remote
from opsconsole.ssh.remote_files import Failed, Reading, shown, why
from opsconsole.ssh.sftp import Sftp, Steps
from opsconsole.ssh.sftp_packets import READ, Attributes, Op, Refused, Status, text

_MOST_LISTED = 100_000
_MOST_DEPTH = 64
_WILD = frozenset(b"*?[")
_NAME_BYTES = 255
# So often, in bytes, it is looked how much of our own disk is left.
_LOOK_AFTER = 64 * 1024 * 1024
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


class Enough(Exception):
    """A limit is reached: nothing more is taken; the text says which."""


class Pulling:
    """One pull, step by step. ``total`` grows while folders are looked through and is ``None`` before."""

    def __init__(self, pull: Pull, sftp: Sftp) -> None:
        self.done = 0
        self.total: int | None = None
        self._pull = pull
        self._sftp = sftp
        self._part = pull.into.with_name(f"{pull.into.name}.{pull.mark}.part")
        self._taken = 0
        self._failed = False
        self._looked_at = -_LOOK_AFTER

    def run(self) -> Steps[bool]:
        """Brings what was asked for and returns whether all of it came."""
        self._part.mkdir(mode=_FOLDER_MODE, parents=True)
        try:
            for path in self._pull.paths:
                yield from self._asked(path.encode("utf-8", "surrogateescape"))
        except Enough as error:
            yield self._trouble(f"Stopped: {error}")
        # What is there takes its place at once, or not at all.
        self._part.rename(self._pull.into)
        return not self._failed

    def clear(self) -> Steps[str | None]:
        """Nothing of a pull lies on the host."""
        yield from ()
        return None

    @property
    def left(self) -> str:
        """Nothing of a pull is left on the host."""
        return ""

    @property
    def kept(self) -> str:
        """A pull begins anew."""
        return ""

    def discard(self) -> None:
        """Removes what has arrived of a pull that did not come to its end."""
        shutil.rmtree(self._part, ignore_errors=True)

    def _trouble(self, line: str) -> Event:
        self._failed = True
        return Output(Stream.STDERR, line.encode() + b"\n")

    def _asked(self, path: bytes) -> Steps[None]:
        try:
            found = yield from self._expanded(path)
            if not found:
                yield self._trouble(f"{shown(path)}: there is nothing by that name.")
            for one, attributes in found:
                yield from self._take(one, attributes, depth=0)
        except Refused as error:
            yield self._trouble(why(error, f"{shown(path)} cannot be read"))

    def _expanded(self, path: bytes) -> Steps[list[tuple[bytes, Attributes]]]:
        """Returns what ``path``, which may hold wildcards, names. What a person named is followed where it leads."""
        first, *rest = path.strip(b"/").split(b"/")
        found = [b"/" if path.startswith(b"/") else b""]
        for part in (first, *rest):
            if not part:
                continue
            if not _WILD & set(part):
                found = [posixpath.join(folder, part) for folder in found]
                continue
            matched: list[bytes] = []
            for folder in found:
                matched += yield from self._matching(folder, part)
            found = matched
        seen = []
        for one in found:
            attributes = yield from remote.looked(self._sftp, one, follow=True)
            if attributes is not None:
                seen.append((one, attributes))
        return seen

    def _matching(self, folder: bytes, pattern: bytes) -> Steps[list[bytes]]:
        try:
            names = yield from remote.listing(self._sftp, folder or b".", _MOST_LISTED)
        except Refused as error:
            if error.code in {Status.NO_SUCH_FILE, Status.FAILURE}:
                return []
            raise
        # As shells have it: what begins with a dot is meant only by what does.
        hidden = pattern.startswith(b".")
        kept = [name for name, _ in names if fnmatch.fnmatchcase(name, pattern) and name.startswith(b".") <= hidden]
        return [posixpath.join(folder, name) for name in sorted(kept)]

    def _take(self, path: bytes, attributes: Attributes, *, depth: int) -> Steps[None]:
        """Brings a file, or all in a folder; of what is neither, says so."""
        try:
            if attributes.folder:
                yield from self._take_folder(path, depth)
            elif attributes.regular:
                yield from self._take_file(path, attributes)
            elif attributes.link:
                yield _line(f"left out {shown(path)}: a symbolic link")
            else:
                yield _line(f"left out {shown(path)}: no plain file")
        except Refused as error:
            yield self._trouble(why(error, f"{shown(path)} cannot be read"))
        except Failed as error:
            yield self._trouble(str(error))

    def _take_folder(self, path: bytes, depth: int) -> Steps[None]:
        if depth > _MOST_DEPTH:
            raise Failed(f"{shown(path)}: folders lie deeper than {_MOST_DEPTH} in each other.")
        names = yield from remote.listing(self._sftp, path, _MOST_LISTED)
        self._place(path).mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self.total = (self.total or 0) + sum(found.size or 0 for _, found in names if found.regular)
        for name, found in sorted(names):
            if found.regular:
                # It is part of the total already.
                self.total -= found.size or 0
            yield from self._take(posixpath.join(path, name), found, depth=depth + 1)

    def _take_file(self, path: bytes, attributes: Attributes) -> Steps[None]:
        if self._taken >= self._pull.max_files:
            raise Enough(f"{self._pull.max_files:,} files of one host at most are taken (max_pull_files).")
        self._taken += 1
        self.total = (self.total or 0) + (attributes.size or 0)
        place = self._place(path)
        place.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        handle = yield from remote.opened(self._sftp, path, READ)
        try:
            size, sha256 = yield from self._copy(handle, place, attributes)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        yield from remote.closed(self._sftp, handle)
        yield _line(f"{sha256[:16]} {size:>12} {shown(path)}")

    def _copy(self, handle: bytes, place: Path, attributes: Attributes) -> Steps[tuple[int, str]]:
        answer = yield from self._sftp.request(Op.FSTAT, text(handle), expected=Op.ATTRS)
        now = answer.attributes()
        if now.mode is not None and not now.regular:
            raise Failed("It was exchanged for something that is no plain file.")
        # What says it is empty may be one of those files that are made as they are read.
        size = now.size or None
        reading, summed, seen, planned = Reading(self._sftp, handle, size), hashlib.sha256(), 0, attributes.size or 0
        # Two names that became one must not overwrite each other.
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
        with open(descriptor, "wb", buffering=0) as file:
            while data := (yield from reading.next()):
                self._refuse_too_much(len(data))
                file.write(data)
                summed.update(data)
                seen += len(data)
                self.done += len(data)
        if self.total is not None:
            self.total += seen - planned
        return seen, summed.hexdigest()

    def _refuse_too_much(self, size: int) -> None:
        if self.done + size > self._pull.max_bytes:
            raise Enough(f"{self._pull.max_bytes:,} bytes of one host at most are taken (max_pull_bytes).")
        if self.done - self._looked_at >= _LOOK_AFTER:
            self._looked_at = self.done
            if shutil.disk_usage(self._part).free < self._pull.spare_bytes:
                raise Enough("the disk of the console is nearly full (files_spare_bytes).")

    def _place(self, path: bytes) -> Path:
        """Returns where a file of the host lies here: below our folder, whatever it is called."""
        return self._part.joinpath(*(harmless(part) for part in path.split(b"/") if part not in {b"", b"."}))


def harmless(name: bytes) -> str:
    """Returns a name of a host as one that no disk, archive or terminal takes for anything else.

    Of bytes that are no UTF-8, control characters and backslashes stands the number (``%0A``), of ``..`` too, and a
    name that would be too long ends in a digest of the whole.
    """
    decoded = name.decode("utf-8", "surrogateescape")
    odd = any(not char.isprintable() or char == "\\" for char in decoded)
    made = "".join(_escaped(decoded)) if odd else decoded
    if made in {".", "..", ""}:
        made = made.replace(".", "%2E") or "%"
    if len(made.encode()) > _NAME_BYTES:
        made = made.encode()[:200].decode("utf-8", "ignore") + "-" + hashlib.sha256(name).hexdigest()[:16]
    return made


def _escaped(decoded: str) -> Iterator[str]:
    for char in decoded:
        if not char.isprintable() or char in {"\\", "%"}:
            yield "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        else:
            yield char


def _line(line: str) -> Event:
    return Output(Stream.STDOUT, line.encode() + b"\n")
