"""Ansible's inventory in INI form: hosts with variables, ``[group]``, ``[group:vars]``, ``[group:children]``."""

import ast
import re
import shlex
from typing import Any

from opsconsole.inventory.draft import Draft, shown
from opsconsole.inventory.importers.ansible import Inventory, Variables
from opsconsole.sentences import Sentence

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_LITERAL_CHARS = 10_000


def read_ansible_ini(text: str, draft: Draft) -> None:
    """Reads the text into ``draft``."""
    _Reader(draft).read(text)


class _Reader:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._inventory = Inventory(draft)
        # Groups that were only given variables so far, with the line of it.
        self._undeclared: dict[str, int] = {}
        self._section, self._kind = "ungrouped", "hosts"

    def read(self, text: str) -> None:
        for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            line = raw.strip()
            if line and line[0] not in "#;":
                self._line(line, number)
        for name, number in self._undeclared.items():
            if name not in self._inventory.groups:
                self._draft.fault(number, Sentence("Variables for {name}, which is no group.", name=shown(name)))
        self._inventory.finish()

    def _line(self, line: str, number: int) -> None:
        section = _SECTION.fullmatch(line)
        if section is not None:
            self._open(section[1], section[2] or "hosts", number)
        elif line.startswith("[") and line.endswith("]") and ":" not in line.split("]")[0]:
            self._draft.fault(
                number,
                Sentence("{line} is no section: write [group], [group:vars] or [group:children].", line=shown(line)),
            )
            self._kind = "faulty"
        elif self._kind == "hosts":
            self._host(line, number)
        elif self._kind == "vars":
            self._variable(line, number)
        elif self._kind == "children":
            self._child(line, number)

    def _open(self, name: str, kind: str, number: int) -> None:
        if kind not in {"hosts", "vars", "children"}:
            self._draft.fault(number, Sentence("A section ends in :vars or :children, not in :{kind}.", kind=kind[:40]))
            self._kind = "faulty"
            return
        self._section, self._kind = name, kind
        if kind == "vars":
            self._undeclared.setdefault(name, number)
        else:
            self._inventory.group(name, number)

    def _host(self, line: str, number: int) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            self._draft.fault(number, Sentence("The quotes of this line do not pair up ({error}).", error=error))
            return
        variables: Variables = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if not equals:
                self._draft.fault(number, Sentence("Expected key=value, got {word}.", word=shown(word)))
                return
            variables[key] = (_value(value), number)
        if words:
            self._inventory.add(words[0], self._section, variables, number)

    def _variable(self, line: str, number: int) -> None:
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            self._draft.fault(number, Sentence("Expected key=value, got {line}.", line=shown(line)))
            return
        if self._section == "all":
            self._inventory.group("all", number)
        group = self._inventory.groups.get(self._section)
        if group is None:
            # Declared further down, or never: then it is a fault, and these are not used.
            group = self._inventory.later(self._section, number)
        group.variables[key.strip()] = (_value(value.strip()), number)

    def _child(self, line: str, number: int) -> None:
        found = _CHILD.fullmatch(line)
        if found is None:
            self._draft.fault(number, Sentence("{line} is no name of a group.", line=shown(line)))
            return
        self._inventory.groups[self._section].children[found[1]] = number


def _value(text: str) -> Any:
    """Returns the value as Ansible takes it: a literal of Python where it is one, else the text."""
    if len(text) > _LITERAL_CHARS:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
    # 0644 and 1_000 are texts to people; only plain numbers, truths, lists and the like are taken.
    return value if isinstance(value, int | float | bool | str | list | dict) else text
