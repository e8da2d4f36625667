"""Names with ranges in brackets, such as ``dc[1-2]n[01-99/2]``: counted by arithmetic, expanded only afterwards."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ClusterShell.RangeSet import RangeSet

from opsconsole.hostset.faults import Fault, shown
from opsconsole.sentences import Sentence

# Counts above this are all the same "far too many"; stopping here keeps the numbers small.
COUNT_CEILING = 10**12
MAX_DIGITS = 18
_BRACKET = re.compile(r"\[([^\]]*)\]")
_PART = re.compile(r"[ \t]*([0-9]+)(?:[ \t]*-[ \t]*([0-9]+)(?:/([0-9]+))?)?[ \t]*")
_COLON_RANGE = re.compile(r"([0-9]+):([0-9]+)(?::([0-9]+))?")
_DOT_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_LETTERS = re.compile(r"([A-Za-z])[-:]([A-Za-z])")


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a bracket: ``first`` to ``last`` by ``step``, padded with zeros to ``width`` digits."""

    first: int
    last: int
    step: int
    width: int

    @property
    def count(self) -> int:
        """How many numbers it names."""
        return (self.last - self.first) // self.step + 1

    def expand(self) -> Iterator[str]:
        """Yields the numbers as text, in rising order."""
        low = f"{self.first:0{self.width}d}"
        if self.count == 1:
            return iter((low,))
        return iter(RangeSet(f"{low}-{self.last:0{self.width}d}/{self.step}"))


@dataclass(frozen=True, slots=True)
class Literal:
    """Text between brackets, and where it starts in the expression."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text with brackets, taken apart."""

    segments: tuple[Literal | tuple[Part, ...], ...]

    @property
    def literals(self) -> tuple[Literal, ...]:
        """The texts outside of the brackets."""
        return tuple(segment for segment in self.segments if isinstance(segment, Literal))

    @property
    def count(self) -> int:
        """How many texts it stands for, repeated ones included; no more than COUNT_CEILING is told apart."""
        total = 1
        for segment in self.segments:
            if not isinstance(segment, Literal):
                total = min(total * sum(part.count for part in segment), COUNT_CEILING)
        return total

    def expand(self) -> Iterator[str]:
        """Yields every text in the order written, the last bracket turning fastest. Ask ``count`` first."""
        columns = [
            (segment.text,)
            if isinstance(segment, Literal)
            else tuple(itertools.chain.from_iterable(part.expand() for part in segment))
            for segment in self.segments
        ]
        return map("".join, itertools.product(*columns))


def parse_template(text: str, at: int) -> Template:
    """Takes a text with closed, unnested brackets apart; ``at`` is its place in the expression. Raises Fault."""
    segments: list[Literal | tuple[Part, ...]] = []
    end = 0
    for bracket in _BRACKET.finditer(text):
        if bracket.start() > end:
            segments.append(Literal(text[end : bracket.start()], at + end))
        segments.append(_parts(bracket[1], at + bracket.start()))
        end = bracket.end()
    if end < len(text):
        segments.append(Literal(text[end:], at + end))
    return Template(tuple(segments))


def _parts(content: str, at: int) -> tuple[Part, ...]:
    if not content.strip():
        raise Fault("empty_range", "There is nothing between the brackets.", at, "Write a range: [1-3].")
    parts = []
    offset = at + 1
    for text in content.split(","):
        parts.append(_part(text, offset))
        offset += len(text) + 1
    return tuple(parts)


def _part(text: str, at: int) -> Part:
    found = _PART.fullmatch(text)
    if found is None:
        raise Fault("bad_range", Sentence("{text} is not a range.", text=shown(text)), at, _hint(text.strip()))
    low, high, step = found[1], found[2] or found[1], found[3] or "1"
    if max(len(low), len(high), len(step)) > MAX_DIGITS:
        raise Fault("bad_range", Sentence("A number has more than {limit} digits.", limit=MAX_DIGITS), at, None)
    if int(high) < int(low):
        raise Fault(
            "reversed_range",
            Sentence("The range {text} runs backwards.", text=shown(text)),
            at,
            Sentence("Write [{high}-{low}].", high=high, low=low),
        )
    if int(step) == 0:
        raise Fault(
            "bad_range",
            "A step of 0 never ends.",
            at,
            Sentence("Write [{low}-{high}], or a step of 1 or more.", low=low, high=high),
        )
    if len(low) != len(high) and (_padded(low) or _padded(high)):
        width = max(len(low), len(high))
        hint = Sentence(
            "Write [{padded_low}-{padded_high}] or [{low}-{high}].",
            padded_low=low.zfill(width),
            padded_high=high.zfill(width),
            low=int(low),
            high=int(high),
        )
        raise Fault("padding", Sentence("The two ends of {text} are padded differently.", text=shown(text)), at, hint)
    return Part(int(low), int(high), int(step), len(low) if _padded(low) else 1)


def _padded(number: str) -> bool:
    return len(number) > 1 and number.startswith("0")


def _hint(text: str) -> str:
    if found := _COLON_RANGE.fullmatch(text):
        step = f"/{found[3]}" if found[3] else ""
        return Sentence("Ranges are written with a dash: [{low}-{high}{step}].", low=found[1], high=found[2], step=step)
    if found := _DOT_RANGE.fullmatch(text):
        return Sentence("Ranges are written with a dash: [{low}-{high}].", low=found[1], high=found[2])
    if found := _LETTERS.fullmatch(text):
        return Sentence("Ranges take numbers only; write the names out: n{low},…,n{high}.", low=found[1], high=found[2])
    if not text:
        return "Write a number or a range between the commas: [1,3-5]."
    return "Write numbers: [1-3], [01-10], [1-9/2] or [1,5,7-9]."
