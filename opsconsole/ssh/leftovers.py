"""What pushes that did not come to their end left half written on a host: gone on with, or removed by the next one.

The name says of which content a part is and whose, ``.NAME.opsc-DIGEST-MARK``, so that two pushes never write into one
file, and each part has one owner at any time: it is taken over by renaming it.
"""

import hashlib
import posixpath
import re
import time
from collections.abc import Iterator
from typing import BinaryIO

from opsconsole.jobs.ports import Event, Output, Stream
from opsconsole.jobs.transfer import Push, PushedFile
from opsconsole.ssh import remote_files as remote
from opsconsole.ssh.remote_files import shown
from opsconsole.ssh.sftp import Sftp, Steps
from opsconsole.ssh.sftp_packets import READ, WRITE, Attributes, Op, Refused, text

RENAME = b"posix-rename@openssh.com"
# Looking for what an earlier push left is not worth it for less.
RESUME_FROM = 1024 * 1024
_MOST_LISTED = 5000
# What was written to so lately, by the host's own clock, may still be somebody's; so long we wait to see.
_ABANDONED_SECONDS = 30.0
_PATIENCE_SECONDS = 45.0
_LOOK_SECONDS = 2.0
# What was left alone for so long is nobody's, whatever it is of.
_STALE_SECONDS = 3600.0
_BASE_BYTES = 100
_DIGEST_CHARS = 16
_BEHIND_PREFIX = re.compile(rb"[0-9a-f]{16}-[0-9]+-[0-9]+\.[0-9a-f]+")
_HASH_PIECE = 1024 * 1024


def partial_name(target: bytes, file: PushedFile, mark: str) -> bytes:
    """Returns the path under which a file lies on its host while it is not whole."""
    return _of_content(target, file) + mark.encode()


def partial_names(push: Push) -> Iterator[bytes]:
    """Returns the paths under which the files of ``push`` lie on their host while they are not whole."""
    for file in push.files:
        yield partial_name(file.to.encode("utf-8", "surrogateescape"), file, push.mark)


def pieces(source: BinaryIO, size: int, most: int) -> Iterator[bytes]:
    """Yields the next ``size`` bytes of a file in pieces of at most ``most``."""
    while size > 0 and (data := source.read(min(size, most))):
        size -= len(data)
        yield data


def _of_path(target: bytes) -> bytes:
    folder, base = posixpath.split(target)
    return posixpath.join(folder, b"." + base[:_BASE_BYTES] + b".opsc-")


def _of_content(target: bytes, file: PushedFile) -> bytes:
    return _of_path(target) + file.sha256[:_DIGEST_CHARS].encode() + b"-"


class Leftovers:
    """What earlier pushes left in the folders of one push; each folder is listed once. ``plain_login`` says that the
    host's programs can tell digests."""

    def __init__(self, sftp: Sftp, *, plain_login: bool) -> None:
        self._sftp = sftp
        self._plain_login = plain_login
        self._listed: dict[bytes, list[tuple[bytes, Attributes]]] = {}

    def resumes(self, file: PushedFile) -> bool:
        """Returns whether a later push could go on from a part of this file."""
        return self._plain_login and RENAME in self._sftp.extensions and file.size >= RESUME_FROM

    def settle(self, handle: bytes, partial: bytes, target: bytes, file: PushedFile) -> Steps[tuple[bytes, int]]:
        """Takes over what there is of ``file``, and removes what nobody will come back for. Returns the handle to write
        to instead of ``handle``, which is the new and empty ``partial``, and how many bytes are there already."""
        found = yield from self._of(target, partial)
        if not found:
            return handle, 0
        answer = yield from self._sftp.request(Op.FSTAT, text(handle), expected=Op.ATTRS)
        clock = _HostClock(answer.attributes())
        prefix, size = _of_content(target, file), 0
        # What nobody else could have written, the longest first.
        ours = [one for one in found if one[0].startswith(prefix) and clock.private(one[1], file.size)]
        for path, attributes in sorted(ours, key=lambda one: -(one[1].size or 0)) if self.resumes(file) else ():
            if size:
                yield from self._unless_in_use(path, attributes, clock.idle(attributes) >= _ABANDONED_SECONDS)
                continue
            now = yield from self._left_alone(path, attributes, clock)
            if now is not None:
                handle, size = yield from self._taken_up(handle, path, partial, now.size or 0, file)
        taken = {path for path, _ in ours} if self.resumes(file) else set()
        for path, attributes in found:
            if path not in taken:
                yield from self._unless_in_use(path, attributes, clock.stale(attributes))
        return handle, size

    def _of(self, target: bytes, partial: bytes) -> Steps[list[tuple[bytes, Attributes]]]:
        """Returns the parts of ``target`` that others have left, of whatever content."""
        folder = posixpath.dirname(target)
        if folder not in self._listed:
            try:
                names = yield from remote.listing(self._sftp, folder or b".", _MOST_LISTED)
            except Refused:
                # A folder may be written to by who may not list it.
                names = []
            self._listed[folder] = [(name, attributes) for name, attributes in names if b".opsc-" in name]
        prefix = _of_path(target)
        paths = ((posixpath.join(folder, name), attributes) for name, attributes in self._listed[folder])
        return [
            (path, attributes)
            for path, attributes in paths
            if path != partial and path.startswith(prefix) and _BEHIND_PREFIX.fullmatch(path, len(prefix))
        ]

    def _left_alone(self, path: bytes, found: Attributes, clock: "_HostClock") -> Steps[Attributes | None]:
        """Waits until nobody has written to it for a while; returns what it is then, ``None`` if somebody goes on."""
        now: Attributes | None = found
        told = False
        while now is not None and (idle := clock.idle(now)) < _ABANDONED_SECONDS:
            if clock.seconds >= _PATIENCE_SECONDS:
                return None
            if not told:
                told = True
                yield _said(f"waiting whether an earlier push still writes to {shown(path)}")
            yield from self._sftp.pause(min(_LOOK_SECONDS, _ABANDONED_SECONDS - idle))
            now = yield from remote.looked(self._sftp, path, follow=False)
        return now

    def _unless_in_use(self, path: bytes, attributes: Attributes, unused: bool) -> Steps[None]:
        if not unused or not attributes.regular:
            return
        try:
            if (yield from remote.removed(self._sftp, path)):
                yield _said(f"removed {shown(path)}, which an earlier push had left")
        except Refused:
            # It does no harm there.
            return

    def _taken_up(
        self, handle: bytes, earlier: bytes, partial: bytes, size: int, file: PushedFile
    ) -> Steps[tuple[bytes, int]]:
        told = yield from remote.digest(self._sftp, earlier, size, plain_login=self._plain_login, read_back=False)
        if told is None or told != (yield from self._digest_here(file, size)):
            yield from remote.removed(self._sftp, earlier)
            return handle, 0
        yield from remote.closed(self._sftp, handle)
        yield from self._sftp.request(Op.EXTENDED, text(RENAME), text(earlier), text(partial))
        return (yield from remote.opened(self._sftp, partial, WRITE | READ)), size

    def _digest_here(self, file: PushedFile, size: int) -> Steps[str]:
        summed = hashlib.sha256()
        with file.source.open("rb") as source:
            for data in pieces(source, size, _HASH_PIECE):
                summed.update(data)
                yield from self._sftp.breathe(len(data))
        return summed.hexdigest()


class _HostClock:
    """The host's own time, as told by a file that was made there just now, and whose that file is."""

    def __init__(self, made: Attributes) -> None:
        self._made = made
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the file was made."""
        return time.monotonic() - self._since

    def idle(self, found: Attributes) -> float:
        """Returns for how long nobody has written to a file; nothing is said of one without a time."""
        if self._made.mtime is None or found.mtime is None:
            return 0.0
        return self._made.mtime + self.seconds - found.mtime

    def private(self, found: Attributes, most: int) -> bool:
        """Returns whether it is a plain file of ours, with a content, that nobody else may read or write."""
        mine = found.regular and found.uid == self._made.uid and not (found.mode or 0) & 0o077
        return mine and 0 < (found.size or 0) <= most

    def stale(self, found: Attributes) -> bool:
        """Returns whether it is of ours and was forgotten."""
        return found.uid == self._made.uid and self.idle(found) >= _STALE_SECONDS


def _said(line: str) -> Event:
    return Output(Stream.STDOUT, line.encode() + b"\n")
