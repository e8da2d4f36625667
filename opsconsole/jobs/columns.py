"""Columns made of what hosts wrote: a place in JSON, the value of a key, the groups of an expression, a cell. Pure.

Each asks for one value of a host's output. Whatever somebody asks for, the work is in proportion to the output.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import count, islice
from typing import Any

import re2  # type: ignore[import-untyped]

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs.output import without_escapes
from opsconsole.jobs.transcript import as_text
from opsconsole.sentences import Sentence

# Of an output so much is read, from its beginning.
READ_BYTES = 256 * 1024
MAX_ASKED = 8
MAX_COLUMNS = 16
MAX_TEXT = 500
VALUE_CHARS = 200
_NAME_CHARS = 60
_COMMON = 10
_DOCUMENTS_TRIED = 10
# One expression's compiled form may take this much memory; RE2 refuses what would need more.
_MEMORY_BYTES = 1 << 20
_ASKED = re.compile(r"(?:([^\s:=-][^:=]{0,59})=)?(json|key|re|table):(.*)", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]\s\"]+)|\.?\[(-?[0-9]{1,9})\]|\.?\[(\"(?:[^\"\\]|\\.)*\")\]")
_DOCUMENT = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
_NUMBER = re.compile(r"([+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?) ?(?:%|([KMGTP])i?B?|B)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DIGITS = re.compile(r"([0-9]+)")
_HINT = "Write json:a.b[0], key:NAME, re:EXPRESSION or table:HEADER@ROW, with NAME= before it to name the column."

Values = tuple[str | None, ...]


class Kind(StrEnum):
    """Where the value of a column stands in an output."""

    JSON = "json"
    KEY = "key"
    RE = "re"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for as columns, as ``KIND:WHAT`` or ``NAME=KIND:WHAT``; ``names`` are those of the columns,
    of which an expression with several groups makes several. Two that ask the same are equal."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, texts: Iterable[str], *, taken: Iterable[str] = ()) -> "Asked":
        """Returns what ``texts`` ask for; empty ones are left out. No column is named as another or as one of
        ``taken``. Raises ``Invalid``, naming the field ``column``, for what has no meaning."""
        kept = tuple(text.strip() for text in texts if text.strip())
        if len(kept) > MAX_ASKED:
            raise _invalid(Sentence("Ask for at most {limit} columns at once.", limit=MAX_ASKED))
        used = set(taken)
        names: list[str] = []
        for name in (name for text in kept for name in _source(text).names):
            names.append(name if name not in used else next(n for n in _others(name) if n not in used))
            used.add(names[-1])
        if len(names) > MAX_COLUMNS:
            raise _invalid(
                Sentence(
                    "These are {count} columns; at most {limit} are shown at once.",
                    count=len(names),
                    limit=MAX_COLUMNS,
                )
            )
        return cls(kept, tuple(names))

    def __bool__(self) -> bool:
        return bool(self.texts)

    @property
    def sources(self) -> list[str]:
        """For each column the text that asks for it."""
        return [text for text in self.texts for _ in _source(text).names]

    def of(self, data: bytes) -> Values:
        """Returns the value of each column in an output; ``None`` where it is not in it."""
        data = data[:READ_BYTES].replace(b"\r\n", b"\n")
        if b"\x1b" in data or b"\xc2\x9b" in data:
            data = without_escapes(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")
        document: list[Any] = []
        found: list[str | None] = []
        for text in self.texts:
            source = _source(text)
            if source.kind is Kind.JSON and not document:
                document.append(_document(as_text(data)))
            found += source.of(data, document[0] if document else None)
        return tuple(found)


NO_COLUMNS = Asked((), ())


@dataclass(frozen=True, slots=True)
class _Source:
    kind: Kind
    names: tuple[str, ...]
    path: tuple[str | int, ...] = ()
    expression: Any = None
    groups: tuple[int, ...] = ()
    cell: tuple[str, str] = ("", "")

    def of(self, data: bytes, document: Any) -> list[str | None]:
        match self.kind:
            case Kind.JSON:
                return [_at(document, self.path)]
            case Kind.TABLE:
                return [_cell(as_text(data), *self.cell)]
        match = self.expression.search(data)
        if match is None:
            return [None] * len(self.groups)
        parts = [match.group(group) for group in self.groups]
        values = [None if part is None else as_text(part).strip() for part in parts]
        if self.kind is Kind.KEY:
            values = [_unquoted(value) for value in values if value is not None]
        return [None if value is None else _shown(value) for value in values]


@lru_cache(maxsize=256)
def _source(text: str) -> _Source:
    match = _ASKED.fullmatch(text)
    if match is None or not match[3].strip() or len(text) > MAX_TEXT:
        raise _invalid("This asks for no column.")
    name, kind, what = match[1], Kind(match[2]), match[3].strip()
    match kind:
        case Kind.JSON:
            return _Source(kind, _named(name or what), path=_path(what))
        case Kind.KEY:
            line = f"^[ \t]*(?:export[ \t]+)?[\"']?{re2.escape(what)}[\"']?[ \t]*[=:][ \t]*(.*)$"
            return _Source(kind, _named(name or what), expression=_compiled(line), groups=(1,))
        case Kind.TABLE:
            header, _, row = what.partition("@")
            if not header.strip() or len(header.split()) > 1:
                raise _invalid("Name the header of a column by its word: table:Use%, or table:Use%@/var.")
            return _Source(kind, _named(name or what), cell=(header.strip(), row.strip()))
    compiled = _compiled(what)
    groups = sorted((place, group.decode()) for group, place in compiled.groupindex.items())
    if groups:
        prefix = f"{name}." if name else ""
        names = [prefix + group for _, group in groups] if len(groups) > 1 else [name or groups[0][1]]
        places = tuple(place for place, _ in groups)
        return _Source(kind, tuple(one[:_NAME_CHARS] for one in names), expression=compiled, groups=places)
    return _Source(kind, _named(name or what), expression=compiled, groups=(min(compiled.groups, 1),))


def _others(name: str) -> Iterator[str]:
    return (f"{name}_{number}" for number in count(2))


def _named(name: str) -> tuple[str, ...]:
    return (_shown(name.strip().lstrip("-$."))[:_NAME_CHARS] or "value",)


def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_nl = True
    try:
        # An expression has to be one by itself: ")(" would become one within the parentheses.
        re2.compile(expression.encode(), options)
        return re2.compile(f"(?m:{expression})".encode(), options)
    except (re2.error, UnicodeEncodeError):
        raise _invalid(
            "This is not a regular expression.",
            hint="RE2 syntax: no look-around, no back-references, at most 1000 repetitions.",
        ) from None


def _path(text: str) -> tuple[str | int, ...]:
    path: list[str | int] = []
    at = 1 if text.startswith("$") else 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise _invalid(Sentence("This path is not understood from {text!r} on.", text=text[at : at + 20]))
        at = step.end()
        path.append(step[1] if step[1] else int(step[2]) if step[2] else str(json.loads(step[3], strict=False)))
    return tuple(path)


def _document(text: str) -> Any:
    """Returns the first JSON document of an output, which may begin with other lines; ``None`` where there is none."""
    decoder = json.JSONDecoder()
    # A line may begin like a document and be none: "[info] starting". Few such lines come before the one that counts.
    for start in islice(_DOCUMENT.finditer(text), _DOCUMENTS_TRIED):
        try:
            return decoder.raw_decode(text, start.end() - 1)[0]
        except (ValueError, RecursionError):
            continue
    return None


def _at(document: Any, path: Sequence[str | int]) -> str | None:
    value = document
    if value is None:
        return None
    for step in path:
        held: Any = value if isinstance(value, dict if isinstance(step, str) else list) else {}
        try:
            value = held[step]
        except LookupError:
            return None
    return _shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _cell(text: str, header: str, row: str) -> str | None:
    """Returns the cell under ``header``, which is one word of a line, in the next line, or in the next that has the
    cell ``row``."""
    place: int | None = None
    width = 0
    for line in text.split("\n"):
        cells = line.split()
        if place is None:
            if header in cells:
                place, width = cells.index(header), len(cells)
        elif cells and (not row or row in cells):
            # The last column may hold words with blanks between them.
            cells = line.split(None, width - 1)
            return _shown(cells[place]) if place < len(cells) else None
    return None


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value.rstrip(",")


def _shown(value: str) -> str:
    """Returns the value as text of one line that only shows, at most so long."""
    text = value[: VALUE_CHARS + 1]
    text = "".join(char if char.isprintable() else " " for char in text).strip()
    return f"{text[: VALUE_CHARS - 1]}…" if len(text) > VALUE_CHARS else text


def number_of(value: str) -> float | None:
    """Returns what a value is as a number: ``42``, ``-1.5e3``, ``97%`` or a size like ``1.5G``, where K, M, G, T and P
    are powers of 1024; ``None`` for anything else."""
    match = _NUMBER.fullmatch(value)
    return None if match is None else float(match[1]) * 1024 ** _POWERS[match[2] or ""]


def _rank(value: str) -> tuple[int, float, list[tuple[int, int, str]]]:
    """Numbers by size, then texts as people read them: 5.9 before 5.10."""
    number = number_of(value)
    if number is not None:
        return 0, number, []
    parts = _DIGITS.split(value.casefold())
    return 1, 0.0, [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def in_order(values: Mapping[int, str | None], *, descending: bool = False) -> list[int]:
    """Returns the places of hosts in the order of their values; those without one come last either way, those that have
    the same stay in the order of the roster."""
    ranks = {value: _rank(value) for value in set(values.values()) if value is not None}
    places = sorted(values)
    filled = [i for i in places if values[i] is not None]
    filled.sort(key=lambda i: ranks[str(values[i])], reverse=descending)
    return filled + [i for i in places if values[i] is None]


def sums(asked: Asked, rows: Sequence[Values]) -> list[dict[str, Any]]:
    """Returns for each column what the hosts have in it: how many ``filled`` and ``missing``, how many ``distinct``
    values, the most ``common`` ones with how many hosts have them, and over the ``numbers`` among them ``min``,
    ``median`` (of an even number of hosts the lower one) and ``max``, as a host wrote them."""
    return [
        {"name": name, "source": source, **_sum([row[at] for row in rows])}
        for at, (name, source) in enumerate(zip(asked.names, asked.sources, strict=True))
    ]


def _sum(values: Sequence[str | None]) -> dict[str, Any]:
    counts = Counter(value for value in values if value is not None)
    filled = counts.total()
    known = {value: number for value in counts if (number := number_of(value)) is not None}
    numbers = sorted((known[value], value) for value in values if value in known)
    common = sorted(counts.items(), key=lambda item: (-item[1], _rank(item[0])))[:_COMMON]
    return {
        "filled": filled,
        "missing": len(values) - filled,
        "distinct": len(counts),
        "common": [list(item) for item in common],
        "numbers": len(numbers),
        "min": numbers[0][1] if numbers else None,
        "median": numbers[(len(numbers) - 1) // 2][1] if numbers else None,
        "max": numbers[-1][1] if numbers else None,
    }


def _invalid(message: str, *, hint: str = _HINT) -> Invalid:
    return Invalid(message, errors=[FieldError("column", message, code="bad_column", hint=hint)])
