"""Files put on a host: each is written under another name beside its target, and takes its place only when whole.

A file that is there already with the same content, mode and owner is left alone. What an earlier push of the same
content left half written, because its connection was lost, is gone on with once its beginning was compared.
"""

import posixpath

from opsconsole.jobs.ports import Event, Output, Stream
from opsconsole.jobs.transfer import Push, PushedFile
from opsconsole.sentences import Sentence
from opsconsole.ssh import remote_files as remote
from opsconsole.ssh.leftovers import RENAME, Leftovers, partial_name, pieces
from opsconsole.ssh.remote_files import Failed, shown, why
from opsconsole.ssh.sftp import Sftp, Steps
from opsconsole.ssh.sftp_packets import CREATE, EXCLUSIVE, READ, WRITE, Attributes, Op, Refused, Status, long, text

# What may be on its way without having been acknowledged; OpenSSH's own client has as much.
_WRITE_AHEAD = 2 * 1024 * 1024
_NEW_MODE = 0o644
_NEW_FOLDER_MODE = 0o755
_SECRET_MODE = 0o600
_FSYNC = b"fsync@openssh.com"


class Pushing:
    """One push, step by step. ``done`` and ``total`` count bytes of all files, those that need no sending too."""

    def __init__(self, push: Push, sftp: Sftp, *, plain_login: bool) -> None:
        self.done = 0
        self.total = sum(file.size for file in push.files)
        self._push = push
        self._sftp = sftp
        self._plain_login = plain_login
        self._leftovers = Leftovers(sftp, plain_login=plain_login)
        # The file that lies half written there, whether a later push could go on from it, and what was done before it.
        self._partial: bytes | None = None
        self._resumable = False
        self._before = 0
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
        partial = shown(self._partial)
        if self._resumable:
            return Sentence(
                "The partial file {partial} may be left there; the next push of it goes on from it.", partial=partial
            )
        return Sentence(
            "The partial file {partial} may be left there; a push an hour later removes it.", partial=partial
        )

    @property
    def kept(self) -> str:
        """What to tell of what is half written on the host and worth keeping; empty when nothing is."""
        if self._partial is None or not self._resumable or self.done <= self._before:
            return ""
        return Sentence(
            "{done:,} of {total:,} bytes are there; the partial file {partial} is kept, "
            "and the next push goes on from it.",
            done=self.done,
            total=self.total,
            partial=shown(self._partial),
        )

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
            given = Attributes(uid=wanted.uid, gid=wanted.gid)
            try:
                yield from self._sftp.request(Op.SETSTAT, text(target), given.packed())
            except Refused as error:
                raise Failed(_owner_refused(error, given, shown(target))) from None
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
            raise Failed(f"There is no folder {shown(folder)}; with make_folders (--make-folders) it is made.")
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
        partial = partial_name(target, file, self._push.mark)
        if there is not None and RENAME not in self._sftp.extensions:
            raise Failed(f"{shown(target)} is there, and this server cannot replace a file in one step.")
        try:
            handle = yield from self._made(partial, file)
            handle, offset = yield from self._leftovers.settle(handle, partial, target, file)
            if offset:
                yield _said(Stream.STDOUT, f"went on from {offset} bytes of an earlier push of {shown(target)}")
            yield from self._enough_room(target, file, file.size - offset)
            yield from self._write(handle, file, offset)
            yield from self._settle(handle, wanted, file)
            yield from self._check(partial, file, target)
            yield from self._rename(partial, target)
        except Refused as error:
            told = yield from self._told(error, file, target)
            raise Failed(told) from None

    def _made(self, partial: bytes, file: PushedFile) -> Steps[bytes]:
        # What is sent may be secret until its own mode says otherwise.
        flags, attributes = WRITE | READ | CREATE | EXCLUSIVE, Attributes(mode=_SECRET_MODE)
        handle = yield from remote.opened(self._sftp, partial, flags, attributes)
        self._partial, self._resumable, self._before = partial, self._leftovers.resumes(file), self.done
        return handle

    def _enough_room(self, target: bytes, file: PushedFile, missing: int) -> Steps[None]:
        room = yield from remote.room(self._sftp, posixpath.dirname(target) or b".")
        if room is not None and room[0] < missing:
            which = "it has" if missing == file.size else "it still needs"
            raise Failed(f"{shown(file.to)} cannot be written: {which} {missing:,} bytes, the disk {room[0]:,} free.")

    def _told(self, error: Refused, file: PushedFile, target: bytes) -> Steps[str]:
        """Returns why writing failed; the protocol itself has no words for a full disk."""
        room = yield from remote.room(self._sftp, posixpath.dirname(target) or b".")
        if error.code == Status.FAILURE and room is not None and (room[1] or room[0] < file.size):
            what = "file system is read-only" if room[1] else "disk is full"
            return f"{shown(target)} cannot be written: the {what}."
        return why(error, f"{shown(target)} cannot be written")

    def _write(self, handle: bytes, file: PushedFile, offset: int) -> Steps[None]:
        sftp, before = self._sftp, self.done
        ahead: list[tuple[int, int]] = []
        waiting = 0
        with file.source.open("rb") as source:
            source.seek(offset)
            for data in pieces(source, file.size - offset, sftp.most_write):
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
                    raise Failed(_owner_refused(error, Attributes(uid=uid, gid=gid), shown(file.to))) from None
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
        if RENAME in self._sftp.extensions:
            yield from self._sftp.request(Op.EXTENDED, text(RENAME), text(partial), text(target))
        else:
            yield from self._sftp.request(Op.RENAME, text(partial), text(target))
        self._partial = None


def _owner_refused(error: Refused, given: Attributes, name: str) -> str:
    return why(error, f"The owner of {name} cannot be set to {given.uid}:{given.gid}")


def _said(stream: Stream, line: str) -> Event:
    return Output(stream, line.encode() + b"\n")
