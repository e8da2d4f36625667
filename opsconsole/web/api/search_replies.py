"""What the API gives about searches, field by field."""

from pydantic import Field

from opsconsole.web.api.replies import Answer


class Hit(Answer):
    """A line with a hit: its number, its stream, its ``text`` from character ``from_char`` on without terminal
    sequences, and the places in it as ``[start, end]`` in characters."""

    n: int
    fd: int
    text: str
    from_char: int
    spans: list[tuple[int, int]]


class HostHits(Answer):
    """A host with hits: how many ``lines`` have one, and some of these."""

    i: int
    host: str
    state: str
    lines: int
    hits: list[Hit]


class Search(Answer):
    """What a search found. ``searched`` hosts of ``hosts`` are ``with`` a hit or ``without`` one; ``lines`` counts the
    lines that have one, ``totals`` counts them for each host as ``[index, lines]``. ``rows`` is a page of those hosts
    and ``next`` the ``cursor`` of the next. ``complete`` is false while not every host was searched."""

    q: str
    re: bool
    case: bool
    ver: int
    hosts: int
    searched: int
    complete: bool
    with_: int = Field(alias="with")
    without: int
    lines: int
    totals: list[tuple[int, int]]
    rows: list[HostHits]
    next: int | None
