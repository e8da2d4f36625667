"""The values that an order's variables have on its hosts."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import fold
from opsconsole.jobs.carried import path_of_host
from opsconsole.jobs.placing import Located
from opsconsole.jobs.variables import needs_quotes, quoted_already, render, touches, used
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence


def fill(
    located: Sequence[Located], rows: Sequence[Mapping[str, Any]], command: str, what: What
) -> list[dict[str, str] | None]:
    """Returns the values of the variables on each host, in the order of the roster; ``None`` when the order is sent as
    it was written.

    ``rows`` are the columns of the host runs that say where. Raises ``Invalid`` for a variable that there is not, for a
    tag that a host does not have, and for a value that cannot be quoted where it would stand.
    """
    names = used(command, what)
    if not touches(command, what):
        return [None] * len(rows)
    filled: list[dict[str, str]] = [_values(names, item, row) for item, row in zip(located, rows, strict=True)]
    for name in sorted(names):
        _refuse_empty(name, [row["host"] for row, values in zip(rows, filled, strict=True) if not values.get(name)])
    for name, field in sorted(quoted_already(command, what).items()):
        odd = [row["host"] for row, values in zip(rows, filled, strict=True) if needs_quotes(values[name])]
        if odd:
            message = Sentence(
                "The value of {{{name}}} on {hosts} needs quotes, and stands inside others: write it "
                "outside of them, or put it into a variable of the environment.",
                name=name,
                hosts=fold(odd)[:200],
            )
            raise Invalid(message, errors=[FieldError(field, message, code="variable_in_quotes")])
    if what.carries:
        _refuse_other_folders(names, rows, filled)
    return list(filled)


def _refuse_other_folders(
    names: frozenset[str], rows: Sequence[Mapping[str, Any]], filled: Sequence[Mapping[str, str]]
) -> None:
    for name in sorted(names):
        odd = [row["host"] for row, values in zip(rows, filled, strict=True) if not path_of_host(values[name])]
        if odd:
            message = Sentence(
                "The value of {{{name}}} on {hosts} is more than a part of one file's name.",
                name=name,
                hosts=fold(odd)[:200],
            )
            raise Invalid(message, errors=[FieldError("push", message, code="variable_in_path")])


def example(
    rows: Sequence[Mapping[str, Any]], filled: Sequence[dict[str, str] | None], command: str, what: What
) -> dict[str, str] | None:
    """Returns what the first host would be given, ``None`` when that is the order as it was written."""
    if not rows or filled[0] is None:
        return None
    text, _ = render(command, what, filled[0])
    return {"host": rows[0]["host"], "command": text, "values": " ".join(f"{k}={v}" for k, v in filled[0].items())}


def _values(names: frozenset[str], item: Located, row: Mapping[str, Any]) -> dict[str, str]:
    tags = item.entry.tags if item.entry else {}
    host = {
        "host.name": item.spec.name,
        "host.address": row["address"],
        "host.port": row["port"],
        "n": row["i"] + 1,
    }
    known = {name: host.get(name, tags.get(name.removeprefix("tag."))) for name in sorted(names)}
    return {name: str(value) for name, value in known.items() if value is not None}


def _refuse_empty(name: str, hosts: Sequence[str]) -> None:
    if hosts:
        message = Sentence(
            "{hosts} has no {tag!r}, which {{{name}}} stands for.",
            hosts=fold(hosts)[:200],
            tag=name.removeprefix("tag."),
            name=name,
        )
        raise Invalid(message, errors=[FieldError("command", message, code="no_value")])
