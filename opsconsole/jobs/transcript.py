"""The kept output of a run read back: numbered lines as text, and pieces of many lines to be searched. Pure."""

import codecs
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice, takewhile

from opsconsole.jobs.output import Chunk


class Encoding(StrEnum):
    """How a host's bytes are read as text. Nothing tells; most are UTF-8."""

    UTF8 = "utf-8"
    GBK = "gbk"


# GB 18030 reads all of GBK and GB 2312, and more.
_CODECS = {Encoding.UTF8: "utf-8", Encoding.GBK: "gb18030"}


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
    After the ``gap`` (start, length in bytes) numbers continue so that the last one is ``total_lines``; the first of
    them has an ellipsis before it, as its beginning fell into the gap. What is invalid in ``encoding`` is shown as
    ``‹xNN›``. An unfinished line counts only when the run has ``finished``. ``chunks`` come in the order of their
    offsets.
    """

    def __init__(
        self,
        chunks: Iterable[Chunk],
        *,
        gap: tuple[int, int],
        total_lines: int,
        finished: bool,
        encoding: Encoding = Encoding.UTF8,
    ) -> None:
        kept = list(chunks)
        self._encoding = encoding
        self._finished = finished
        self._gap = gap[1] > 0
        self._head = [chunk for chunk in kept if not self._gap or chunk.offset < gap[0]]
        self._tail = kept[len(self._head) :]
        self._head_lines = _count(self._head, finished and not self._gap)
        self._tail_lines = _count(self._tail, finished)
        self._tail_first = max(total_lines - self._tail_lines, self._head_lines) + 1
        self.last = self._tail_first + self._tail_lines - 1 if self._tail_lines else self._head_lines

    def page(self, from_line: int, limit: int, *, fd: int | None = None) -> list[Line]:
        """Returns at most ``limit`` lines from number ``from_line``, with ``fd`` those of this stream alone; a negative
        one counts kept lines, or the stream's, from the end."""
        if fd is not None and from_line < 0:
            return list(deque(self._lines(0, fd), maxlen=-from_line))[:limit]
        return list(islice(self._lines(self._place(from_line), fd), limit))

    def before(self, line: int, limit: int, *, fd: int | None = None) -> list[Line]:
        """Returns the last ``limit`` kept lines with a number below ``line``, with ``fd`` those of this stream."""
        place = min(self._place(line), self._head_lines + self._tail_lines)
        skip = max(place - limit, 0) if fd is None else 0
        return list(deque(takewhile(lambda kept: kept.number < line, self._lines(skip, fd)), maxlen=limit))

    def blocks(self) -> Iterator[Block]:
        """Yields the kept lines many at a time, as UTF-8, to be searched: of each stream what ended together."""
        kept = (
            _blocks(self._head, self._finished and not self._gap, 1),
            _blocks(self._tail, self._finished, self._tail_first),
        )
        for block in chain(*kept):
            if self._encoding is Encoding.UTF8:
                yield block
            else:
                # No byte of another character is a line end in these encodings, so lines stay lines.
                yield replace(block, data=as_text(block.data, self._encoding).encode(errors="replace"))

    def _place(self, from_line: int) -> int:
        """Returns how many kept lines come before ``from_line``."""
        if from_line < 0:
            return max(self._head_lines + self._tail_lines + from_line, 0)
        if self._gap and from_line > self._head_lines:
            return self._head_lines + max(from_line - self._tail_first, 0)
        return max(from_line - 1, 0)

    def _lines(self, skip: int, fd: int | None = None) -> Iterator[Line]:
        head = enumerate(_assemble(self._head, self._finished and not self._gap, skip), start=skip + 1)
        skip = max(skip - self._head_lines, 0)
        tail = enumerate(_assemble(self._tail, self._finished, skip), start=self._tail_first + skip)
        for number, line in chain(head, tail):
            if fd in {None, line[1]}:
                yield self._line(number, *line)

    def _line(self, number: int, at_ms: int, fd: int, data: bytes) -> Line:
        torn = "…" if self._gap and number == self._tail_first else ""
        return Line(number, at_ms, fd, torn + as_text(data, self._encoding))


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


def _assemble(chunks: Iterable[Chunk], finished: bool, skip: int) -> Iterator[tuple[int, int, bytes]]:
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
                yield at_ms, chunk.fd, b"".join((*pieces, part))
        if rest:
            at_ms, pieces = open_lines.setdefault(chunk.fd, (chunk.at_ms, []))
            pieces.append(rest)
    if finished:
        for fd, (at_ms, pieces) in islice(open_lines.items(), skip, None):
            yield at_ms, fd, b"".join(pieces)


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


def as_text(data: bytes, encoding: Encoding = Encoding.UTF8) -> str:
    """Returns ``data`` decoded with each undecodable byte as ``‹xNN›``; control characters stay."""
    return data.decode(_CODECS[encoding], errors="opsconsole-show")
