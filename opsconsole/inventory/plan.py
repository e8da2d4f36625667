"""What an import would change, told before it is done: hosts and groups added, changed by field, removed. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opsconsole.hostset import fold
from opsconsole.inventory.draft import Draft, Fault, GroupDraft, HostDraft
from opsconsole.inventory.snapshot import GroupState, HostState, Snapshot
from opsconsole.sentences import Sentence

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
_EMPTY_GROUP = GroupState(0, "", 0, None)
# A program tells which hosts there are. How they are trusted and logged in to is for people to say.
_NOT_OF_SOURCES = ("credential", "profile", "host_key_policy", "executor")
_EMPTY: dict[str, Any] = {"tags": {}, "frozen": False}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after, as text; of members only what goes (before) and what comes (after)."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One host, group or host key that an import adds, changes or removes."""

    kind: str
    action: str
    name: str
    line: int | None = None
    fields: tuple[FieldChange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the change as the API tells it."""
        parts = [{"field": part.field, "before": part.before, "after": part.after} for part in self.fields]
        return {"kind": self.kind, "action": self.action, "name": self.name, "line": self.line, "fields": parts}


@dataclass(slots=True)
class GroupTarget:
    """What a group holds afterwards."""

    name: str
    hosts: tuple[str, ...]
    children: tuple[str, ...]
    values: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """All that an import would do. ``changes`` is what a person sees; the rest is what is then written."""

    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notices: dict[str, int] = field(default_factory=dict)
    new_hosts: list[HostDraft] = field(default_factory=list)
    changed_hosts: list[tuple[HostState, str, dict[str, Any]]] = field(default_factory=list)
    removed_hosts: list[HostState] = field(default_factory=list)
    groups: list[GroupTarget] = field(default_factory=list)
    removed_groups: list[GroupState] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """``sha256:`` over every change and fault: what is applied is what was shown, or it is refused."""
        shown = [[change.to_json() for change in self.changes], [[item.line, item.message] for item in self.faults]]
        canonical = json.dumps(shown, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    def count(self, kind: str, action: str) -> int:
        """Returns how many hosts or groups are added, changed or removed."""
        return sum(1 for change in self.changes if change.kind == kind and change.action == action)


def compare(
    draft: Draft,
    before: Snapshot,
    *,
    prune: bool = False,
    source_id: int | None = None,
    key_files: Mapping[str, str] | None = None,
) -> Plan:
    """Returns what would bring the inventory ``before`` to what ``draft`` says.

    Without ``prune`` nothing is taken away: hosts stay, groups keep their members. With it, hosts and groups that the
    draft does not name go, and a named group holds exactly what it says. Both only touch what belongs to ``source_id``:
    the sources' hosts are theirs, all others are the people's. ``key_files`` are the console's credentials by path.
    """
    plan = Plan(faults=list(draft.faults), notices=dict(draft.notices))
    if source_id is not None:
        _leave_to_people(draft, plan)
        _keep_to_own_groups(draft, before, plan, source_id)
    _name_credentials(draft, plan, key_files or {})
    _compare_hosts(draft, before, plan, prune=prune, source_id=source_id)
    targets = _group_targets(draft, before, plan, prune=prune, source_id=source_id)
    _compare_groups(targets, before, plan)
    return plan


def _leave_to_people(draft: Draft, plan: Plan) -> None:
    of_hosts = [host.values for host in draft.hosts.values()]
    of_groups = [group.values for group in draft.groups.values()]
    for values in (*of_hosts, *of_groups):
        for name in _NOT_OF_SOURCES:
            if values.pop(name, None) is not None:
                text = Sentence("The {name} is not taken from a source; people say it.", name=name)
                plan.notices[text] = plan.notices.get(text, 0) + 1


def _keep_to_own_groups(draft: Draft, before: Snapshot, plan: Plan, source_id: int) -> None:
    """Notes each group by which a source would reach what is not its own.

    A group decides on credentials, their scopes, jump hosts and host key policy: a program that could put hosts into a
    group of people would have their secrets sent wherever it says.
    """
    others = {name for name, group in before.groups.items() if group.source_id != source_id}
    people = {key for key, host in before.hosts.items() if host.source_id != source_id}
    for name, group in draft.groups.items():
        if name in others:
            message = Sentence(
                "Group {name} is not this source's, and no source changes a group of people or of another source. "
                "Rename one of the two, or remove the group.",
                name=name,
            )
            plan.faults.append(Fault(group.line, message))
        for child in group.children:
            if child in others:
                plan.faults.append(
                    Fault(
                        group.line,
                        Sentence(
                            "Group {name} is to hold {child}, which is not this source's.", name=name, child=child
                        ),
                    )
                )
        if group.values.get("jump") and (held := _below(draft, name) & people):
            text = Sentence(
                "Group {name} says jump hosts and holds hosts that are not this source's: {hosts}.",
                name=name,
                hosts=fold(sorted(held))[:200],
            )
            plan.faults.append(Fault(group.line, text))


def _below(draft: Draft, start: str) -> set[str]:
    hosts: set[str] = set()
    queue, seen = [start], {start}
    for name in queue:
        if name in draft.groups:
            hosts.update(draft.groups[name].hosts)
            queue += [child for child in draft.groups[name].children if child not in seen]
            seen.update(draft.groups[name].children)
    return hosts


def _name_credentials(draft: Draft, plan: Plan, key_files: Mapping[str, str]) -> None:
    names = {path: name for name, path in key_files.items()}
    by_file = {path.rpartition("/")[2]: name for path, name in names.items()}
    for host in draft.hosts.values():
        if host.identity is None or "credential" in host.values:
            continue
        name = names.get(host.identity) or by_file.get(host.identity.rpartition("/")[2])
        if name is not None:
            host.values["credential"] = name
        else:
            text = Sentence(
                "Key file {path} is no credential of this console (setting key_files).", path=host.identity[:200]
            )
            plan.notices[text] = plan.notices.get(text, 0) + 1


def _compare_hosts(draft: Draft, before: Snapshot, plan: Plan, *, prune: bool, source_id: int | None) -> None:
    for key, host in draft.hosts.items():
        old = before.hosts.get(key)
        if old is None:
            plan.new_hosts.append(host)
            plan.changes.append(Change("host", ADDED, host.name, host.line, tuple(_differences({}, host.values))))
        elif old.source_id != source_id:
            differs = next(_differences(old.values, host.values), None)
            if differs is not None:
                if old.source_id is not None:
                    text = Sentence("Hosts kept up by a source keep their own values.")
                else:
                    text = Sentence("Hosts kept up by people keep their own values.")
                plan.notices[text] = plan.notices.get(text, 0) + 1
        else:
            _compare_host(old, host, plan)
    if prune:
        for key, old in before.hosts.items():
            if key not in draft.hosts and old.source_id == source_id:
                plan.removed_hosts.append(old)
                plan.changes.append(Change("host", REMOVED, old.name))


def _compare_host(old: HostState, host: HostDraft, plan: Plan) -> None:
    parts = list(_differences(old.values, host.values))
    if host.name != old.name:
        parts.insert(0, FieldChange("name", old.name, host.name))
    if parts:
        plan.changed_hosts.append((old, host.name, host.values))
        plan.changes.append(Change("host", CHANGED, old.name, host.line, tuple(parts)))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name, value in new.items():
        known = old.get(name, _EMPTY.get(name))
        if known == value:
            continue
        if name != "tags":
            yield FieldChange(name, as_text(known), as_text(value))
            continue
        for key in sorted({*known, *value}):
            if known.get(key) != value.get(key):
                yield FieldChange(f"tag {key}", as_text(known.get(key)), as_text(value.get(key)))


def as_text(value: Any) -> str:
    """Returns a field's value as a person reads it; nothing for what is not set."""
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)


def _group_targets(
    draft: Draft, before: Snapshot, plan: Plan, *, prune: bool, source_id: int | None
) -> dict[str, GroupTarget]:
    removed_hosts = {host.key for host in plan.removed_hosts}
    targets = {}
    for name, group in draft.groups.items():
        old = before.groups.get(name)
        exact = old is None or (prune and old.source_id == source_id)
        if old is not None and old.source_id != source_id:
            group.values = {}
        targets[name] = _target(group, old, exact=exact, known=draft.groups.keys() | before.groups.keys(), plan=plan)
    if prune:
        for name, old in before.groups.items():
            if name not in draft.groups and old.source_id == source_id:
                plan.removed_groups.append(old)
    gone = {group.name for group in plan.removed_groups}
    for name, old in before.groups.items():
        touched = not removed_hosts.isdisjoint(old.hosts) or not gone.isdisjoint(old.children)
        if name not in targets and name not in gone and touched:
            targets[name] = GroupTarget(name, old.hosts, old.children, {})
    for target in targets.values():
        target.hosts = tuple(key for key in target.hosts if key not in removed_hosts)
        target.children = tuple(child for child in target.children if child not in gone)
    _break_cycles(targets, draft, before, plan)
    return targets


def _target(group: GroupDraft, old: GroupState | None, *, exact: bool, known: Iterable[str], plan: Plan) -> GroupTarget:
    for child, line in list(group.children.items()):
        if child not in known:
            plan.faults.append(
                Fault(
                    line,
                    Sentence(
                        "Group {name} is to hold the group {child}, which does not exist.", name=group.name, child=child
                    ),
                )
            )
            del group.children[child]
    kept = _EMPTY_GROUP if exact or old is None else old
    hosts = tuple(dict.fromkeys((*kept.hosts, *group.hosts)))
    return GroupTarget(group.name, hosts, tuple(dict.fromkeys((*kept.children, *group.children))), group.values)


def _break_cycles(targets: Mapping[str, GroupTarget], draft: Draft, before: Snapshot, plan: Plan) -> None:
    """Leaves out each new link that would put a group inside of itself, and notes it as a fault."""

    def children(name: str) -> Iterable[str]:
        if name in targets:
            return targets[name].children
        return before.groups[name].children if name in before.groups else ()

    if cycle(targets, children) is None:
        return
    built = {name: list(before.groups[name].children if name in before.groups else ()) for name in targets}
    for name, target in targets.items():
        built[name] = [child for child in built[name] if child in target.children]
    for name, target in targets.items():
        for child in target.children:
            if child in built[name]:
                continue
            path = path_between(child, name, lambda at: built[at] if at in built else children(at))
            if path is None:
                built[name].append(child)
            else:
                line = draft.groups[name].children.get(child)
                message = Sentence("A group cannot be inside of itself: {way}.", way=" > ".join((name, *path)))
                plan.faults.append(Fault(line, message))
        target.children = tuple(child for child in target.children if child in built[name])


def cycle(names: Iterable[str], children: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
    """Returns the way from a group down to itself, its name first and last, or ``None`` when none is inside itself."""
    done: set[str] = set()
    for start in names:
        stack = [(start, iter(children(start)))]
        open_ = {start}
        while stack and start not in done:
            name, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif child in open_:
                way = [name for name, _ in stack]
                return (*way[way.index(child) :], child)
            elif child not in done:
                stack.append((child, iter(children(child))))
                open_.add(child)
    return None


def path_between(start: str, goal: str, children: Callable[[str], Iterable[str]]) -> tuple[str, ...] | None:
    """Returns the names from ``start`` down to ``goal``, both included, or ``None`` when it is not below."""
    came: dict[str, str | None] = {start: None}
    queue = [start]
    for name in queue:
        if name == goal:
            path: list[str] = []
            at: str | None = name
            while at is not None:
                path.append(at)
                at = came[at]
            return tuple(reversed(path))
        for child in children(name):
            if child not in came:
                came[child] = name
                queue.append(child)
    return None


def _compare_groups(targets: Mapping[str, GroupTarget], before: Snapshot, plan: Plan) -> None:
    for name, target in targets.items():
        old = before.groups.get(name, _EMPTY_GROUP)
        parts = [*_members("hosts", old.hosts, target.hosts), *_members("groups", old.children, target.children)]
        parts += _differences(old.values, target.values)
        if old is _EMPTY_GROUP or parts or (old.hosts, old.children) != (target.hosts, target.children):
            plan.groups.append(target)
        if old is _EMPTY_GROUP:
            plan.changes.append(Change("group", ADDED, name, None, tuple(parts)))
        elif parts:
            plan.changes.append(Change("group", CHANGED, name, None, tuple(parts)))
    for group in plan.removed_groups:
        plan.changes.append(Change("group", REMOVED, group.name))


def _members(what: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[FieldChange]:
    if set(old) == set(new):
        return
    gone, come = set(old) - set(new), set(new) - set(old)
    join = fold if what == "hosts" else ", ".join
    yield FieldChange(what, join([name for name in old if name in gone]), join([name for name in new if name in come]))
