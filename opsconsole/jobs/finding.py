"""Which lines of an output a text or a regular expression is found in. Pure.

RE2 takes time in proportion to expression and text, whatever is written; it never crosses the end of a line here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs.output import without_escapes
from opsconsole.jobs.transcript import Block, Transcript, as_text
from opsconsole.sentences import Sentence

MAX_TEXT = 500
# One expression's compiled form may take this much memory; RE2 refuses what would need more.
_MEMORY_BYTES = 1 << 20
# Of a long line so much is shown around the first place, and so many places are told.
_SHOWN_CHARS = 1000
_BEFORE_CHARS = 200
_MAX_SPANS = 100
# Ends of the whole text rather than of a line; there is no whole text, only pieces of it.
_WHOLE_TEXT = re.compile(r"(?<!\\)(?:\\\\)*\\[Az]|\(\?[a-zA-Z]*-[a-zA-Z]*m")
_HINT = "RE2 syntax: no look-around, no back-references, at most 1000 repetitions."


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that something is found in. ``text`` is without terminal sequences and begins at ``from_char`` of the
    line; ``spans`` are the places in ``text`` as start and end, counted in characters."""

    number: int
    fd: int
    text: str
    from_char: int
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: a piece of text or a regular expression (``regex``), in lines of their own; ``^`` and ``$``
    are the ends of a line. Two that ask the same are equal."""

    text: str
    regex: bool = False
    case: bool = False

    def __post_init__(self) -> None:
        if not self.text or len(self.text) > MAX_TEXT:
            raise _invalid(Sentence("Give a text of 1 to {limit} characters to search for.", limit=MAX_TEXT))
        _compiled(self)

    def lines(self, blocks: Iterator[Block], go_on: Callable[[], bool]) -> Iterator[tuple[Block, int, int, int]]:
        """Yields for each line with a hit the block it is in, its number, and where it begins and ends there.

        Raises ``TimeoutError`` as soon as ``go_on`` says no; it is asked at least once for each block.
        """
        _, rest_of_line = _compiled(self)
        for block in blocks:
            if not go_on():
                raise TimeoutError
            data, number, counted, end = block.data, block.first, 0, -1
            for match in rest_of_line.finditer(data):
                at = match.start()
                # What is not UTF-8 ends a match before the line does.
                if at <= end:
                    continue
                number += data.count(b"\n", counted, at)
                start = data.rfind(b"\n", 0, at) + 1
                end = data.find(b"\n", at)
                end = len(data) if end < 0 else end
                counted = at
                yield block, number, start, end

    def hit(self, block: Block, number: int, start: int, end: int) -> Hit:
        """Returns a line that ``lines`` told, with the places in it."""
        line = block.data[start:end]
        found, _ = _compiled(self)
        spans: list[tuple[int, int]] = []
        chars, counted = 0, 0
        for match in found.finditer(line):
            chars += len(as_text(line[counted : match.start()]))
            length = len(as_text(line[match.start() : match.end()]))
            spans.append((chars, chars + length))
            chars, counted = chars + length, match.end()
            if len(spans) == _MAX_SPANS:
                break
        text = as_text(line)
        first = 0
        if len(text) > _SHOWN_CHARS:
            first = max(spans[0][0] - _BEFORE_CHARS, 0) if spans else 0
            text = text[first : first + _SHOWN_CHARS]
        shown = [(a - first, min(b - first, len(text))) for a, b in spans if a - first < len(text) and b > a]
        return Hit(number, block.fd, text, first, tuple(shown))


def readable(said: Transcript) -> Iterator[Block]:
    """Yields the lines of an output as people read them: without terminal sequences."""
    for block in said.blocks():
        if b"\x1b" not in block.data and b"\xc2\x9b" not in block.data:
            yield block
            continue
        lines = (_plain(line) if b"\x1b" in line or b"\xc2\x9b" in line else line for line in block.data.split(b"\n"))
        yield Block(block.first, block.fd, b"\n".join(lines))


def _plain(line: bytes) -> bytes:
    return without_escapes(line.decode(errors="surrogateescape")).encode(errors="surrogateescape")


@lru_cache(maxsize=64)
def _compiled(wanted: Wanted) -> tuple[Any, ...]:
    """Returns what finds each place, and what finds a place with all that comes after it in its line."""
    if wanted.regex and _WHOLE_TEXT.search(wanted.text):
        raise _invalid("Write ^ and $ for the ends of a line; \\A, \\z and (?-m) are not understood.")
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_nl = True
    options.never_capture = True
    options.case_sensitive = wanted.case
    text = wanted.text if wanted.regex else re2.escape(wanted.text)
    try:
        # An expression has to be one by itself: ")(" would become one within the parentheses.
        re2.compile(text.encode(), options)
        return tuple(re2.compile(one.encode(), options) for one in (f"(?m:{text})", f"(?m:{text}).*"))
    except (re2.error, UnicodeEncodeError):
        raise _invalid(
            "This is not a regular expression." if wanted.regex else "This cannot be searched for."
        ) from None


def _invalid(message: str) -> Invalid:
    return Invalid(message, errors=[FieldError("q", message, code="bad_regex", hint=_HINT)])
