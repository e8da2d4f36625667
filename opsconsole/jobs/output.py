"""Output of one run: bounded while it arrives, bytes until somebody reads it as text. Pure."""

import hashlib
import re
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

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
            if _shown(line):
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
        """The last line with something on it, as display text of at most 200 characters: of what a line was written
        over with carriage returns, as progress is shown, the last."""
        for part in (*self._open.values(), self._last):
            if shown := _shown(part):
                return shown[:_LAST_LINE_CHARS]
        return None

    def digests(self, exit_text: str) -> Digests:
        """Returns hashes that two runs share only with the same ``exit_text``, stdout and stderr, kept or not."""
        return Digests(digest_of(exit_text, self._digests[STDOUT].digest(), self._digests[STDERR].digest()))


def _shown(line: bytes) -> str:
    return next((shown for part in reversed(line.split(b"\r")) if (shown := display(part).strip())), "")


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
