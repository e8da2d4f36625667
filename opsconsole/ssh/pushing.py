"""Files put on a host: each is written under another name beside its target, and takes its place only when whole.

A file that is there already with the same content, mode and owner is left alone. What an earlier push of the same
content left half written, because its connection was lost, is gone on with once its beginning was compared.
"""

import hashlib
import posixpath
from collections.abc import Iterator
from typing import BinaryIO

from opsconsole.jobs.ports import Event, Output, Stream
from opsconsole.jobs.transfer import Push, PushedFile
from opsconsole.ssh import remote_files as remote
from opsconsole.ssh.remote_files import Failed, shown, why
from opsconsole.ssh.sftp import Sftp, Steps
from opsconsole.ssh.sftp_packets import CREATE, EXCLUSIVE, READ, WRITE, Attributes, Op, Refused, Status, long, text

# What may be on its way without having been acknowledged; OpenSSH's own client has as much.
_WRITE_AHEAD = 2 * 1024 * 1024
_NEW_MODE = 0o644
_NEW_FOLDER_MODE = 0o755
_SECRET_MODE = 0o600
# Looking for what an earlier push left is not worth it for less.
_RESUME_FROM = 1024 * 1024
_MOST_LISTED = 5000
# What was written to so lately, by the host's own clock, may still be somebody's.
_ABANDONED_SECONDS = 30
_BASE_BYTES = 100
_RENAME = b"posix-rename@openssh.com"
_FSYNC = b"fsync@openssh.com"
_HASH_PIECE = 1024 * 1024


class Pushing:
    """One push, step by step. ``done`` and ``total`` count bytes of all files, those that need no sending too."""

    def __init__(self, push: Push, sftp: Sftp, *, plain_login: bool) -> None:
        self.done = 0
        self.total = sum(file.size for file in push.files)
        self._push = push
        self._sftp = sftp
        self._plain_login = plain_login
        # The file that lies half written on the host.
        self._partial: bytes | None = None
        self._began_at = 0
        self._owners: dict[str, tuple[int | None, int | None]] = {}

    def run(self) -> Steps[bool]:
        """Puts the files on the host and returns whether all are there."""
        for index, file in enumerate(self._push.files):
            before = self.done
            try:
                line = yield from self._put(file)
            except (Failed, Refused, OSError) as error:
                yield _said(Stream.STDERR, self._words(error, file))
                yield from self._clear_quietly()
                left = len(self._push.files) - index - 1
                if left:
                    yield _said(Stream.STDERR, f"Not sent for that: {left} more.")
                return False
            self.done = before + file.size
            yield _said(Stream.STDOUT, line)
        return True

    def clear(self) -> Steps[str | None]:
        """Removes what lies half written; returns what is to be told of it when that failed."""
        path, self._partial = self._partial, None
        if path is None:
            return None
        try:
            yield from remote.removed(self._sftp, path)
        except Refused as error:
            return why(error, f"The partial file {shown(path)} cannot be removed")
        return None

    @property
    def left(self) -> str:
        """What to tell of what may lie half written on the host once nobody can look."""
        if self._partial is None:
            return ""
        return f"The partial file {shown(self._partial)} may be left there; the next push of it goes on from it."

    def discard(self) -> None:
        """Nothing of a push is kept on this machine."""

    def _clear_quietly(self) -> Steps[None]:
        trouble = yield from self.clear()
        if trouble is not None:
            yield _said(Stream.STDERR, trouble)

    def _words(self, error: Exception, file: PushedFile) -> str:
        if isinstance(error, Refused):
            return why(error, f"{shown(file.to)} cannot be written")
        if isinstance(error, OSError):
            return f"{shown(file.to)}: the console's own copy of the file cannot be read (is files_dir shared?)."
        return str(error)

    def _put(self, file: PushedFile) -> Steps[str]:
        """Puts one file in its place and returns the line that says so."""
        target = file.to.encode("utf-8", "surrogateescape")
        there = yield from self._there(target, file)
        wanted = yield from self._wanted(file, there)
        if there is not None and there.size == file.size and (yield from self._same(target, file)):
            return (yield from self._touch_up(target, there, wanted))
        made = yield from self._folder_of(target)
        if made:
            yield _said(Stream.STDOUT, f"made folder {shown(made)}")
        yield from self._send(target, file, wanted, there)
        return f"{'replaced' if there is not None else 'created'} {shown(target)}"

    def _there(self, target: bytes, file: PushedFile) -> Steps[Attributes | None]:
        there = yield from remote.looked(self._sftp, target, follow=False)
        name = shown(target)
        if there is None:
            return None
        if there.link:
            message = "is a symbolic link, which is not followed and not replaced: name the file it leads to."
            raise Failed(f"{name} {message}")
        if there.folder:
            raise Failed(f"{name} is a folder: write the file's name behind it.")
        if not there.regular:
            raise Failed(f"{name} is no plain file.")
        return there

    def _wanted(self, file: PushedFile, there: Attributes | None) -> Steps[Attributes]:
        """Returns the mode and the owner that the file is to have; of what is not said, those it has now."""
        uid = gid = None
        if file.owner is not None:
            if file.owner not in self._owners:
                self._owners[file.owner] = yield from remote.owner_of(self._sftp, file.owner)
            uid, gid = self._owners[file.owner]
        before = there or Attributes()
        usual = _NEW_MODE if before.mode is None else before.mode & 0o7777
        mode = file.mode if file.mode is not None else usual
        return Attributes(
            uid=uid if uid is not None else before.uid, gid=gid if gid is not None else before.gid, mode=mode
        )

    def _same(self, target: bytes, file: PushedFile) -> Steps[bool]:
        try:
            found = yield from remote.digest(
                self._sftp, target, file.size, plain_login=self._plain_login, read_back=True
            )
        except Refused:
            # A file that may be replaced need not be readable.
            return False
        return found == file.sha256

    def _touch_up(self, target: bytes, there: Attributes, wanted: Attributes) -> Steps[str]:
        owner = (wanted.uid, wanted.gid) != (there.uid, there.gid)
        mode = there.mode is not None and wanted.mode != there.mode & 0o7777
        if not owner and not mode:
            return f"unchanged {shown(target)}"
        if owner:
            yield from self._sftp.request(Op.SETSTAT, text(target), Attributes(uid=wanted.uid, gid=wanted.gid).packed())
        # Giving a file away takes some bits of its mode.
        yield from self._sftp.request(Op.SETSTAT, text(target), Attributes(mode=wanted.mode).packed())
        return f"changed {' and '.join(['owner'] * owner + ['mode'] * mode)} of {shown(target)}"

    def _folder_of(self, target: bytes) -> Steps[bytes]:
        """Makes the target's folder where it is missing, if that is wanted; returns the folder that was made."""
        folder = posixpath.dirname(target) or b"."
        found = yield from remote.looked(self._sftp, folder, follow=True)
        if found is not None and not found.folder:
            raise Failed(f"{shown(folder)} is no folder.")
        if found is not None:
            return b""
        if not self._push.make_folders:
            raise Failed(f"There is no folder {shown(folder)} (make_folders makes it).")
        missing = [folder]
        while (parent := posixpath.dirname(missing[-1])) not in {b"", b"/", missing[-1]}:
            if (yield from remote.looked(self._sftp, parent, follow=True)) is not None:
                break
            missing.append(parent)
        for path in reversed(missing):
            try:
                yield from self._sftp.request(Op.MKDIR, text(path), Attributes(mode=_NEW_FOLDER_MODE).packed())
            except Refused as error:
                # Another job may have made it in this very moment.
                if (yield from remote.looked(self._sftp, path, follow=True)) is None:
                    raise Failed(why(error, f"The folder {shown(path)} cannot be made")) from None
        return folder

    def _send(self, target: bytes, file: PushedFile, wanted: Attributes, there: Attributes | None) -> Steps[None]:
        folder, base = posixpath.split(target)
        prefix = b"." + base[:_BASE_BYTES] + b".opsc-" + file.sha256[:16].encode() + b"-"
        partial = posixpath.join(folder, prefix + self._push.mark.encode())
        if there is not None and _RENAME not in self._sftp.extensions:
            raise Failed(f"{shown(target)} is there, and this server cannot replace a file in one step.")
        yield from self._enough_room(folder or b".", file)
        try:
            handle = yield from self._made(partial)
            offset = 0
            if file.size >= _RESUME_FROM:
                handle, offset = yield from self._resumed(handle, partial, folder, prefix, file)
            if offset:
                yield _said(Stream.STDOUT, f"went on from {offset} bytes of an earlier push of {shown(target)}")
            yield from self._write(handle, file, offset)
            yield from self._settle(handle, wanted, file)
            yield from self._check(partial, file, target)
            yield from self._rename(partial, target)
        except Refused as error:
            told = yield from self._told(error, file, target)
            raise Failed(told) from None

    def _made(self, partial: bytes) -> Steps[bytes]:
        # What is sent may be secret until its own mode says otherwise.
        flags, attributes = WRITE | READ | CREATE | EXCLUSIVE, Attributes(mode=_SECRET_MODE)
        handle = yield from remote.opened(self._sftp, partial, flags, attributes)
        self._partial = partial
        return handle

    def _enough_room(self, folder: bytes, file: PushedFile) -> Steps[None]:
        room = yield from remote.room(self._sftp, folder)
        if room is None:
            return
        free, read_only = room
        if read_only:
            raise Failed(f"{shown(file.to)} cannot be written: the file system is read-only.")
        if free < file.size:
            message = f"{shown(file.to)} cannot be written: it has {file.size:,} bytes, the disk {free:,} free."
            raise Failed(message)

    def _told(self, error: Refused, file: PushedFile, target: bytes) -> Steps[str]:
        """Returns why writing failed; the protocol itself has no words for a full disk."""
        room = yield from remote.room(self._sftp, posixpath.dirname(target) or b".")
        if error.code == Status.FAILURE and room is not None and (room[1] or room[0] < file.size):
            what = "file system is read-only" if room[1] else "disk is full"
            return f"{shown(target)} cannot be written: the {what}."
        return why(error, f"{shown(target)} cannot be written")

    def _resumed(
        self, handle: bytes, partial: bytes, folder: bytes, prefix: bytes, file: PushedFile
    ) -> Steps[tuple[bytes, int]]:
        """Returns the handle to go on with and how many bytes are there already."""
        answer = yield from self._sftp.request(Op.FSTAT, text(handle), expected=Op.ATTRS)
        ours = answer.attributes()
        names = yield from remote.listing(self._sftp, folder or b".", _MOST_LISTED)
        for name, found in names:
            if posixpath.join(folder, name) == partial or not name.startswith(prefix):
                continue
            size = found.size or 0
            # Only what nobody else could have written, and nobody writes any more.
            if not found.regular or found.uid != ours.uid or (found.mode or 0) & 0o077 or not 0 < size <= file.size:
                continue
            if ours.mtime is None or found.mtime is None or ours.mtime - found.mtime < _ABANDONED_SECONDS:
                continue
            taken = yield from self._taken_up(handle, posixpath.join(folder, name), partial, size, file)
            if taken is not None:
                return taken, size
        return handle, 0

    def _taken_up(
        self, handle: bytes, earlier: bytes, partial: bytes, size: int, file: PushedFile
    ) -> Steps[bytes | None]:
        if _RENAME not in self._sftp.extensions:
            return None
        told = yield from remote.digest(self._sftp, earlier, size, plain_login=self._plain_login, read_back=False)
        if told is None or told != (yield from self._digest_here(file, size)):
            yield from remote.removed(self._sftp, earlier)
            return None
        yield from remote.closed(self._sftp, handle)
        yield from self._sftp.request(Op.EXTENDED, text(_RENAME), text(earlier), text(partial))
        return (yield from remote.opened(self._sftp, partial, WRITE | READ))

    def _digest_here(self, file: PushedFile, size: int) -> Steps[str]:
        summed = hashlib.sha256()
        with file.source.open("rb") as source:
            for data in _pieces(source, size, _HASH_PIECE):
                summed.update(data)
                yield from self._sftp.breathe(len(data))
        return summed.hexdigest()

    def _write(self, handle: bytes, file: PushedFile, offset: int) -> Steps[None]:
        sftp, before = self._sftp, self.done
        ahead: list[tuple[int, int]] = []
        waiting = 0
        with file.source.open("rb") as source:
            source.seek(offset)
            for data in _pieces(source, file.size - offset, sftp.most_write):
                ahead.append((sftp.ask(Op.WRITE, text(handle), long(offset), text(data)), len(data)))
                offset += len(data)
                waiting += len(data)
                yield from sftp.drained()
                while ahead and (waiting > _WRITE_AHEAD or sftp.arrived(ahead[0][0])):
                    waiting -= yield from self._acknowledged(ahead)
                self.done = before + offset - waiting
                yield from sftp.breathe(len(data))
        while ahead:
            waiting -= yield from self._acknowledged(ahead)
            self.done = before + offset - waiting
        if offset != file.size:
            raise Failed(f"{shown(file.to)}: the console's own copy of the file is shorter than it was.")

    def _acknowledged(self, ahead: list[tuple[int, int]]) -> Steps[int]:
        asked, size = ahead.pop(0)
        yield from self._sftp.answer(asked, Op.STATUS)
        return size

    def _settle(self, handle: bytes, wanted: Attributes, file: PushedFile) -> Steps[None]:
        """Gives the file its owner and mode, has it brought to the disk where the server can, and closes it."""
        sftp = self._sftp
        answer = yield from sftp.request(Op.FSTAT, text(handle), expected=Op.ATTRS)
        now = answer.attributes()
        uid = wanted.uid if wanted.uid is not None else now.uid
        gid = wanted.gid if wanted.gid is not None else now.gid
        if (uid, gid) != (now.uid, now.gid):
            try:
                yield from sftp.request(Op.FSETSTAT, text(handle), Attributes(uid=uid, gid=gid).packed())
            except Refused as error:
                if file.owner is not None:
                    raise Failed(why(error, f"The owner of {shown(file.to)} cannot be set to {uid}:{gid}")) from None
                whose = f"belongs to {now.uid}:{now.gid} now, before to {uid}:{gid}"
                yield _said(Stream.STDOUT, f"{shown(file.to)} {whose}")
        # After the owner, because giving a file away takes some bits of its mode.
        yield from sftp.request(Op.FSETSTAT, text(handle), Attributes(mode=wanted.mode).packed())
        if _FSYNC in sftp.extensions:
            yield from sftp.request(Op.EXTENDED, text(_FSYNC), text(handle))
        yield from remote.closed(sftp, handle)

    def _check(self, partial: bytes, file: PushedFile, target: bytes) -> Steps[None]:
        there = yield from remote.looked(self._sftp, partial, follow=False)
        if there is None or there.size != file.size:
            raise Failed(f"{shown(target)}: what arrived does not have the size of what was sent.")
        try:
            found = yield from remote.digest(
                self._sftp, partial, file.size, plain_login=self._plain_login, read_back=False
            )
        except Refused:
            # A mode that lets nobody read it, or another owner.
            found = None
        if found is None:
            yield _said(Stream.STDOUT, f"{shown(target)}: checked by its size only, the host has no sha256sum for us")
        elif found != file.sha256:
            raise Failed(
                f"{shown(target)}: what arrived is not what was sent (another SHA-256); it was not put in place."
            )

    def _rename(self, partial: bytes, target: bytes) -> Steps[None]:
        if _RENAME in self._sftp.extensions:
            yield from self._sftp.request(Op.EXTENDED, text(_RENAME), text(partial), text(target))
        else:
            yield from self._sftp.request(Op.RENAME, text(partial), text(target))
        self._partial = None


def partial_names(push: Push) -> Iterator[bytes]:
    """Returns the names under which the files of ``push`` lie on their host while they are not whole."""
    for file in push.files:
        folder, base = posixpath.split(file.to.encode("utf-8", "surrogateescape"))
        name = b"." + base[:_BASE_BYTES] + b".opsc-" + file.sha256[:16].encode() + b"-" + push.mark.encode()
        yield posixpath.join(folder, name)


def _pieces(source: BinaryIO, size: int, most: int) -> Iterator[bytes]:
    while size > 0 and (data := source.read(min(size, most))):
        size -= len(data)
        yield data


def _said(stream: Stream, line: str) -> Event:
    return Output(stream, line.encode() + b"\n")
