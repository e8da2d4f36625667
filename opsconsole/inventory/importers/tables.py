"""Tables: CSV with a heading, columns pasted from anywhere, and workbooks (XLSX) read row by row within bounds."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence

import openpyxl
from defusedxml import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from opsconsole.errors import Invalid, TooLarge
from opsconsole.hostset import EmptyInventory, evaluate
from opsconsole.inventory.draft import MAX_HOSTS, Draft, HostDraft, shown
from opsconsole.inventory.fields import GROUP_FIELDS, tags_of_text
from opsconsole.sentences import Sentence

_MAX_COLUMNS = 200
_MAX_UNPACKED_BYTES = 100 * 1024 * 1024
_MAX_PARTS = 1_000
_MAX_RATIO = 200
# Other names that people give to a column.
_COLUMNS = {
    "name": "name",
    "host": "name",
    "hostname": "name",
    "address": "address",
    "ip": "address",
    "ip address": "address",
    "fqdn": "address",
    "port": "port",
    "ssh port": "port",
    "user": "user",
    "username": "user",
    "remote user": "user",
    "credential": "credential",
    "key": "credential",
    "jump": "jump",
    "jump host": "jump",
    "proxyjump": "jump",
    "profile": "profile",
    "host_key_policy": "host_key_policy",
    "host key policy": "host_key_policy",
    "executor": "executor",
    "zone": "zone",
    "site": "zone",
    "frozen": "frozen",
    "frozen_reason": "frozen_reason",
    "notes": "notes",
    "comment": "notes",
    "description": "notes",
    "groups": "groups",
    "group": "groups",
    "tags": "tags",
}
# Fields that a pasted line may give as ``field=value``.
_WORDS = frozenset(
    {"address", "port", "user", "credential", "jump", "profile", "host_key_policy", "executor", "zone", "frozen"}
)
_TAG = "tag:"
_PARTS = re.compile(r"[\s,;|]+")
_FORMULA = tuple("=+-@\t\r")


def read_csv(text: str, draft: Draft) -> None:
    """Reads CSV whose first line names the columns; commas, semicolons or tabs part them."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    mark = max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=mark, strict=True)
    _read_rows(_numbered(reader, draft), draft)


def read_xlsx(content: bytes, draft: Draft) -> None:
    """Reads the first sheet of a workbook; its first row names the columns. Formulas give their stored values."""
    _refuse_bomb(content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()
            rows = sheet.iter_rows(max_col=_MAX_COLUMNS, values_only=True)
            _read_rows(((number, [_cell(cell) for cell in row]) for number, row in enumerate(rows, 1)), draft)
        finally:
            book.close()
    except (InvalidFileException, KeyError, IndexError, ValueError, OSError, DefusedXmlException, SyntaxError):
        raise Invalid("This is not a workbook that can be read (XLSX).", code="not_a_workbook") from None


def read_pasted(text: str, draft: Draft) -> None:
    """Reads pasted lines: a table with a heading, or ``[user@]name[:port] [address] [key=value ...]`` on each line."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    cells = [cell.strip().lower() for cell in re.split(r"[,;\t]", first)]
    if cells[0] in _COLUMNS and all(cell in _COLUMNS or cell.startswith(_TAG) for cell in cells):
        return read_csv(text, draft)
    for number, line in enumerate(lines, 1):
        words = (
            re.split(r"[,;\t ]+", re.sub(r"(^|\s)#.*", "", line).strip(" ,;\t")) if "[" not in line else line.split()
        )
        words = [word for word in words if word]
        if words:
            _read_pasted_line(words, number, draft)
    return None


def _read_pasted_line(words: Sequence[str], line: int, draft: Draft) -> None:
    try:
        specs = evaluate(words[0], groups=EmptyInventory(), max_hosts=MAX_HOSTS).hosts
    except Invalid as error:
        draft.fault(line, error.detail)
        return
    for spec in specs:
        host = draft.host(spec.name, line)
        if host is None:
            continue
        for name, value in (("user", spec.user), ("port", spec.port)):
            if value is not None:
                draft.put(host, name, value, line)
        for word in words[1:]:
            _read_pasted_word(word, host, line, draft, alone=len(specs) == 1)


def _read_pasted_word(word: str, host: HostDraft, line: int, draft: Draft, *, alone: bool) -> None:
    key, equals, value = word.partition("=")
    if equals and key in {"group", "groups"}:
        draft.put_into([value], host, line)
    elif equals and key in _WORDS:
        draft.put(host, key, value, line)
    elif equals:
        draft.tag(host, key, value, line)
    elif word.startswith("@"):
        draft.put_into([word[1:]], host, line)
    elif alone and "address" not in host.values:
        draft.put(host, "address", word, line)
    elif not alone:
        draft.fault(
            line,
            Sentence("{word} cannot be the address of several hosts: write a line for each of them.", word=shown(word)),
            host,
        )
    else:
        draft.fault(line, Sentence("{word} is neither an address nor key=value nor @group.", word=shown(word)), host)


def _numbered(reader: Iterator[list[str]], draft: Draft) -> Iterator[tuple[int, list[str]]]:
    number = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            draft.fault(number + 1, Sentence("This is not CSV: {error}.", error=error))
            return
        number += 1
        yield getattr(reader, "line_num", number), row


def _read_rows(rows: Iterable[tuple[int, Sequence[str]]], draft: Draft) -> None:
    columns: list[str] | None = None
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = _heading(row, line, draft)
            if not columns:
                return
        elif len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
            draft.fault(
                line,
                Sentence(
                    "This line has {cells} cells, the heading has {columns}.", cells=len(row), columns=len(columns)
                ),
            )
        else:
            _read_row(dict(zip(columns, (_plain(cell) for cell in row), strict=False)), line, draft)


def _heading(row: Sequence[str], line: int, draft: Draft) -> list[str]:
    columns = []
    for cell in row[:_MAX_COLUMNS]:
        word = cell.strip()
        name = _COLUMNS.get(word.lower().replace("-", " "), "")
        if word.lower().startswith(_TAG):
            name = _TAG + word[len(_TAG) :].strip()
        if word and not name:
            draft.fault(
                line,
                Sentence(
                    "Unknown column {word}. To make tags of it, call it {tag}{name}.",
                    word=shown(word),
                    tag=_TAG,
                    name=word[:40],
                ),
            )
        columns.append(name)
    while columns and not columns[-1]:
        columns.pop()
    if "name" not in columns:
        draft.fault(line, "No column is called name. The first line names the columns: name,address,port,user,groups.")
        return []
    twice = {name for name in columns if name and columns.count(name) > 1}
    if twice:
        draft.fault(line, Sentence("Two columns mean the same: {names}.", names=", ".join(sorted(twice))))
        return []
    return columns


def _read_row(cells: dict[str, str], line: int, draft: Draft) -> None:
    name = cells.pop("name", "").strip()
    cells.pop("", None)
    if not name:
        draft.fault(line, "This line names no host.")
        return
    if name.startswith("@"):
        _read_group_row(name[1:], cells, line, draft)
        return
    if name.lower() in draft.hosts:
        draft.fault(
            line,
            Sentence(
                "{name} is named twice; it stands in line {line} already.",
                name=shown(name),
                line=draft.hosts[name.lower()].line,
            ),
        )
        return
    host = draft.host(name, line)
    if host is None:
        return
    groups = cells.pop("groups", "")
    draft.put_into(filter(None, _PARTS.split(groups)), host, line)
    own = {key: value.strip() for key, value in cells.items() if key.startswith(_TAG)}
    for field, value in cells.items():
        if field not in own:
            draft.put(host, field, value, line)
    if own:
        _put_tags(host, cells.get("tags", ""), own, line, draft)


def _read_group_row(name: str, cells: dict[str, str], line: int, draft: Draft) -> None:
    """Reads what a line says of a group, whose name has an @ in front; its ``groups`` are those that it is in."""
    group = draft.group(name, line)
    if group is None:
        return
    for outer in filter(None, _PARTS.split(cells.pop("groups", ""))):
        parent = draft.group(outer, line)
        if parent is not None:
            parent.children[group.name] = line
    for field, value in cells.items():
        if field in GROUP_FIELDS:
            draft.put_group(group, field, value, line)
        elif value.strip():
            draft.fault(
                line,
                Sentence(
                    "{field} is said of hosts, not of a group such as @{group}.", field=shown(field), group=name[:60]
                ),
            )


def _put_tags(host: HostDraft, text: str, own: dict[str, str], line: int, draft: Draft) -> None:
    try:
        host.values["tags"] = tags_of_text(text)
    except Invalid:
        return
    for key, value in own.items():
        if value:
            draft.tag(host, key[len(_TAG) :], value, line)


def _plain(cell: str) -> str:
    """Returns the cell without the quote that an export puts before what a spreadsheet would take for a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A spreadsheet keeps 22 as 22.0.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _refuse_bomb(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise Invalid("This is not a workbook that can be read (XLSX).", code="not_a_workbook") from None
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _MAX_PARTS or unpacked > _MAX_UNPACKED_BYTES or unpacked > _MAX_RATIO * max(len(content), 1):
        raise TooLarge("The workbook unpacks to far more than an inventory has.", code="zip_bomb")
