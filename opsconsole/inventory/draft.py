"""What a file says of hosts and groups, before anybody compares it with the inventory. Pure: no I/O."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from opsconsole.errors import Invalid, TooLarge
from opsconsole.inventory import fields
from opsconsole.sentences import Sentence

MAX_HOSTS = 50_000
MAX_GROUPS = 5_000
_MAX_FAULTS = 100
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One line that cannot be used; ``line`` counts from 1 and is ``None`` where a format has no lines."""

    line: int | None
    message: str
    file: str | None = None


@dataclass(slots=True)
class HostDraft:
    """One host as the file has it. ``values`` holds only the fields that the file speaks of."""

    name: str
    line: int | None
    values: dict[str, Any] = field(default_factory=dict)
    # Path of the key file it is opened with: a hint at the credential, which only the console's settings can name.
    identity: str | None = None


@dataclass(slots=True)
class GroupDraft:
    """One group: the keys of its own hosts and the names of the groups in it, in the order written."""

    name: str
    line: int | None
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, int | None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Draft:
    """Gathers hosts, groups and faults; a faulty value never becomes part of it."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostDraft] = {}
        self.groups: dict[str, GroupDraft] = {}
        self.faults: list[Fault] = []
        self.notices: Counter[str] = Counter()
        self.known_hosts: str | None = None
        # The file that is being read, where there are several.
        self.file: str | None = None
        self._faulty: set[str] = set()

    def host(self, name: str, line: int | None) -> HostDraft | None:
        """Returns the draft of the host called ``name``, new or known, or ``None`` after noting what is wrong."""
        key = name.strip().lower()
        if key in self.hosts:
            return self.hosts[key]
        try:
            cleaned = fields.host_name(name)
        except Invalid as error:
            self.fault(line, error.detail)
            return None
        found = self.hosts.get(cleaned.lower())
        if found is None:
            if len(self.hosts) >= MAX_HOSTS:
                raise TooLarge("An import has {limit:,} hosts at most.", limit=MAX_HOSTS)
            found = self.hosts[cleaned.lower()] = HostDraft(cleaned, line)
        return found

    def put(self, host: HostDraft, name: str, value: Any, line: int | None) -> None:
        """Sets one field of a host, or notes what is wrong with it."""
        try:
            host.values[name] = fields.clean(name, value)
        except Invalid as error:
            self.fault(
                line, Sentence("{field} of {host}: {fault}", field=name, host=host.name, fault=error.detail), host
            )

    def put_group(self, group: GroupDraft, name: str, value: Any, line: int | None) -> None:
        """Sets one field of a group, or notes what is wrong with it."""
        try:
            group.values[name] = fields.clean(name, value)
        except Invalid as error:
            self.fault(
                line, Sentence("{field} of group {group}: {fault}", field=name, group=group.name, fault=error.detail)
            )

    def tag(self, host: HostDraft, key: str, value: str, line: int | None) -> None:
        """Sets one tag beside those the host has, or notes what is wrong with it."""
        try:
            tags = host.values.setdefault("tags", {})
            tags[fields.tag_key(key)] = fields.tag_value(value)
        except Invalid as error:
            self.fault(
                line, Sentence("tag {key} of {host}: {fault}", key=shown(key), host=host.name, fault=error.detail), host
            )

    def group(self, name: str, line: int | None) -> GroupDraft | None:
        """Returns the draft of a group, new or known, or ``None`` after noting what is wrong with its name."""
        return self._group(name, line)

    def _group(self, name: str, line: int | None, of: HostDraft | None = None) -> GroupDraft | None:
        found = self.groups.get(name)
        if found is not None:
            return found
        try:
            cleaned = fields.group_name(name)
        except Invalid as error:
            self.fault(line, Sentence("group {name}: {fault}", name=shown(name), fault=error.detail), of)
            return None
        if len(self.groups) >= MAX_GROUPS:
            raise TooLarge("An import has {limit:,} groups at most.", limit=MAX_GROUPS)
        return self.groups.setdefault(cleaned, GroupDraft(cleaned, line))

    def put_into(self, groups: Iterable[str], host: HostDraft, line: int | None) -> None:
        """Makes the host a member of each group, written with or without its ``@``. A host that would miss one is
        faulty: its jump hosts, credential and host key policy may come from there."""
        for name in groups:
            group = self._group(name.removeprefix("@"), line, host)
            if group is not None:
                group.hosts[host.name.lower()] = None

    def leave_out_faulty(self) -> None:
        """Takes out each host with a faulty value: half of what a line says must not become a host."""
        inner = {child for group in self.groups.values() for child in group.children}
        # Nobody asked for a group that is left without the hosts which named it.
        emptied = [name for name, group in self.groups.items() if not self._faulty.isdisjoint(group.hosts)]
        for key in self._faulty:
            del self.hosts[key]
        for group in self.groups.values():
            group.hosts = {key: None for key in group.hosts if key not in self._faulty}
        for name in emptied:
            group = self.groups[name]
            if not group.hosts and not group.children and not group.values and name not in inner:
                del self.groups[name]

    def fault(self, line: int | None, message: str, host: HostDraft | None = None) -> None:
        """Notes a line that cannot be used, of a ``host`` if any; after a hundred, reading on helps nobody."""
        if host is not None:
            self._faulty.add(host.name.lower())
        self.faults.append(Fault(line, message, self.file))
        if len(self.faults) >= _MAX_FAULTS:
            raise TooManyFaults

    def notice(self, message: str) -> None:
        """Notes something that is left out on purpose; the same words are counted."""
        self.notices[message] += 1


class TooManyFaults(Exception):
    """Reading stops: what was found is in the draft."""


def shown(text: str) -> str:
    """Returns hostile text in quotes, short and printable."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return repr(cut)
