"""What Ansible's formats have in common: hosts, groups inside groups, variables with their order of precedence."""

import ipaddress
import re
import shlex
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from opsconsole.errors import TooLarge
from opsconsole.inventory.draft import MAX_HOSTS, Draft, HostDraft, shown
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.fields import is_tag
from opsconsole.inventory.plan import cycle
from opsconsole.sentences import Sentence

# The groups that every inventory of Ansible has; here "everybody" is no group.
_BUILT_IN = frozenset({"all", "ungrouped"})
OWN_PREFIX = "opsconsole_"
_FIELDS = {
    "ansible_host": "address",
    "ansible_ssh_host": "address",
    "ansible_port": "port",
    "ansible_ssh_port": "port",
    "ansible_user": "user",
    "ansible_ssh_user": "user",
}
# What Ansible knows nothing of stands in variables of our own name.
_OWN = {f"{OWN_PREFIX}{name}": name for name in ("credential", "profile", "host_key_policy")}
# Of hosts alone. Other connections than this machine's own are SSH here.
_EXECUTOR = f"{OWN_PREFIX}executor"
_CONNECTION = "ansible_connection"
_IDENTITY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
_MAX_BRACKETS = 6
_PRIORITY = "ansible_group_priority"
_SECRET = re.compile(r"pass|secret|token|(?:^|_)key(?:$|_)|credential|vault", re.IGNORECASE)
_RANGE = re.compile(r"\[([^\[\]:]*):([^\[\]:]*)(?::([^\[\]:]*))?\]")
_PORT = re.compile(r"(.*[^:\]]|\[[^\[\]]*:[^\[\]]*:[^\[\]]*\]|.*\]):([0-9]{1,5})")
Variables = dict[str, tuple[Any, int | None]]


@dataclass(slots=True)
class Group:
    """One group as Ansible has it."""

    name: str
    line: int | None
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, int | None] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)


class Inventory:
    """Gathers what a file of Ansible says, and turns it into a draft at the end."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.groups: dict[str, Group] = {}
        self.variables: dict[str, Variables] = {}
        self.lines: dict[str, int | None] = {}
        self._waiting: dict[str, Group] = {}

    def group(self, name: str, line: int | None) -> Group:
        """Returns the group, new or known."""
        if name not in self.groups:
            self.groups[name] = self._waiting.pop(name) if name in self._waiting else Group(name, line)
        return self.groups[name]

    def later(self, name: str, line: int | None) -> Group:
        """Returns a group that counts only once it is declared."""
        return self._waiting.setdefault(name, Group(name, line))

    def add(self, pattern: str, group: str, variables: Variables, line: int | None) -> None:
        """Puts the hosts of ``pattern``, such as ``www[01:50].example.com:2222``, into a group."""
        try:
            name, port = split_port(pattern)
            names = list(islice(expand(name), MAX_HOSTS + 1))
        except ValueError as error:
            self.draft.fault(line, str(error))
            return
        if len(self.variables) + len(names) > MAX_HOSTS:
            raise TooLarge("An import has {limit:,} hosts at most.", limit=MAX_HOSTS)
        if port is not None:
            variables = {"ansible_port": (port, line), **variables}
        for host in names:
            self.lines.setdefault(host, line)
            self.variables.setdefault(host, {}).update(variables)
            self.group(group, line).hosts[host] = None

    def finish(self) -> None:
        """Fills the draft: fields and tags from the variables that win for each host, and the groups."""
        for group in self.groups.values():
            for child, line in list(group.children.items()):
                if child not in self.groups:
                    self.draft.fault(
                        line,
                        Sentence(
                            "Group {name} holds {child}, which is no group.", name=shown(group.name), child=shown(child)
                        ),
                    )
                    del group.children[child]
        if way := cycle(list(self.groups), lambda name: self.groups[name].children):
            line = self.groups[way[-2]].children[way[-1]]
            self.draft.fault(line, Sentence("A group cannot be inside of itself: {way}.", way=" > ".join(way)[:300]))
            return
        inherited = _Inherited(self.groups)
        for name, own in self.variables.items():
            host = self.draft.host(name, self.lines[name])
            if host is not None:
                self._fill(host, {**inherited.for_host(name), **own})
        for group in self.groups.values():
            self._fill_group(group)

    def _fill_group(self, group: Group) -> None:
        if group.name in _BUILT_IN:
            return
        made = self.draft.group(group.name, group.line)
        if made is None:
            return
        keys = (name.strip("[]").lower() for name in group.hosts)
        made.hosts.update((key, None) for key in keys if key in self.draft.hosts)
        made.children.update((name, line) for name, line in group.children.items() if name not in _BUILT_IN)
        for name, (value, line) in group.variables.items():
            if (said := _of_group(name, value)) is not None:
                self.draft.put_group(made, *said, line)

    def _fill(self, host: HostDraft, variables: Variables) -> None:
        for name, (value, line) in variables.items():
            if name in _FIELDS:
                self._connection(host, name, value, line)
            elif name in _OWN:
                self.draft.put(host, _OWN[name], value, line)
            elif name == _EXECUTOR or (name == _CONNECTION and value == Executor.LOCAL.value):
                self.draft.put(host, "executor", value, line)
            elif name in _IDENTITY:
                host.identity = str(value)
            elif name in _ARGUMENTS:
                self._arguments(host, str(value), line)
            elif not name.startswith("ansible_"):
                self._tag(host, name, value)
            elif _SECRET.search(name):
                self.draft.notice("Passwords are not taken over; make a credential of them.")
            elif name != _PRIORITY:
                self.draft.notice(Sentence("{name} means nothing here.", name=name[:60]))

    def _connection(self, host: HostDraft, name: str, value: Any, line: int | None) -> None:
        if "{{" in str(value):
            self.draft.fault(
                line,
                Sentence("{field} of {host} is a template, which is not evaluated here.", field=name, host=host.name),
                host,
            )
        else:
            self.draft.put(host, _FIELDS[name], value, line)

    def _arguments(self, host: HostDraft, text: str, line: int | None) -> None:
        jump = jump_of(text)
        if jump is not None:
            self.draft.put(host, "jump", jump, line)
        else:
            self.draft.notice("Options for the program ssh are not taken over, but for its jump hosts.")

    def _tag(self, host: HostDraft, name: str, value: Any) -> None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if _SECRET.search(name):
            self.draft.notice(Sentence("Variable {name} sounds like a secret and is left out.", name=name[:60]))
        elif isinstance(value, dict | list) or value is None or not is_tag(name, text):
            self.draft.notice(Sentence("Variable {name} makes no tag and is left out.", name=name[:60]))
        else:
            self.draft.tag(host, name, text, None)


class _Inherited:
    """The variables that hosts get from their groups: outer groups first, so that inner ones win."""

    def __init__(self, groups: dict[str, Group]) -> None:
        self._groups = groups
        self._parents: dict[str, list[str]] = {name: [] for name in groups}
        self._groups_of: dict[str, list[str]] = {}
        for group in groups.values():
            for child in group.children:
                self._parents[child].append(group.name)
            for host in group.hosts:
                self._groups_of.setdefault(host, []).append(group.name)
        self._depths: dict[str, int] = {}
        self._known: dict[tuple[str, ...], Variables] = {}
        self._own: dict[tuple[str, ...], Variables] = {}

    def of(self, host: str) -> Variables:
        """Returns the variables that the groups of ``host`` give it."""
        own = tuple(self._groups_of.get(host, ()))
        if own not in self._known:
            found: Variables = {}
            for name in sorted(self._above(own), key=self._order):
                found.update(self._groups[name].variables)
            self._known[own] = found
        return self._known[own]

    def for_host(self, host: str) -> Variables:
        """Returns those that are to be said of ``host`` itself: a group of ours says some of them as well.

        There the nearest group counts, in Ansible the deepest: where that gives another answer, the host says it.
        """
        groups = tuple(self._groups_of.get(host, ()))
        if groups not in self._own:
            self._own[groups] = {
                name: found
                for name, found in self.of(host).items()
                if _of_group(name, found[0]) is None or self._nearest(groups, name) != found
            }
        return self._own[groups]

    def _nearest(self, start: tuple[str, ...], variable: str) -> tuple[Any, int | None] | None:
        level, seen = {name for name in start if name not in _BUILT_IN}, set[str]()
        while level:
            saying = sorted(name for name in level if variable in self._groups[name].variables)
            if saying:
                return self._groups[saying[0]].variables[variable]
            seen |= level
            level = {parent for name in level for parent in self._parents[name]} - seen - _BUILT_IN
        return None

    def _above(self, names: tuple[str, ...]) -> set[str]:
        found = {"all"} & self._groups.keys()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in found or name == "all":
                found.add(name)
                queue.extend(parent for parent in self._parents[name] if parent not in found)
        return found

    def _order(self, name: str) -> tuple[int, int, str]:
        priority = self._groups[name].variables.get(_PRIORITY, (1, None))[0]
        return self._depth(name), int(priority) if str(priority).isdigit() else 1, name

    def _depth(self, name: str) -> int:
        # Without recursion, for groups may be nested as deep as a file likes.
        stack = [name]
        while stack:
            at = stack[-1]
            if at == "all":
                self._depths[at] = 0
            waiting = [parent for parent in self._parents[at] if parent not in self._depths and parent != "all"]
            if at in self._depths or not waiting:
                parents = [self._depths.get(parent, 0) for parent in self._parents[at]]
                self._depths.setdefault(at, 1 + max(parents, default=0))
                stack.pop()
            else:
                stack.extend(waiting)
        return self._depths[name]


def _of_group(name: str, value: Any) -> tuple[str, Any] | None:
    """Returns the field that a group has for one of its variables, and its value; ``None`` where it has none."""
    if name in _OWN:
        return _OWN[name], value
    jump = jump_of(str(value)) if name in _ARGUMENTS else None
    return ("jump", jump) if jump is not None else None


def split_port(pattern: str) -> tuple[str, int | None]:
    """Returns the name or pattern, and the port after its last colon. Raises ``ValueError`` for a bad port."""
    found = _PORT.fullmatch(pattern)
    if found is None:
        return pattern.strip(), None
    name, port = found[1].strip(), int(found[2])
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port.")
    return (name[1:-1] if name.startswith("[") and name.endswith("]") and name.count(":") > 1 else name), port


def expand(pattern: str) -> Iterator[str]:
    """Yields the names of ``www[01:50:2]`` and ``db-[a:f]``, each bracket in turn. Raises ``ValueError``."""
    if pattern.count("[") > _MAX_BRACKETS:
        raise ValueError(f"A name has at most {_MAX_BRACKETS} ranges.")
    found = None if ":" in pattern and _is_ipv6(pattern) else _RANGE.search(pattern)
    if found is None:
        if ("[" in pattern or "]" in pattern) and not _is_ipv6(pattern):
            raise ValueError(f"The range in {shown(pattern)} is written [first:last] or [first:last:step].")
        yield pattern
        return
    head, tail = pattern[: found.start()], pattern[found.end() :]
    for item in _range(found[1], found[2], found[3], pattern):
        for rest in expand(tail):
            yield f"{head}{item}{rest}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _range(first: str, last: str, step: str | None, pattern: str) -> list[str]:
    if step is not None and (not step.isdigit() or int(step) == 0):
        raise ValueError(f"The step in {shown(pattern)} is a number from 1 on.")
    stride = int(step) if step else 1
    first = first or "0"
    if not last:
        raise ValueError(f"The range in {shown(pattern)} has no end.")
    if first in string.ascii_letters and last in string.ascii_letters and len(first) == len(last) == 1:
        letters = string.ascii_letters
        low, high = letters.index(first), letters.index(last)
        items = list(letters[low : high + 1 : stride])
    elif first.isdigit() and last.isdigit() and len(last) < 10 and len(first) < 10:
        padded = len(first) > 1 and first.startswith("0")
        if padded and len(first) != len(last):
            raise ValueError(f"Both ends of the range in {shown(pattern)} have the same number of digits.")
        low, high = int(first), int(last)
        if high - low > MAX_HOSTS * stride:
            raise ValueError(f"{shown(pattern)} names more than {MAX_HOSTS:,} hosts.")
        items = [
            str(number).rjust(len(first), "0") if padded else str(number) for number in range(low, high + 1, stride)
        ]
    else:
        raise ValueError(f"The ends of the range in {shown(pattern)} are two numbers or two letters.")
    if low > high:
        raise ValueError(f"The range in {shown(pattern)} runs backwards.")
    return items


def jump_of(arguments: str) -> str | None:
    """Returns the jump hosts in options of the program ssh, or ``None`` when there are none."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        return None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "-J" and following:
            return following
        option = following if word == "-o" else word.removeprefix("-o") if word.startswith("-o") else ""
        key, _, value = option.partition("=")
        if key.strip().lower() == "proxyjump" and value.strip():
            return value.strip()
    return None
