"""What is done with files of a host over SFTP, and what its refusals are called.

A step returns what it found; ``Refused`` and what ``Sftp`` raises go through. ``Failed`` carries a whole sentence.
"""

import hashlib
import shlex
from collections.abc import Iterator

from opsconsole.jobs.output import display
from opsconsole.jobs.ports import Stream
from opsconsole.ssh.channel import SEND_FAILURES, RunChannel
from opsconsole.ssh.sftp import Sftp, Steps
from opsconsole.ssh.sftp_packets import Attributes, Op, Reader, Refused, Status, long, number, text

# How much is asked for before its first answer is waited for.
READ_AHEAD = 512 * 1024
# Reading back less than this is cheaper than starting a program there.
_SMALL = 256 * 1024
_READ_ONLY = 1
# $0 is the file, $1 how many of its first bytes count, empty for all. The names are those of GNU, Perl and the BSDs.
_SHA256 = (
    'f() { if [ -n "$1" ]; then head -c "$1"; else cat; fi; }; '
    "for p in sha256sum shasum sha256; do command -v $p >/dev/null 2>&1 || continue; "
    'case $p in shasum) a="-a 256";; *) a=;; esac; f "$1" <"$0" | $p $a; exit; done; exit 127'
)
_USER = 'id -u -- "$0" 2>/dev/null || id -u "$0"'
_GROUP = (
    '{ getent group "$0" || grep "^$0:" /etc/group; } 2>/dev/null | { IFS=: read -r _ _ g _ && printf "%s\\n" "$g"; }'
)
_MOST_ANSWER = 4096


class Failed(Exception):
    """It cannot be done; the text is one sentence for a person."""


def shown(path: bytes | str) -> str:
    """Returns a path as text that only shows."""
    data = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    return display(data)


def looked(sftp: Sftp, path: bytes, *, follow: bool) -> Steps[Attributes | None]:
    """Returns what is at ``path``, ``None`` for nothing."""
    try:
        answer = yield from sftp.request(Op.STAT if follow else Op.LSTAT, text(path), expected=Op.ATTRS)
    except Refused as error:
        if error.code == Status.NO_SUCH_FILE:
            return None
        raise
    return answer.attributes()


def opened(sftp: Sftp, path: bytes, flags: int, attributes: Attributes | None = None) -> Steps[bytes]:
    """Returns the handle of an opened file."""
    attributes = attributes or Attributes()
    answer = yield from sftp.request(Op.OPEN, text(path), number(flags), attributes.packed(), expected=Op.HANDLE)
    return answer.string()


def closed(sftp: Sftp, handle: bytes) -> Steps[None]:
    """Closes a handle."""
    yield from sftp.request(Op.CLOSE, text(handle))


def removed(sftp: Sftp, path: bytes) -> Steps[bool]:
    """Removes a file; returns whether there was one."""
    try:
        yield from sftp.request(Op.REMOVE, text(path))
    except Refused as error:
        if error.code == Status.NO_SUCH_FILE:
            return False
        raise
    return True


def listing(sftp: Sftp, folder: bytes, most: int) -> Steps[list[tuple[bytes, Attributes]]]:
    """Returns at most ``most`` names in ``folder`` and what they are. A name that is none is left out."""
    answer = yield from sftp.request(Op.OPENDIR, text(folder), expected=Op.HANDLE)
    handle = answer.string()
    found: list[tuple[bytes, Attributes]] = []
    while len(found) < most:
        try:
            page = yield from sftp.request(Op.READDIR, text(handle), expected=Op.NAME)
        except Refused as error:
            if error.code != Status.EOF:
                raise
            break
        found += _names(page)
        yield from sftp.breathe(READ_AHEAD)
    yield from closed(sftp, handle)
    return found[:most]


def _names(page: Reader) -> Iterator[tuple[bytes, Attributes]]:
    for _ in range(page.number()):
        name = page.string()
        page.string()
        attributes = page.attributes()
        if name not in {b".", b".."} and name and b"/" not in name and b"\0" not in name:
            yield name, attributes


class Reading:
    """The bytes of an open file in order, asked for ahead of time within ``READ_AHEAD``; ``size`` of ``None`` means to
    its end. ``next`` returns a piece, empty at the end."""

    def __init__(self, sftp: Sftp, handle: bytes, size: int | None) -> None:
        self._sftp = sftp
        self._handle = handle
        self._size = size
        self._at = 0
        self._asked: list[tuple[int, int, int]] = []
        self._ended = False

    def next(self) -> Steps[bytes]:
        """Returns the next piece of the file."""
        self._ask_ahead()
        yield from self._sftp.drained()
        if not self._asked:
            return b""
        asked, offset, size = self._asked.pop(0)
        try:
            answer = yield from self._sftp.answer(asked, Op.DATA)
        except Refused as error:
            if error.code != Status.EOF:
                raise
            self._ended = True
            yield from self._forget()
            return b""
        data = answer.string()[:size]
        if not data:
            self._ended = True
            yield from self._forget()
            return b""
        if len(data) < size:
            # A short answer: the rest of this piece comes before what was asked for after it.
            rest = offset + len(data)
            self._asked.insert(0, (self._read(rest, size - len(data)), rest, size - len(data)))
        yield from self._sftp.breathe(len(data))
        return data

    def _ask_ahead(self) -> None:
        most = self._sftp.most_read
        # Without a size it may be a file that answers only as it goes: one piece at a time.
        ahead = READ_AHEAD if self._size is not None else most
        while not self._ended and sum(size for _, _, size in self._asked) + most <= max(ahead, most):
            size = most if self._size is None else min(most, self._size - self._at)
            if size <= 0:
                return
            self._asked.append((self._read(self._at, size), self._at, size))
            self._at += size

    def _read(self, offset: int, size: int) -> int:
        return self._sftp.ask(Op.READ, text(self._handle), long(offset), number(size))

    def _forget(self) -> Steps[None]:
        for asked, _, _ in self._asked:
            try:
                yield from self._sftp.answer(asked, Op.DATA)
            except Refused:
                continue
        self._asked.clear()


def digest(sftp: Sftp, path: bytes, size: int, *, plain_login: bool, read_back: bool) -> Steps[str | None]:
    """Returns the SHA-256 of the first ``size`` bytes of a file: told by a program of the host where there is one and
    the account is the login's own, else read back if that is cheap or ``read_back``; ``None`` when nothing told it."""
    if size > _SMALL and plain_login:
        told = yield from told_by(sftp, _SHA256, path, str(size))
        word = told.split()[0].lstrip("\\").lower() if told.split() else ""
        if len(word) == hashlib.sha256().digest_size * 2 and all(char in "0123456789abcdef" for char in word):
            return word
    if size > _SMALL and not read_back:
        return None
    handle = yield from opened(sftp, path, 1)
    reading, summed, seen = Reading(sftp, handle, size), hashlib.sha256(), 0
    while data := (yield from reading.next()):
        summed.update(data)
        seen += len(data)
    yield from closed(sftp, handle)
    return summed.hexdigest() if seen == size else None


def told_by(sftp: Sftp, script: str, *words: bytes | str) -> Steps[str]:
    """Returns what ``script`` prints on the host, run by the login's own account with ``words`` as ``$0`` and so on;
    nothing when the host does not run it."""
    said = b""
    opening: RunChannel | None = None
    try:
        channel = opening = sftp.transport.open_run_channel(sftp.channel.wake)
        yield from sftp.until(channel.answered)
        if not channel.opened:
            return ""
        plain = [word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else word for word in words]
        channel.request_exec(shlex.join(["exec", "/bin/sh", "-c", script, *plain]))
        over = False
        while not over and len(said) <= _MOST_ANSWER:
            yield from sftp.until(lambda: channel.has_output or _ended(channel))
            # Asked before the output is read: what came before the end is then read.
            over = _ended(channel)
            while piece := channel.take():
                said += piece[1] if piece[0] is Stream.STDOUT else b""
        return said[:_MOST_ANSWER].decode("ascii", "replace") if channel.exit_code == 0 else ""
    except SEND_FAILURES:
        sftp.transport.abort()
        return ""
    finally:
        if opening is not None:
            sftp.transport.give_up(opening)


def _ended(channel: RunChannel) -> bool:
    done = channel.exit_code is not None and bool(channel.eof_received)
    return done or channel.exec_accepted is False or bool(channel.closed)


def owner_of(sftp: Sftp, owner: str) -> Steps[tuple[int | None, int | None]]:
    """Returns the numbers of ``user``, ``user:group`` or ``:group``; names are looked up by the host. Raises ``Failed``
    for a name that the host does not know."""
    user, _, group = owner.partition(":")
    uid = yield from _number(sftp, _USER, user, "user")
    gid = yield from _number(sftp, _GROUP, group, "group")
    return uid, gid


def _number(sftp: Sftp, script: str, name: str, what: str) -> Steps[int | None]:
    if not name:
        return None
    if name.isdigit():
        return int(name)
    told = (yield from told_by(sftp, script, name)).strip()
    if not told.isdigit():
        raise Failed(f"The host knows no {what} {name}, or does not tell: a number always works.")
    return int(told)


def room(sftp: Sftp, folder: bytes) -> Steps[tuple[int, bool] | None]:
    """Returns how many bytes are free for this account where ``folder`` is, and whether that is read-only; ``None``
    when the server does not tell."""
    if b"statvfs@openssh.com" not in sftp.extensions:
        return None
    try:
        answer = yield from sftp.request(
            Op.EXTENDED, text("statvfs@openssh.com"), text(folder), expected=Op.EXTENDED_REPLY
        )
    except Refused:
        return None
    answer.long()
    unit = answer.long()
    answer.long(), answer.long()
    free = answer.long()
    for _ in range(4):
        answer.long()
    return unit * free, bool(answer.long() & _READ_ONLY)


def why(error: Refused, what: str) -> str:
    """Returns one sentence on a refusal: ``what`` is what was tried, such as ``/etc/motd cannot be written``."""
    match error.code:
        case Status.NO_SUCH_FILE:
            return f"{what}: there is no such file."
        case Status.PERMISSION_DENIED:
            return f"{what}: permission denied."
        case Status.UNSUPPORTED:
            return f"{what}: the server cannot do that."
        case _:
            words = shown(error.words.encode())[:200].strip().rstrip(".")
            known = words and words.lower() != "failure"
            return f"{what}: {words}." if known else f"{what}: the server does not say why (status {error.code})."
