"""The chart of when hosts ran, for a terminal: a row for each slot or host, a column for each stretch of time."""

from collections.abc import Iterator, Sequence
from typing import Any

from opsconsole.cli.board import BAR_GLYPHS, duration
from opsconsole.cli.client import Body, ConsoleClient
from opsconsole.cli.terminal import harmless
from opsconsole.jobs.packing import Rows

_NAME_CHARS = 28
_AT_ONCE = 200
_TROUBLE = "fkul"
_MARKS = {
    "canary": "canary passed",
    "wave": "next wave",
    "waits": "waits for a person",
    "held": "console stopped",
    "lifted": "stop of the console lifted",
}


def read(client: ConsoleClient, job: int, rows: str, limit: int, *, bins: int = 60) -> Iterator[Body]:
    """Yields the chart of ``job`` as the API tells it, in pieces of at most 200 rows, ``limit`` in all."""
    first = 0
    while True:
        count = min(limit - first, _AT_ONCE)
        told = client.get(f"jobs/{job}/timeline/bars", rows=rows, bins=min(bins, _AT_ONCE), first=first, count=count)
        yield told
        first += len(told["bars"])
        if first >= min(limit, told["total"]):
            return


def chart(client: ConsoleClient, job: int, *, rows: str, limit: int, width: int) -> Iterator[str]:
    """Yields the lines of the chart of ``job``: at most ``limit`` rows of ``width`` characters."""
    hosts = client.get(f"jobs/{job}/roster")["hosts"]
    columns = min(max(width - _NAME_CHARS - 12, 20), _AT_ONCE)
    span = 0
    for told in read(client, job, rows, limit, bins=columns):
        if not span:
            span = told["to"]
            yield f"{duration(span / 1000)}; {told['total']} {'row' if told['total'] == 1 else 'rows'}"
            yield _row("ended", "", _counts(told["finishes"], "".join(BAR_GLYPHS)))
            yield _row("in trouble", "", _counts(told["finishes"], _TROUBLE))
        for at, row in enumerate(told["bars"], start=told["first"] + 1):
            name, took = (f"slot {at}", "") if rows == Rows.SLOTS else _of_host(hosts, row, told["until"])
            yield _row(name, took, _drawn(row, span, columns))
    for mark in told["marks"]:
        yield f"{duration(mark['at'] / 1000):>{_NAME_CHARS}}  {_MARKS.get(mark['kind'], mark['kind'])}"


def _of_host(hosts: Sequence[str], row: Sequence[Sequence[Any]], until: int) -> tuple[str, str]:
    i, _, start, end, _ = row[-1]
    return hosts[i], duration(((until if end is None else end) - start) / 1000)


def _row(name: str, took: str, drawn: str) -> str:
    name = harmless(name)
    name = name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"
    return f"{name:<{_NAME_CHARS}} {took:>10} {drawn}".rstrip()


def _counts(finishes: Sequence[dict[str, int]], letters: str) -> str:
    sums = [sum(count for letter, count in found.items() if letter in letters) for found in finishes]
    return "".join(" " if not count else str(count) if count < 10 else "#" for count in sums)


def _drawn(row: Sequence[Sequence[Any]], span: int, columns: int) -> str:
    cells = [" "] * columns
    for _, letter, start, end, _ in row:
        last = columns - 1 if end is None else min(end * columns // span, columns - 1)
        for at in range(min(start * columns // span, columns - 1), last + 1):
            # Trouble of no length is trouble: what went well does not draw over it.
            if letter != "o" or cells[at] == " ":
                cells[at] = BAR_GLYPHS[letter]
    return "".join(cells)
