"""An SFTP server of version 3 (draft-ietf-secsh-filexfer-02) for one session on a demo host: requests in, answers out.

It needs nothing but the standard library, because the first process of the demo's world forks it off where nothing can
be imported any more, and because a system without namespaces runs it as a program of its own. It guards nothing: what
it may touch is what the process may that it runs in, as with OpenSSH's ``sftp-server``.
"""

import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import BinaryIO


class _Ask(IntEnum):
    """Requests."""

    INIT = 1
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    EXTENDED = 200


_VERSION, _STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _REPLY = 2, 101, 102, 103, 104, 105, 201
_OK, _EOF, _NO_SUCH_FILE, _DENIED, _FAILURE, _BAD_MESSAGE, _UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
# Which numbers of the protocol stand for errors of the system; all others are a failure, with the system's words.
_CODES = {
    errno.ENOENT: _NO_SUCH_FILE,
    errno.ENOTDIR: _NO_SUCH_FILE,
    errno.ELOOP: _NO_SUCH_FILE,
    errno.EPERM: _DENIED,
    errno.EACCES: _DENIED,
    errno.ENAMETOOLONG: _BAD_MESSAGE,
    errno.EINVAL: _BAD_MESSAGE,
    errno.ENOSYS: _UNSUPPORTED,
}
# (bit of an open request: flags of the system); reading and writing are told apart below.
_OPENING = {4: os.O_APPEND, 8: os.O_CREAT, 16: os.O_TRUNC, 32: os.O_EXCL}
_EXTENSIONS = {
    b"posix-rename@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
    b"fsync@openssh.com": b"1",
    b"limits@openssh.com": b"1",
}
# OpenSSH's own limits.
_MOST_PACKET = 256 * 1024 + 1024
_MOST_PIECE = 255 * 1024
_MOST_HANDLES = 512
_NAMES_AT_ONCE = 100
_MOST_SECONDS = 0xFFFFFFFF


class _Refusal(Exception):
    """What is answered when it is no error of the system."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class _Fields:
    """Takes a request apart. Raises ``struct.error`` when it is shorter than it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        """Returns the next 32 bits."""
        return self._take(">I", 4)

    def long(self) -> int:
        """Returns the next 64 bits."""
        return self._take(">Q", 8)

    def string(self) -> bytes:
        """Returns the next string."""
        size = self.number()
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise struct.error("a string is cut off")
        return self._data[start : self._at]

    def path(self) -> bytes:
        """Returns the next string as a path; an empty one is the folder that the session began in."""
        return self.string() or b"."

    def _take(self, form: str, size: int) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return int(value)


class _Wanted:
    """The attributes that a request asks for; what it leaves out is ``None``."""

    def __init__(self, fields: _Fields) -> None:
        flags = fields.number()
        self.size = fields.long() if flags & 1 else None
        self.owner = (fields.number(), fields.number()) if flags & 2 else None
        self.mode = fields.number() & 0o7777 if flags & 4 else None
        self.times = (fields.number(), fields.number()) if flags & 8 else None


class Session:
    """What is open in one session, and the answers to its requests. ``close`` closes what the client left open."""

    def __init__(self) -> None:
        self._files: dict[bytes, int] = {}
        self._folders: dict[bytes, Iterator[os.DirEntry[bytes]]] = {}
        self._handed_out = 0
        self._answers: dict[int, Callable[[_Fields], bytes | None]] = {
            _Ask.OPEN: self._open,
            _Ask.CLOSE: self._close,
            _Ask.READ: self._read,
            _Ask.WRITE: self._write,
            _Ask.LSTAT: lambda fields: _attributes(os.lstat(fields.path())),
            _Ask.FSTAT: lambda fields: _attributes(os.fstat(self._file(fields))),
            _Ask.SETSTAT: lambda fields: _give(fields.path(), _Wanted(fields)),
            _Ask.FSETSTAT: lambda fields: _give(self._file(fields), _Wanted(fields)),
            _Ask.OPENDIR: self._open_folder,
            _Ask.READDIR: self._read_folder,
            _Ask.REMOVE: lambda fields: os.unlink(fields.path()),
            _Ask.MKDIR: lambda fields: _make_folder(fields.path(), _Wanted(fields)),
            _Ask.RMDIR: lambda fields: os.rmdir(fields.path()),
            _Ask.REALPATH: lambda fields: _named(os.path.realpath(fields.path())),
            _Ask.STAT: lambda fields: _attributes(os.stat(fields.path())),
            _Ask.RENAME: lambda fields: _rename(fields.path(), fields.path()),
            _Ask.READLINK: lambda fields: _named(os.readlink(fields.path())),
            _Ask.EXTENDED: self._extended,
        }

    def answer(self, kind: int, body: bytes) -> bytes:
        """Returns the packet that answers one request, its length in front. Raises ``struct.error`` for nonsense."""
        if kind == _Ask.INIT:
            names = b"".join(_string(name) + _string(version) for name, version in _EXTENSIONS.items())
            return _packet(_VERSION, struct.pack(">I", 3) + names)
        fields = _Fields(body)
        asked = struct.pack(">I", fields.number())
        found = self._answers.get(kind)
        try:
            if found is None:
                raise _Refusal(_UNSUPPORTED, "This server does not know that request")
            told = found(fields) or _status(_OK, "Success")
        except OSError as error:
            told = _status(_CODES.get(error.errno or 0, _FAILURE), error.strerror or "Failure")
        except _Refusal as refusal:
            told = _status(refusal.code, str(refusal))
        except (ValueError, OverflowError):
            told = _status(_BAD_MESSAGE, "No file can be called that, or be that long")
        return _packet(told[0], asked + told[1:])

    def close(self) -> None:
        """Closes all that is open."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        self._folders.clear()

    def _open(self, fields: _Fields) -> bytes:
        path, bits, wanted = fields.path(), fields.number(), _Wanted(fields)
        flags = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY, os.O_RDWR)[bits & 3]
        for bit, flag in _OPENING.items():
            flags |= flag if bits & bit else 0
        handle = self._new_handle()
        mode = 0o666 if wanted.mode is None else wanted.mode
        # A pipe that nobody writes to must not hold up the session.
        self._files[handle] = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, mode)
        return bytes([_HANDLE]) + _string(handle)

    def _close(self, fields: _Fields) -> None:
        handle = fields.string()
        if handle in self._files:
            os.close(self._files.pop(handle))
        elif self._folders.pop(handle, None) is None:
            raise _no_handle()

    def _read(self, fields: _Fields) -> bytes:
        descriptor, offset, size = self._file(fields), fields.long(), fields.number()
        data = os.pread(descriptor, min(size, _MOST_PIECE), offset)
        return bytes([_DATA]) + _string(data) if data or not size else _status(_EOF, "End of file")

    def _write(self, fields: _Fields) -> None:
        descriptor, offset, data = self._file(fields), fields.long(), memoryview(fields.string())
        while data:
            count = os.pwrite(descriptor, data, offset)
            data, offset = data[count:], offset + count

    def _open_folder(self, fields: _Fields) -> bytes:
        handle = self._new_handle()
        self._folders[handle] = os.scandir(fields.path())
        return bytes([_HANDLE]) + _string(handle)

    def _read_folder(self, fields: _Fields) -> bytes:
        entries = self._folders.get(fields.string())
        if entries is None:
            raise _no_handle()
        found = []
        for entry in entries:
            try:
                told = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                # It has gone since the folder was read.
                continue
            found.append(_string(entry.name) + _string(_line(entry.name, told)) + _packed(told))
            if len(found) == _NAMES_AT_ONCE:
                break
        if not found:
            return _status(_EOF, "End of folder")
        return bytes([_NAME]) + struct.pack(">I", len(found)) + b"".join(found)

    def _extended(self, fields: _Fields) -> bytes | None:
        match fields.string():
            case b"posix-rename@openssh.com":
                os.rename(fields.path(), fields.path())
                return None
            case b"fsync@openssh.com":
                os.fsync(self._file(fields))
                return None
            case b"statvfs@openssh.com":
                return bytes([_REPLY]) + _room(os.statvfs(fields.path()))
            case b"limits@openssh.com":
                return bytes([_REPLY]) + struct.pack(">4Q", _MOST_PACKET, _MOST_PIECE, _MOST_PIECE, _MOST_HANDLES)
        raise _Refusal(_UNSUPPORTED, "This server does not know that extension")

    def _file(self, fields: _Fields) -> int:
        descriptor = self._files.get(fields.string())
        if descriptor is None:
            raise _no_handle()
        return descriptor

    def _new_handle(self) -> bytes:
        if len(self._files) + len(self._folders) >= _MOST_HANDLES:
            raise _Refusal(_FAILURE, "Too many open files")
        self._handed_out += 1
        return b"%d" % self._handed_out


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers what comes on ``source`` until it ends, or until what comes is no SFTP."""
    session = Session()
    try:
        while len(head := source.read(4)) == 4:
            (size,) = struct.unpack(">I", head)
            if not 1 <= size <= _MOST_PACKET or len(packet := source.read(size)) < size:
                return
            sink.write(session.answer(packet[0], packet[1:]))
            sink.flush()
    except (struct.error, BrokenPipeError):
        return
    finally:
        session.close()


def _give(place: int | bytes, wanted: _Wanted) -> None:
    """Gives attributes to an open file or to what is at a path. Raises ``OSError``."""
    if wanted.size is not None:
        os.truncate(place, wanted.size)
    if wanted.owner is not None:
        os.chown(place, *wanted.owner)
    # After the owner, because giving a file away takes some bits of its mode.
    if wanted.mode is not None:
        os.chmod(place, wanted.mode)
    if wanted.times is not None:
        os.utime(place, wanted.times)


def _make_folder(path: bytes, wanted: _Wanted) -> None:
    os.mkdir(path, 0o777 if wanted.mode is None else wanted.mode)


def _rename(path: bytes, new: bytes) -> None:
    # Version 3 replaces nothing; posix-rename@openssh.com does.
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(path, new)


def _no_handle() -> _Refusal:
    return _Refusal(_FAILURE, "There is no such handle")


def _status(code: int, words: str) -> bytes:
    return bytes([_STATUS]) + struct.pack(">I", code) + _string(words.encode()) + _string(b"en")


def _named(path: bytes) -> bytes:
    return bytes([_NAME]) + struct.pack(">I", 1) + _string(path) + _string(path) + struct.pack(">I", 0)


def _attributes(told: os.stat_result) -> bytes:
    return bytes([_ATTRS]) + _packed(told)


def _packed(told: os.stat_result) -> bytes:
    times = (min(max(0, int(seconds)), _MOST_SECONDS) for seconds in (told.st_atime, told.st_mtime))
    return struct.pack(">IQIIIII", 15, told.st_size, told.st_uid, told.st_gid, told.st_mode, *times)


def _line(name: bytes, told: os.stat_result) -> bytes:
    """Returns a line as ``ls -l`` writes it: what clients show to a person who asks for a listing."""
    when = time.strftime("%b %d  %Y", time.gmtime(told.st_mtime))
    facts = f"{stat.filemode(told.st_mode)} {told.st_nlink:>3} {told.st_uid:<8} {told.st_gid:<8} {told.st_size:>8}"
    return f"{facts} {when} ".encode() + name


def _room(told: os.statvfs_result) -> bytes:
    blocks = (told.f_bsize, told.f_frsize, told.f_blocks, told.f_bfree, told.f_bavail)
    names = (told.f_files, told.f_ffree, told.f_favail)
    # Read-only and without set-user-ID: the two bits that the extension has names for.
    return struct.pack(">11Q", *blocks, *names, told.f_fsid & (1 << 64) - 1, told.f_flag & 3, told.f_namemax)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
