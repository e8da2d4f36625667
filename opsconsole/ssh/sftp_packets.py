"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), put together and taken apart."""

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum

ODD = "The SFTP server on the host sent something that has no meaning."


class Op(IntEnum):
    """Kinds of packets."""

    INIT = 1
    VERSION = 2
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
    STAT = 17
    RENAME = 18
    READLINK = 19
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """What a server answers instead of what was asked for."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    UNSUPPORTED = 8


READ, WRITE, CREATE, EXCLUSIVE = 1, 2, 8, 32


class Refused(Exception):
    """The server refused a request, with a ``Status`` (or a number that has no name here) and words of its own."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Gone(Exception):
    """There is no talking to the server any more; the text says why."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server says of a file; what it leaves out is ``None``."""

    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    mtime: int | None = None

    @property
    def folder(self) -> bool:
        """Whether it is a folder."""
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def regular(self) -> bool:
        """Whether it is a plain file."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode is not None and stat.S_ISLNK(self.mode)

    def packed(self) -> bytes:
        """Returns it as a request takes it: of size, owner and mode what is given."""
        flags, parts = 0, b""
        if self.size is not None:
            flags, parts = flags | 1, parts + struct.pack(">Q", self.size)
        if self.uid is not None and self.gid is not None:
            flags, parts = flags | 2, parts + struct.pack(">II", self.uid, self.gid)
        if self.mode is not None:
            flags, parts = flags | 4, parts + struct.pack(">I", self.mode)
        return struct.pack(">I", flags) + parts


class Reader:
    """Takes a packet apart. Raises ``Gone`` when it is shorter than it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        """Returns the next 32 bits."""
        return int(self._unpacked(">I", 4))

    def long(self) -> int:
        """Returns the next 64 bits."""
        return int(self._unpacked(">Q", 8))

    def string(self) -> bytes:
        """Returns the next string."""
        size = self.number()
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise Gone(ODD)
        return self._data[start : self._at]

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self._at < len(self._data)

    def attributes(self) -> Attributes:
        """Returns the attributes that come next."""
        flags = self.number()
        size = self.long() if flags & 1 else None
        uid, gid = (self.number(), self.number()) if flags & 2 else (None, None)
        mode = self.number() if flags & 4 else None
        _, mtime = (self.number(), self.number()) if flags & 8 else (None, None)
        if flags & 0x80000000:
            for _ in range(min(self.number(), 64)):
                self.string(), self.string()
        return Attributes(size, uid, gid, mode, mtime)

    def _unpacked(self, form: str, size: int) -> int:
        try:
            (value,) = struct.unpack_from(form, self._data, self._at)
        except struct.error:
            raise Gone(ODD) from None
        self._at += size
        return int(value)


def text(data: bytes | str) -> bytes:
    """Returns a string as packets hold it."""
    data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def number(value: int) -> bytes:
    """Returns 32 bits as packets hold them."""
    return struct.pack(">I", value)


def long(value: int) -> bytes:
    """Returns 64 bits as packets hold them."""
    return struct.pack(">Q", value)
