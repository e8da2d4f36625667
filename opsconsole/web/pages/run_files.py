"""How the Run page's form says which files go where: repeated fields as they are sent, and as one text in between."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from opsconsole.jobs.order import Order

# Files are carried instead of a command being run.
FILES = "files"
_PARTS = ("file", "to", "mode", "owner")
_BLANK_ROWS = 2
_MOST_ROWS = 2000


@runtime_checkable
class Several(Protocol):
    """Values of which a name may have several."""

    def getlist(self, key: str) -> list[str]:
        """Returns all values of a name."""


def read(values: Mapping[str, str]) -> str:
    """Returns the rows of a form that was sent, as the text that ``rows`` reads."""
    if not isinstance(values, Several):
        return values.get("push", "")
    columns = [values.getlist(f"push_{part}") for part in _PARTS]
    rows = [dict(zip(_PARTS, (text.strip() for text in row), strict=True)) for row in zip(*columns, strict=False)]
    return written([row for row in rows[:_MOST_ROWS] if row["file"] or row["to"]])


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of a form that begins with the files that an address names."""
    digests = values.getlist("file") if isinstance(values, Several) else []
    if not digests:
        return {}
    return {"kind": FILES, "push": written([{"file": sha256, "to": ""} for sha256 in digests[:_MOST_ROWS]])}


def written(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns rows as a text."""
    said = [{part: str(row[part]) for part in _PARTS if row.get(part)} for row in rows]
    return json.dumps(said) if said else ""


def rows(text: str) -> list[dict[str, str]]:
    """Returns the rows that ``written`` wrote."""
    found: list[dict[str, str]] = json.loads(text) if text else []
    return found


def shown(text: str) -> list[dict[str, str]]:
    """Returns the rows for a form, and some that are empty."""
    return [*rows(text), *({} for _ in range(_BLANK_ROWS))]


def fields_of(order: Order) -> dict[str, str]:
    """Returns the form's fields that mean the files of ``order``."""
    kind = {"kind": FILES} if order.push or order.pull else {}
    made = "yes" if order.make_folders else ""
    return {"push": written(order.push or ()), "pull": "\n".join(order.pull or ()), "make_folders": made, **kind}


def asked(kind: str, push: str, pull: str, make_folders: str) -> dict[str, Any]:
    """Returns what the fields mean, by the names of an order; nothing while a command is written."""
    if kind != FILES:
        return {}
    paths = [line.strip() for line in pull.splitlines() if line.strip()]
    return {"push": rows(push) or None, "pull": paths or None, "make_folders": True if make_folders else None}
