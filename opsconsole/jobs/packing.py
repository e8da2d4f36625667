"""When hosts ran, as a chart: bars in rows, one for each slot or host, and how many ended in each stretch of time.

All times are whole milliseconds since the job began. Nothing here reads or writes anything.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_TROUBLE = frozenset("fkul")
_SLOWEST = 100
# What is still running has no end; it takes its row for good.
_NEVER = 2**62


class Rows(StrEnum):
    """What a row of the chart stands for."""

    SLOTS = "slots"
    SLOWEST = "slowest"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt at the host with index ``i``; ``end`` is ``None`` while it goes on, ``letter`` is its state."""

    i: int
    letter: str
    start: int
    end: int | None
    attempt: int = 1
    last: bool = True

    def length(self, now: int) -> int:
        """Returns how long it took, or has taken until ``now``."""
        return (now if self.end is None else self.end) - self.start


def packed(bars: Iterable[Bar]) -> list[list[Bar]]:
    """Returns ``bars`` in as few rows as there were at most at a time, none over another in its row.

    Each takes the topmost row that was free when it began, so what lies in the past keeps its place as a job goes on.
    """
    rows: list[list[Bar]] = []
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for bar in sorted(bars, key=lambda bar: (bar.start, bar.i, bar.attempt)):
        while busy and busy[0][0] <= bar.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            row = heapq.heappop(free)
            rows[row].append(bar)
        else:
            row = len(rows)
            rows.append([bar])
        # Even what took no time keeps its row for a moment, or bars would lie over each other.
        end = _NEVER if bar.end is None else max(bar.end, bar.start + 1)
        heapq.heappush(busy, (end, row))
    return rows


def in_rows(bars: Sequence[Bar], kind: Rows, now: int) -> list[list[Bar]]:
    """Returns the rows of a chart: packed into slots, or one host a row with all its attempts, the hundred slowest or
    all in trouble, in the order in which they came to it."""
    if kind is Rows.SLOTS:
        return packed(bars)
    last = [bar for bar in bars if bar.last]
    if kind is Rows.SLOWEST:
        chosen = sorted(last, key=lambda bar: (-bar.length(now), bar.i))[:_SLOWEST]
    else:
        chosen = sorted(
            (bar for bar in last if bar.letter in _TROUBLE),
            key=lambda bar: (now if bar.end is None else bar.end, bar.i),
        )
    of_host: dict[int, list[Bar]] = defaultdict(list)
    for bar in bars:
        of_host[bar.i].append(bar)
    return [sorted(of_host[bar.i], key=lambda one: one.attempt) for bar in chosen]


def within(row: Iterable[Bar], start: int, end: int) -> list[Bar]:
    """Returns the bars of a row of which some lies in ``[start, end]``."""
    return [bar for bar in row if bar.start <= end and (bar.end is None or bar.end >= start)]


def finishes(bars: Iterable[Bar], start: int, end: int, bins: int) -> list[dict[str, int]]:
    """Returns for each of ``bins`` equal stretches of ``[start, end)`` how many hosts ended in it, by state letter."""
    counts: list[Counter[str]] = [Counter() for _ in range(bins)]
    for bar in bars:
        if bar.last and bar.end is not None and start <= bar.end < end:
            counts[(bar.end - start) * bins // (end - start)][bar.letter] += 1
    return [dict(count) for count in counts]
