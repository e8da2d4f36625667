"""What the API gives about the hosts of a job, field by field."""

from typing import Any

from opsconsole.web.api.answers import Answer


class HostRow(Answer):
    """The command on one host."""

    i: int
    host: str
    state: str
    reason: str | None
    exit: int | None
    signal: str | None
    ms: int | None
    attempt: int
    executor: str
    bytes: int
    lines: int
    done_bytes: int | None
    total_bytes: int | None
    last_line: str | None
    wave: int
    step: str | None
    held: bool
    look: dict[str, Any] | None
    variables: dict[str, str] | None
    values: dict[str, str | None] | None = None


class Column(Answer):
    """A column and what the hosts have in it: ``common`` values with how many hosts have each; of the ``numbers`` among
    them the least, the (lower) median and the greatest, as a host wrote them."""

    name: str
    source: str
    filled: int
    missing: int
    distinct: int
    common: list[tuple[str, int]]
    numbers: int
    min: str | None
    median: str | None
    max: str | None


class HostRows(Answer):
    """A page of rows; give ``next`` as ``cursor`` for the following one. Where columns are asked for, they are told
    with their sums over all the hosts, and each row has ``values`` by their names."""

    rows: list[HostRow]
    total: int
    next: str | None
    columns: list[Column] | None = None
