"""How one output departs from another: a unified difference in hunks, in bounded time. Pure."""

import difflib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that differ with some around them. ``at`` is the header; each line has its sign (`` ``, ``-``, ``+``)."""

    at: str
    lines: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """``removed`` and ``added`` count lines. ``coarse``: it holds, but a longer look may have found a smaller one.
    ``cut``: there is more of it than ``hunks`` hold."""

    hunks: list[Hunk]
    added: int
    removed: int
    coarse: bool
    cut: bool

    @property
    def same(self) -> bool:
        """True when nothing differs."""
        return not self.added and not self.removed


_Change = tuple[Any, int, int, int, int]


class _Known(difflib.SequenceMatcher[str]):
    """Changes that are known, for what is made of them: hunks."""

    def __init__(self, changes: Sequence[_Change]) -> None:
        super().__init__()
        self._changes = list(changes)

    def get_opcodes(self) -> list[_Change]:
        """Returns the changes."""
        return self._changes


class _Bounded(difflib.SequenceMatcher[str]):
    """Stops to look for lines in common once the time is over; what is left then counts as replaced."""

    def __init__(self, ours: Sequence[str], theirs: Sequence[str], seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.coarse = False
        super().__init__(None, ours, theirs)

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        """Returns the longest lines in common, or none once the time is over."""
        if time.monotonic() > self._until:
            self.coarse = True
            return difflib.Match(alo, blo, 0)
        return super().find_longest_match(alo, ahi, blo, bhi)


def difference(
    ours: Sequence[str], theirs: Sequence[str], *, seconds: float = 1.0, lines_at_most: int = 2000
) -> Difference:
    """Returns what ``theirs`` says otherwise than ``ours``, after at most about ``seconds`` of looking."""
    head = _common(ours, theirs)
    tail = _common(ours[head:][::-1], theirs[head:][::-1])
    matcher = _Bounded(ours[head : len(ours) - tail], theirs[head : len(theirs) - tail], seconds)
    changes = [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in matcher.get_opcodes()]
    removed = sum(b - a for tag, a, b, _, _ in changes if tag != "equal")
    added = sum(d - c for tag, _, _, c, d in changes if tag != "equal")
    hunks: list[Hunk] = []
    room = lines_at_most
    for group in _Known(_around(changes, len(ours), len(theirs))).get_grouped_opcodes(_CONTEXT):
        if all(change[0] == "equal" for change in group):
            break
        if room <= 0:
            break
        lines = [
            line
            for tag, a, b, c, d in group
            for line in ([(" ", text) for text in ours[a:b]] if tag == "equal" else _changed(ours[a:b], theirs[c:d]))
        ]
        hunks.append(Hunk(_header(group), lines[:room]))
        room -= len(lines)
    return Difference(hunks, added, removed, matcher.coarse, room < 0 or _told(hunks) < added + removed)


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    for count, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return count
    return min(len(ours), len(theirs))


def _changed(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, str]]:
    return [*(("-", text) for text in ours), *(("+", text) for text in theirs)]


def _told(hunks: Sequence[Hunk]) -> int:
    return sum(sign != " " for hunk in hunks for sign, _ in hunk.lines)


def _around(changes: Sequence[_Change], ours: int, theirs: int) -> list[_Change]:
    """Returns the changes with the equal lines between and around them each in one piece."""
    whole: list[_Change] = []
    a, b = 0, 0
    for change in (*changes, ("end", ours, ours, theirs, theirs)):
        if change[0] == "equal":
            continue
        if change[1] > a:
            whole.append(("equal", a, change[1], b, change[3]))
        if change[0] != "end":
            whole.append(change)
        a, b = change[2], change[4]
    return whole


def _header(group: Sequence[_Change]) -> str:
    return f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@"


def _range(start: int, stop: int) -> str:
    length = stop - start
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"
