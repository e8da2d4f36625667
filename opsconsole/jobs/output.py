"""Output of one run: bounded while it arrives, bytes until somebody reads it as text. Pure."""

import codecs
import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from opsconsole.jobs.steps import Step, StepFacts, StepState

STDOUT = 1
STDERR = 2
# A chunk is a database row: large enough to be few, small enough to be streamed.
CHUNK_BYTES = 32 * 1024
_LAST_LINE_CHARS = 200
_ESCAPES = re.compile(
    # Strings (titles, links, clipboard), control sequences, then two-character escapes; each bounded.
    r"\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x9c|\x1b\\)?|(?:\x1b\[|\x9b)[\x20-\x3f]{0,256}[\x40-\x7e]?|\x1b.?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """``data`` that arrived on ``fd`` (1 or 2), ``at_ms`` after the start; ``offset`` counts both streams together."""

    offset: int
    fd: int
    at_ms: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset after the chunk's last byte."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Flush:
    """What to store now: new ``chunks``, and the range ``[gap_from, gap_to)`` of which nothing is kept any more."""

    chunks: tuple[Chunk, ...]
    gap_from: int | None
    gap_to: int


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 over exit, stdout and stderr: to the byte, without looks, without readings; the last two where made."""

    exact: str
    clean: str | None = None
    similar: str | None = None


class BoundedOutput:
    """Keeps the first ``head`` and the last ``tail`` bytes of what a command writes and counts the rest.

    The head is handed out as it comes. Once it is full, the tail is held here and handed out when asked, so that a
    command that floods costs one bounded rewrite a flush and not a row a chunk.

    ``steps`` tells which step wrote what, where an order has several; ``moved`` is set until that is stored.
    """

    def __init__(self, head: int, tail: int) -> None:
        self._head = head
        self._tail = tail
        self._ready: list[Chunk] = []
        self._ring: deque[Chunk] = deque()
        self._stored: deque[Chunk] = deque()
        self._gap_to = 0
        self.total = 0
        self.stdout_bytes = 0
        self.stderr_bytes = 0
        self._digests = {STDOUT: hashlib.sha256(), STDERR: hashlib.sha256()}
        self._newlines = 0
        self._open = {STDOUT: b"", STDERR: b""}
        self._last = b""
        self._behind = 0
        self.steps: list[StepFacts] = []
        self.moved = False
        # How many bytes of files were carried, of how many, and whether that was not handed out yet.
        self.done_bytes: int | None = None
        self.total_bytes: int | None = None
        self.advanced = False
        # Where the present step's output begins, its lines until then, and the streams that it has written on.
        self._cut = 0
        self._lines_before = 0
        self._wrote: set[int] = set()

    def resume(self, stdout: int, stderr: int, lines: int, last_line: str | None, gap: tuple[int, int] | None) -> None:
        """Goes on behind what is stored already: so many bytes on each stream and lines, with a ``gap`` as the property
        tells it. Only before anything was added."""
        self.total, self.stdout_bytes, self.stderr_bytes = stdout + stderr, stdout, stderr
        self._newlines, self._last = lines, (last_line or "").encode()
        if gap is not None:
            self._head, self._gap_to = gap[0], gap[0] + gap[1]
        # What is stored of the tail makes room as a whole.
        self._behind = self.total if self.total > self._head else 0

    def begin(self, step: Step, at: datetime) -> None:
        """Says that what comes from now on is of ``step``."""
        self._cut, self._lines_before, self._wrote = self.total, self._newlines, set()
        self.steps.append(StepFacts(step, StepState.RUNNING, None, at, None, self.total, None, 0))
        self.moved = True

    def end(self, state: StepState, exit_status: int | None, at: datetime) -> None:
        """Says how the present step ended."""
        unfinished = sum(bool(self._open[fd]) for fd in self._wrote)
        lines = self._newlines - self._lines_before + unfinished
        ended = replace(self.steps[-1], state=state, exit_status=exit_status, ended_at=at, to_byte=self.total)
        self.steps[-1] = replace(ended, lines=lines)
        self.moved = True

    def carry(self, done: int, total: int | None) -> None:
        """Takes in how far a transfer of files is."""
        self.done_bytes, self.total_bytes, self.advanced = done, total, True

    def add(self, fd: int, data: bytes, at_ms: int) -> None:
        """Takes in what arrived."""
        self._digests[fd].update(data)
        self._wrote.add(fd)
        if fd == STDOUT:
            self.stdout_bytes += len(data)
        else:
            self.stderr_bytes += len(data)
        self._count_lines(fd, data)
        room = max(self._head - self.total, 0)
        self._put(self._ready, fd, data[:room], at_ms)
        rest = data[room:]
        # Only the end of a very large piece can survive; what precedes it is counted.
        skipped = max(len(rest) - self._tail, 0)
        if skipped:
            self.total += skipped
            self._ring.clear()
            self._gap_to = self.total
        for start in range(skipped, len(rest), CHUNK_BYTES):
            self._put(self._ring, fd, rest[start : start + CHUNK_BYTES], at_ms)
        self._trim(self._ring)

    def skip(self, fd: int, size: int) -> None:
        """Counts ``size`` bytes that the host itself did not keep; what follows is part of the tail."""
        # A host keeps more than our head, so this changes nothing, unless the host is not honest about it.
        self._head = min(self._head, self.total)
        if fd == STDOUT:
            self.stdout_bytes += size
        else:
            self.stderr_bytes += size
        self._open[fd] = b""
        self._ring.clear()
        self.total += size
        self._gap_to = self.total

    def _put(self, where: "list[Chunk] | deque[Chunk]", fd: int, data: bytes, at_ms: int) -> None:
        if not data:
            return
        last = where[-1] if where else None
        follows = last is not None and last.fd == fd and last.end == self.total > self._cut
        if last and follows and len(last.data) + len(data) <= CHUNK_BYTES:
            where[-1] = Chunk(last.offset, fd, last.at_ms, last.data + data)
        else:
            where.append(Chunk(self.total, fd, at_ms, data))
        self.total += len(data)

    def _trim(self, chunks: deque[Chunk]) -> None:
        if 0 < self._behind <= self.total - self._tail:
            self._gap_to, self._behind = max(self._gap_to, self._behind), 0
        while chunks and chunks[0].end <= self.total - self._tail:
            self._gap_to = max(self._gap_to, chunks.popleft().end)

    def _count_lines(self, fd: int, data: bytes) -> None:
        self._newlines += data.count(b"\n")
        body, separator, after = data.rpartition(b"\n")
        if not separator:
            self._open[fd] = (self._open[fd] + after)[-4096:]
            return
        for line in reversed((self._open[fd] + body)[-4096:].split(b"\n")):
            if line.strip():
                self._last = line
                break
        self._open[fd] = after[-4096:]

    def flush(self, *, tail: bool) -> Flush:
        """Returns what is to be stored now, with the held tail when ``tail`` is set; forgets what it returned.

        ``moved`` stays for who stores the steps beside it.
        """
        self.advanced = False
        chunks = list(self._ready)
        self._ready.clear()
        if tail and self._ring:
            chunks.extend(self._ring)
            self._stored.extend(self._ring)
            self._ring.clear()
        self._trim(self._stored)
        if not self._gap_to:
            return Flush(tuple(chunks), None, 0)
        return Flush(tuple(chunks), self._head, self._gap_to)

    @property
    def waiting(self) -> bool:
        """True when a part of the head is ready to be stored."""
        return bool(self._ready)

    @property
    def held(self) -> bool:
        """True when a part of the tail is held that was not stored yet."""
        return bool(self._ring)

    @property
    def gap(self) -> tuple[int, int]:
        """Where the bytes that were counted but not kept begin, and how many they are."""
        return (self._head, self._gap_to - self._head) if self._gap_to else (0, 0)

    @property
    def lines(self) -> int:
        """How many lines were written, an unfinished last one on either stream included."""
        return self._newlines + sum(bool(part) for part in self._open.values())

    @property
    def last_line(self) -> str | None:
        """The last line with something on it, as display text of at most 200 characters."""
        for part in (*self._open.values(), self._last):
            if part.strip():
                return display(part.strip())[:_LAST_LINE_CHARS]
        return None

    def digests(self, exit_text: str) -> Digests:
        """Returns hashes that two runs share only with the same ``exit_text``, stdout and stderr, kept or not."""
        return Digests(digest_of(exit_text, self._digests[STDOUT].digest(), self._digests[STDERR].digest()))


def digest_of(exit_text: str, *streams: bytes) -> str:
    """Returns the hash over how a command ended and the hashes of its streams."""
    return hashlib.sha256(b"\0".join((exit_text.encode(), *streams))).hexdigest()


def display(data: bytes) -> str:
    """Returns ``data`` as text that only shows: what is not UTF-8 becomes U+FFFD, escapes and controls vanish.

    For one-line summaries that are stored; NUL in particular cannot be stored as text in PostgreSQL.
    """
    text = without_escapes(data.decode("utf-8", errors="replace"))
    return "".join(char for char in text if char == "\t" or char.isprintable())


def without_escapes(text: str) -> str:
    """Returns ``text`` without terminal sequences: colours, cursor moves, titles, links, clipboard writes."""
    return _ESCAPES.sub("", text)


@dataclass(frozen=True, slots=True)
class Line:
    """Line ``number`` (from 1) of a run's output, ``at_ms`` after the start; ``text`` may hold control characters."""

    number: int
    at_ms: int
    fd: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one stream that follow each other, numbered from ``first`` on; the last has no line end."""

    first: int
    fd: int
    data: bytes


class Transcript:
    """The kept output of one run as numbered lines, of which only those asked for are ever assembled.

    A line belongs to the stream it was written on; its number counts lines of both streams in the order they ended.
    After the ``gap`` (start, length in bytes) numbers continue so that the last one is ``total_lines``. Invalid UTF-8
    is shown as ``‹xNN›``. An unfinished line counts only when the run has ``finished``. ``chunks`` come in the order of
    their offsets.
    """

    def __init__(self, chunks: Iterable[Chunk], *, gap: tuple[int, int], total_lines: int, finished: bool) -> None:
        kept = list(chunks)
        self._finished = finished
        self._gap = gap[1] > 0
        self._head = [chunk for chunk in kept if not self._gap or chunk.offset < gap[0]]
        self._tail = kept[len(self._head) :]
        self._head_lines = _count(self._head, finished and not self._gap)
        self._tail_lines = _count(self._tail, finished)
        self._tail_first = max(total_lines - self._tail_lines, self._head_lines) + 1
        self.last = self._tail_first + self._tail_lines - 1 if self._tail_lines else self._head_lines

    def page(self, from_line: int, limit: int) -> list[Line]:
        """Returns at most ``limit`` lines from number ``from_line``; a negative one counts kept lines from the end."""
        return list(islice(self._lines(self._place(from_line)), limit))

    def blocks(self) -> Iterator[Block]:
        """Yields the kept lines many at a time, as bytes, to be searched: of each stream what ended together."""
        yield from _blocks(self._head, self._finished and not self._gap, 1)
        yield from _blocks(self._tail, self._finished, self._tail_first)

    def _place(self, from_line: int) -> int:
        """Returns how many kept lines come before ``from_line``."""
        if from_line < 0:
            return max(self._head_lines + self._tail_lines + from_line, 0)
        if self._gap and from_line > self._head_lines:
            return self._head_lines + max(from_line - self._tail_first, 0)
        return max(from_line - 1, 0)

    def _lines(self, skip: int) -> Iterator[Line]:
        head = _assemble(self._head, self._finished and not self._gap, skip)
        for number, line in enumerate(head, start=skip + 1):
            yield Line(number, *line)
        skip = max(skip - self._head_lines, 0)
        for number, line in enumerate(_assemble(self._tail, self._finished, skip), start=self._tail_first + skip):
            yield Line(number, *line)


def _count(chunks: Iterable[Chunk], finished: bool) -> int:
    ended = 0
    unfinished: set[int] = set()
    for chunk in chunks:
        ended += chunk.data.count(b"\n")
        if chunk.data.endswith(b"\n"):
            unfinished.discard(chunk.fd)
        elif chunk.data:
            unfinished.add(chunk.fd)
    return ended + len(unfinished) if finished else ended


def _assemble(chunks: Iterable[Chunk], finished: bool, skip: int) -> Iterator[tuple[int, int, str]]:
    """Yields the lines after the first ``skip``. Chunks that hold only skipped lines are not cut up."""
    open_lines: dict[int, tuple[int, list[bytes]]] = {}
    for chunk in chunks:
        ends = chunk.data.count(b"\n")
        if 0 < ends <= skip:
            skip -= ends
            open_lines.pop(chunk.fd, None)
            complete, rest = [], chunk.data[chunk.data.rindex(b"\n") + 1 :]
        else:
            *complete, rest = chunk.data.split(b"\n")
        for part in complete:
            at_ms, pieces = open_lines.pop(chunk.fd, (chunk.at_ms, []))
            if skip:
                skip -= 1
            else:
                yield at_ms, chunk.fd, as_text(b"".join((*pieces, part)))
        if rest:
            at_ms, pieces = open_lines.setdefault(chunk.fd, (chunk.at_ms, []))
            pieces.append(rest)
    if finished:
        for fd, (at_ms, pieces) in islice(open_lines.items(), skip, None):
            yield at_ms, fd, as_text(b"".join(pieces))


def _blocks(chunks: Iterable[Chunk], finished: bool, number: int) -> Iterator[Block]:
    open_lines: dict[int, list[bytes]] = {}
    for chunk in chunks:
        cut = chunk.data.rfind(b"\n")
        if cut >= 0:
            block = Block(number, chunk.fd, b"".join((*open_lines.pop(chunk.fd, ()), chunk.data[:cut])))
            number += block.data.count(b"\n") + 1
            yield block
        if rest := chunk.data[cut + 1 :]:
            open_lines.setdefault(chunk.fd, []).append(rest)
    if finished:
        for at, (fd, pieces) in enumerate(open_lines.items()):
            yield Block(number + at, fd, b"".join(pieces))


def _show_invalid(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"‹x{byte:02X}›" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("opsconsole-show", _show_invalid)


def as_text(data: bytes) -> str:
    """Returns ``data`` decoded as UTF-8 with each undecodable byte as ``‹xNN›``; control characters stay."""
    return data.decode("utf-8", errors="opsconsole-show")
