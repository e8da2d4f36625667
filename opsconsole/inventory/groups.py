"""Groups of hosts and of other groups: made, changed, removed, listed. No group is ever inside of itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Invalid, NotFound
from opsconsole.inventory import fields
from opsconsole.inventory.apply import lock, require_editor
from opsconsole.inventory.models import GroupLink, GroupMember, Host, HostGroup
from opsconsole.inventory.plan import path_between
from opsconsole.inventory.service import in_parts, locate, require_version, unknown_hosts
from opsconsole.sentences import Sentence


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A group's name and how many hosts it has itself."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group as people see it: its own hosts by name, the groups in it, the groups it is in."""

    name: str
    notes: str | None
    credential: str | None
    jump: str | None
    profile: str | None
    host_key_policy: str | None
    version: int
    source_id: int | None
    hosts: tuple[str, ...]
    children: tuple[str, ...]
    parents: tuple[str, ...]


def set_group(session: Session, name: str, host_names: Iterable[str]) -> HostGroup:
    """Returns the group ``name`` with exactly these hosts, in this order; repeats count once.

    Raises ``Invalid`` for a name that an expression could not carry and for hosts that are not registered.
    """
    cleaned = fields.group_name(name)
    group = session.scalars(select(HostGroup).where(HostGroup.name == cleaned)).one_or_none()
    if group is None:
        group = HostGroup(name=cleaned, version=1)
        session.add(group)
    else:
        group.version += 1
    _set_hosts(session, group, host_names)
    session.flush()
    return group


def add_group(session: Session, name: str, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> GroupView:
    """Returns a new group. ``values`` may hold ``hosts``, ``children`` and ``fields.GROUP_FIELDS``.

    Raises ``Forbidden``, ``Invalid``, ``Conflict`` (``group_exists``).
    """
    require_editor(actor)
    lock(session)
    cleaned = fields.group_name(name)
    if session.scalar(select(HostGroup.id).where(HostGroup.name == cleaned)) is not None:
        raise Conflict("There is a group {name} already.", name=cleaned, code="group_exists")
    group = HostGroup(name=cleaned, version=1)
    session.add(group)
    session.flush()  # What is in it points to the group's number.
    told = _set(session, group, values)
    record(session, actor, "group.added", now=now, object=f"group:{cleaned}", detail=told)
    return get_group(session, cleaned)


def change_group(
    session: Session,
    name: str,
    values: Mapping[str, Any],
    *,
    version: int | None,
    actor: Actor,
    now: datetime,
) -> GroupView:
    """Returns the group with what ``values`` holds changed: ``name``, ``hosts``, ``children`` (all), ``GROUP_FIELDS``.

    Raises ``Forbidden``, ``NotFound``, ``Invalid``, ``Conflict``.
    """
    require_editor(actor)
    lock(session)
    group = _group(session, name)
    require_version(version, group.version, group.name)
    told = _set(session, group, values)
    renamed = values.get("name")
    if renamed is not None and fields.group_name(renamed) != group.name:
        cleaned = fields.group_name(renamed)
        if session.scalar(select(HostGroup.id).where(HostGroup.name == cleaned)) is not None:
            raise Conflict("There is a group {name} already.", name=cleaned, code="group_exists")
        group.name = told["name"] = cleaned
    group.version += 1
    record(session, actor, "group.changed", now=now, object=f"group:{name}", detail=told)
    session.flush()
    return get_group(session, group.name)


def remove_group(session: Session, name: str, *, version: int | None = None, actor: Actor, now: datetime) -> None:
    """Removes a group; its hosts stay in the inventory. Raises ``Forbidden``, ``NotFound``, ``Conflict``."""
    require_editor(actor)
    lock(session)
    group = _group(session, name)
    require_version(version, group.version, group.name)
    view = get_group(session, group.name)
    session.execute(delete(HostGroup).where(HostGroup.id == group.id))
    session.expire_all()
    detail = {"hosts": len(view.hosts), "children": list(view.children), "parents": list(view.parents)}
    record(session, actor, "group.removed", now=now, object=f"group:{view.name}", detail=detail)


def get_group(session: Session, name: str) -> GroupView:
    """Returns one group. Raises ``NotFound``."""
    group = _group(session, name)
    hosts = select(Host.name).join(GroupMember, GroupMember.host_id == Host.id)
    children = select(HostGroup.name).join(GroupLink, GroupLink.child_id == HostGroup.id)
    parents = select(HostGroup.name).join(GroupLink, GroupLink.parent_id == HostGroup.id)
    return GroupView(
        group.name,
        group.notes,
        group.credential,
        group.jump,
        group.profile,
        group.host_key_policy,
        group.version,
        group.source_id,
        tuple(session.scalars(hosts.where(GroupMember.group_id == group.id).order_by(GroupMember.position))),
        tuple(session.scalars(children.where(GroupLink.parent_id == group.id).order_by(GroupLink.position))),
        tuple(session.scalars(parents.where(GroupLink.child_id == group.id).order_by(HostGroup.name))),
    )


def groups(session: Session) -> list[GroupSize]:
    """Returns all groups by name."""
    count = func.count(GroupMember.host_id)
    statement = select(HostGroup.name, count).outerjoin(GroupMember).group_by(HostGroup.id, HostGroup.name)
    return [GroupSize(name, size) for name, size in session.execute(statement.order_by(HostGroup.name))]


def children_of(session: Session) -> dict[str, list[str]]:
    """Returns the groups in each group that holds any, by name and in order."""
    names = {row.id: row.name for row in session.execute(select(HostGroup.id, HostGroup.name))}
    found: dict[str, list[str]] = defaultdict(list)
    links = select(GroupLink.parent_id, GroupLink.child_id).order_by(GroupLink.parent_id, GroupLink.position)
    for parent, child in session.execute(links):
        found[names[parent]].append(names[child])
    return found


def groups_of_hosts(session: Session, host_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Returns the names of the groups that hosts are in: those that name them, by name, then those around these."""
    names = {row.id: row.name for row in session.execute(select(HostGroup.id, HostGroup.name))}
    outer: dict[int, list[int]] = {}
    for parent, child in session.execute(select(GroupLink.parent_id, GroupLink.child_id)):
        outer.setdefault(child, []).append(parent)
    own: dict[int, list[int]] = {}
    for ids in in_parts(host_ids):
        query = select(GroupMember.host_id, GroupMember.group_id).where(GroupMember.host_id.in_(ids))
        for host_id, group_id in session.execute(query):
            own.setdefault(host_id, []).append(group_id)
    # Many hosts are in the same groups, so each such set is looked at once.
    around: dict[tuple[int, ...], tuple[str, ...]] = {}
    found: dict[int, tuple[str, ...]] = {}
    for host_id, group_ids in own.items():
        key = tuple(sorted(group_ids, key=names.__getitem__))
        if key not in around:
            around[key] = tuple(names[group_id] for group_id in (*key, *_around(key, outer, names)))
        found[host_id] = around[key]
    return found


def _around(group_ids: Sequence[int], outer: Mapping[int, Sequence[int]], names: Mapping[int, str]) -> list[int]:
    """Returns the groups that ``group_ids`` are in, directly or not, by name, without these themselves."""
    stack, seen = list(group_ids), set(group_ids)
    while stack:
        more = [parent for parent in outer.get(stack.pop(), ()) if parent not in seen]
        seen.update(more)
        stack.extend(more)
    return sorted(seen.difference(group_ids), key=names.__getitem__)


def _group(session: Session, name: str) -> HostGroup:
    group = session.scalars(select(HostGroup).where(HostGroup.name == name.strip())).one_or_none()
    if group is None:
        raise NotFound("There is no such group.", code="group_not_found")
    return group


def _set(session: Session, group: HostGroup, values: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in fields.GROUP_FIELDS:
        if name in values:
            told[name] = fields.clean(name, values[name])
            setattr(group, name, told[name])
    if values.get("hosts") is not None:
        told["hosts"] = _set_hosts(session, group, values["hosts"])
    if values.get("children") is not None:
        told["children"] = _set_children(session, group, values["children"])
    session.flush()
    return told


def _set_hosts(session: Session, group: HostGroup, names: Iterable[str]) -> list[str]:
    keys = list(dict.fromkeys(name.strip().lower() for name in names))
    found = locate(session, keys)
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise unknown_hosts(unknown)
    present = {member.host_id: member for member in group.members}
    members = [present.get(found[key].id) or GroupMember(host=found[key]) for key in keys]
    for position, member in enumerate(members):
        member.position = position
    group.members = members
    return [found[key].name for key in keys]


def _set_children(session: Session, group: HostGroup, names: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(name.strip().removeprefix("@") for name in names))
    ids: dict[str, int] = {}
    for part in in_parts(wanted):
        query = select(HostGroup.name, HostGroup.id).where(HostGroup.name.in_(part))
        ids.update((name, number) for name, number in session.execute(query))
    unknown = [name for name in wanted if name not in ids]
    if unknown:
        raise _invalid(Sentence("There is no group {names}.", names=", ".join(unknown[:5])), "unknown_group")
    below = children_of(session)
    for name in wanted:
        path = path_between(name, group.name, lambda at: below.get(at, ()))
        if path is not None:
            raise _invalid(
                Sentence("A group cannot be inside of itself: {way}.", way=" > ".join((group.name, *path))), "cycle"
            )
    session.execute(delete(GroupLink).where(GroupLink.parent_id == group.id))
    session.add_all(
        GroupLink(parent_id=group.id, child_id=ids[name], position=position) for position, name in enumerate(wanted)
    )
    return wanted


def _invalid(message: str, code: str) -> Invalid:
    return Invalid(message, errors=[FieldError("children", message, code=code)])
