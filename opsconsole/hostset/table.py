"""A table with a heading, as spreadsheets and CMDBs give it: of its rows only the names of the hosts are targets."""

import re
from dataclasses import dataclass

# Headings under which a table has what a host is called; what stands first here is preferred.
_HEADINGS = ("name", "host", "hostname", "host name", "server", "主机", "主机名", "fqdn", "address", "ip", "ip address")
_CELLS = {mark: re.compile(rf'[^\S\t]*(?:"([^"\r\n]*)"|([^{mark}"\r\n]*))[^\S\t]*') for mark in (",", ";", "\t")}
# A heading is words: nothing that an expression would hold besides.
_WORDS = re.compile(r"[\w .:/-]*")


@dataclass(frozen=True, slots=True)
class Table:
    """The heading of the column that names the hosts, and the text with all else blanked, so that places stay."""

    heading: str
    names: str


def table(text: str) -> Table | None:
    """Returns ``text`` as a table with a heading, or None when it is none: each row has as many cells as the first,
    which names a column of hosts. Commas, semicolons or tabs part the cells; quotes may stand around them."""
    lines = text.splitlines(keepends=True)
    rows = [(at, line) for at, line in enumerate(lines) if line.strip("\ufeff \t\r\n")]
    if len(rows) < 2:
        return None
    first = rows[0][1].lstrip("\ufeff")
    mark = max(_CELLS, key=first.count)
    heads = [cell.lower() for cell, _at in _cells(first, mark) or ()]
    if len(heads) < 2 or not all(_WORDS.fullmatch(head) for head in heads):
        return None
    column = next((heads.index(name) for name in _HEADINGS if name in heads), None)
    if column is None:
        return None
    blanked = [_blank(line) for line in lines]
    for at, line in rows[1:]:
        cells = _cells(line, mark)
        if cells is None or len(cells) != len(heads):
            return None
        name, begin = cells[column]
        blanked[at] = blanked[at][:begin] + name + blanked[at][begin + len(name) :]
    return Table(heads[column], "".join(blanked))


def _cells(line: str, mark: str) -> list[tuple[str, int]] | None:
    """Returns each cell without its quotes and where it begins; None when the line does not read as cells."""
    cells: list[tuple[str, int]] = []
    at = 0
    while True:
        found = _CELLS[mark].match(line, at)
        if found is None:
            return None
        group = 1 if found[1] is not None else 2
        text = found[group]
        cells.append((text.strip(), found.start(group) + len(text) - len(text.lstrip())))
        at = found.end()
        if at >= len(line):
            return cells
        if line[at] != mark:
            return None
        at += 1


def _blank(line: str) -> str:
    """Returns as many blanks, with the line's end kept."""
    body = line.rstrip("\r\n")
    return " " * len(body) + line[len(body) :]
