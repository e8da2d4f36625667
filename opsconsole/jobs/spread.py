"""What the hosts of one group say differently: the values of each reading, with how many hosts had them. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsconsole.jobs.similarity import Own, clean, readings

_VALUES_TOLD = 10
_FIELDS_TOLD = 200
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+(?:[.,]\d+)?")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_SIZE = re.compile(r"([\d.,]+) ?([kKMGTPE]?)(i?)(?:B|bit|[Bb]ytes?)?")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "mo": 2629746,
    "y": 31556952,
}
_PART = re.compile(r"(\d+(?:\.\d+)?) ?(ns|us|µs|ms|mo|[smhdwy])")
_CLOCK = re.compile(r"(\d+):(\d\d)$")


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading that varies: in which line (its text with all readings masked), of what kind, and its values."""

    line: str
    kind: str
    distinct: int
    values: list[tuple[str, int]]
    # The smallest, the middle and the largest value as the hosts wrote them, where the kind has an order.
    least: str | None
    median: str | None
    most: str | None


def spread(outputs: Iterable[tuple[int, Sequence[str], Own]]) -> list[Reading]:
    """Returns the readings that are not the same on all hosts, in the order of the output.

    ``outputs`` are lines that only differ in readings, each with how many hosts said just that, and their names.
    """
    places: list[tuple[str, str]] = []
    counted: list[Counter[str]] = []
    for count, lines, own in outputs:
        place = 0
        for line in lines:
            template, found = readings(clean(line), own)
            for kind, text in found:
                if place == len(places):
                    places.append((template, kind))
                    counted.append(Counter())
                counted[place][text] += count
                place += 1
    varying = [(where, values) for where, values in zip(places, counted, strict=True) if len(values) > 1]
    return [_reading(line, kind, values) for (line, kind), values in varying[:_FIELDS_TOLD]]


def _reading(line: str, kind: str, values: Counter[str]) -> Reading:
    ordered = _ordered(kind, values)
    told = sorted(((text, values[text]) for text in ordered or sorted(values)), key=lambda item: -item[1])[
        :_VALUES_TOLD
    ]
    ends = (ordered[0], _middle(ordered, values), ordered[-1]) if ordered else (None, None, None)
    return Reading(line, kind, len(values), told, *ends)


def _ordered(kind: str, values: Counter[str]) -> list[str]:
    measure = {"bytes": _bytes, "duration": seconds_of, "percent": _number, "load": _number, "users": _number}.get(kind)
    measure = _number if kind == "count" else measure
    if measure is None:
        return []
    sizes = {text: measure(text) for text in values}
    known = {text: size for text, size in sizes.items() if size is not None}
    return sorted(known, key=lambda text: known[text]) if len(known) == len(sizes) else []


def _middle(ordered: Sequence[str], values: Counter[str]) -> str:
    """Returns the value of the host in the middle; of two, the lower one."""
    left = (values.total() - 1) // 2
    for text in ordered:
        left -= values[text]
        if left < 0:
            return text
    return ordered[-1]


def _number(text: str) -> float | None:
    found = _NUMBER.match(text)
    if found is None:
        return None
    digits = found[0]
    return float(digits.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", digits) else digits.replace(",", "."))


def _bytes(text: str) -> float | None:
    found = _SIZE.fullmatch(text)
    number = _number(text)
    if found is None or number is None:
        return None
    # A bare letter, as of ``df -h``, is of 1024, as ``KiB`` is; ``kB`` is of 1000.
    base = 1024 if found[3] or not text.rstrip().endswith(("B", "bit", "bytes", "byte")) else 1000
    return float(number * base ** _POWERS.get(found[2].lower(), 0))


def seconds_of(text: str) -> float | None:
    """Returns the length of a written duration (``1h 3min``, ``3 days, 2:03``) in seconds; ``None`` for another."""
    clock = _CLOCK.search(text)
    total = int(clock[1]) * 3600 + int(clock[2]) * 60 if clock else 0
    parts = _PART.findall(text)
    if not parts and clock is None:
        return None
    return total + sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
