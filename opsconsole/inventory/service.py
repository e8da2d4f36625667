"""Hosts: registered, changed, frozen, removed, listed, found by name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Invalid, NotFound
from opsconsole.inventory import fields
from opsconsole.inventory.apply import lock, require_editor
from opsconsole.inventory.models import GroupMember, Host, HostGroup
from opsconsole.sentences import Sentence

# Databases limit the parameters of one statement (SQLite 32,766, PostgreSQL 65,535).
_PARAMETERS = 20_000
Value = TypeVar("Value")


def upsert_host(
    session: Session,
    name: str,
    *,
    address: str | None = None,
    port: int | None = None,
    user: str | None = None,
    credential: str | None = None,
    tags: Mapping[str, str] | None = None,
    now: datetime,
) -> Host:
    """Returns the host called ``name`` with exactly these values, made when there is none yet.

    ``None`` falls back to the console's settings, for ``address`` to the name. Names differ by more than the case of
    letters. Raises ``Invalid`` naming the faulty field.
    """
    cleaned = fields.host_name(name)
    host = locate(session, [cleaned]).get(cleaned.lower())
    if host is None:
        host = Host(key=cleaned.lower(), name=cleaned, created_at=now)
        session.add(host)
    else:
        host.version += 1
    host.name = cleaned
    host.address = fields.host_name(address, "address") if address is not None else None
    host.port = fields.required("port", port)
    host.user = fields.required("user", user)
    host.credential = credential
    host.tags = fields.clean("tags", dict(tags or {}))
    # A group made in the same transaction points to the host's number.
    session.flush()
    return host


def add_host(session: Session, name: str, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> Host:
    """Returns a new host. ``values`` holds fields by name, and ``groups``, the names of groups to put it in.

    Raises ``Forbidden``, ``Invalid``, ``Conflict`` (``host_exists``).
    """
    require_editor(actor)
    lock(session)
    cleaned = fields.host_name(name)
    if cleaned.lower() in locate(session, [cleaned]):
        raise Conflict("{name} is in the inventory already.", name=cleaned, code="host_exists")
    host = Host(key=cleaned.lower(), name=cleaned, frozen=False, tags={}, version=1, created_at=now)
    changed = _set(host, values)
    session.add(host)
    session.flush()  # Its groups point to the host's number.
    if values.get("groups"):
        changed["groups"] = _put_into(session, host, values["groups"])
    record(session, actor, "host.added", now=now, object=f"host:{cleaned}", detail=changed)
    return host


def change_host(
    session: Session,
    name: str,
    values: Mapping[str, Any],
    *,
    version: int | None,
    actor: Actor,
    now: datetime,
) -> Host:
    """Returns the host with the fields in ``values`` changed; ``name`` among them gives it another name.

    ``groups`` names exactly the groups it is in afterwards. Raises ``Forbidden``, ``NotFound``, ``Invalid``,
    ``Conflict``: another host has the name, or ``version`` is no longer the host's.
    """
    require_editor(actor)
    lock(session)
    host = get_host(session, name)
    require_version(version, host.version, host.name)
    before = {field: getattr(host, field) for field in fields.HOST_FIELDS}
    changed = _set(host, values)
    if values.get("name") is not None:
        changed |= _rename(session, host, values["name"])
    if values.get("groups") is not None:
        changed["groups"] = _put_into(session, host, values["groups"])
    told = {field: [before.get(field), value] for field, value in changed.items() if before.get(field) != value}
    if told:
        host.version += 1
        record(session, actor, "host.changed", now=now, object=f"host:{host.name}", detail=told)
    return host


def remove_hosts(
    session: Session, names: Iterable[str], *, version: int | None = None, actor: Actor, now: datetime
) -> int:
    """Takes hosts out of the inventory and returns how many; jobs keep their names. Raises as ``change_host``."""
    require_editor(actor)
    lock(session)
    found = _all_of(session, names)
    for host in found:
        require_version(version, host.version, host.name)
        session.delete(host)
        record(session, actor, "host.removed", now=now, object=f"host:{host.name}", detail=_facts(host))
    session.flush()
    return len(found)


def tag_hosts(
    session: Session,
    names: Iterable[str],
    *,
    put: Mapping[str, str],
    drop: Iterable[str] = (),
    actor: Actor,
    now: datetime,
) -> int:
    """Gives many hosts the tags ``put``, takes the tags with the keys ``drop`` away, returns how many hosts changed."""
    require_editor(actor)
    lock(session)
    tags = fields.clean("tags", dict(put))
    gone = set(drop)
    changed = []
    for host in _all_of(session, names):
        wanted = {key: value for key, value in host.tags.items() if key not in gone} | tags
        if wanted != host.tags:
            host.tags = fields.clean("tags", wanted)
            host.version += 1
            changed.append(host.name)
    if changed:
        detail = {"put": tags, "drop": sorted(gone), "hosts": changed}
        record(session, actor, "host.tagged", now=now, object="inventory", detail=detail)
    return len(changed)


def freeze_hosts(
    session: Session, names: Iterable[str], *, frozen: bool, reason: str = "", actor: Actor, now: datetime
) -> int:
    """Freezes hosts, so that no job takes them, or lets them go again; returns how many changed."""
    require_editor(actor)
    lock(session)
    why = fields.clean("frozen_reason", reason) if frozen else None
    changed = []
    for host in _all_of(session, names):
        if (host.frozen, host.frozen_reason) != (frozen, why):
            host.frozen, host.frozen_reason = frozen, why
            host.version += 1
            changed.append(host.name)
    if changed:
        action = "host.frozen" if frozen else "host.unfrozen"
        record(session, actor, action, now=now, object="inventory", detail={"hosts": changed, "reason": why})
    return len(changed)


def hosts(session: Session, *, q: str = "", after: str = "", limit: int = 200) -> list[Host]:
    """Returns hosts by name: those with ``q`` in name or address, from behind the name ``after`` on."""
    statement = select(Host).where(Host.key > after.lower(), *like(q)).order_by(Host.key).limit(limit)
    return list(session.scalars(statement))


def count_hosts(session: Session, *, q: str = "") -> int:
    """Returns how many hosts the inventory has, or how many with ``q`` in name or address."""
    return session.scalar(select(func.count()).select_from(Host).where(*like(q))) or 0


def like(q: str) -> list[ColumnElement[bool]]:
    """Returns the conditions on hosts with ``q`` in name or address; none for an empty one."""
    wanted = q.strip().lower()
    if not wanted:
        return []
    return [or_(Host.key.contains(wanted, autoescape=True), Host.address.icontains(wanted, autoescape=True))]


def get_host(session: Session, name: str) -> Host:
    """Returns the host called ``name``. Raises ``NotFound``."""
    host = session.scalars(select(Host).where(Host.key == name.strip().lower())).one_or_none()
    if host is None:
        raise NotFound("There is no such host in the inventory.", code="host_not_found")
    return host


def groups_of(session: Session, hosts: Sequence[Host]) -> dict[int, list[str]]:
    """Returns the names of the groups that each host is in itself, by the host's number."""
    found: dict[int, list[str]] = {host.id: [] for host in hosts}
    query = select(GroupMember.host_id, HostGroup.name).join(HostGroup, HostGroup.id == GroupMember.group_id)
    for part in in_parts(list(found)):
        for host_id, name in session.execute(query.where(GroupMember.host_id.in_(part)).order_by(HostGroup.name)):
            found[host_id].append(name)
    return found


def locate(session: Session, names: Iterable[str]) -> dict[str, Host]:
    """Returns the registered ones of ``names`` by their lower-case name, 20,000 a query."""
    keys = list({name.strip().lower() for name in names})
    found: dict[str, Host] = {}
    for part in in_parts(keys):
        found.update((host.key, host) for host in session.scalars(select(Host).where(Host.key.in_(part))))
    return found


def frozen_hosts(session: Session, names: Iterable[str]) -> dict[str, str | None]:
    """Returns the frozen ones of ``names``, by their lower-case name with the reason that was given."""
    found: dict[str, str | None] = {}
    for part in in_parts(list({name.lower() for name in names})):
        query = select(Host.key, Host.frozen_reason).where(Host.key.in_(part), Host.frozen)
        found.update((key, reason) for key, reason in session.execute(query))
    return found


def in_parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Yields ``values`` in parts that fit into one statement."""
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]


def require_version(wanted: int | None, version: int, name: str) -> None:
    """Raises ``Conflict`` when somebody changed ``name`` since the version that the caller saw."""
    if wanted is not None and wanted != version:
        raise Conflict(
            "Somebody changed {name} meanwhile. Look at it again. Nothing was changed.",
            name=name,
            code="version_changed",
            extra={"version": version},
        )


def unknown_hosts(names: Sequence[str]) -> Invalid:
    """Returns the error for names that no host has."""
    message = Sentence("Not in the inventory: {hosts}", hosts=", ".join(map(repr, names[:10])))
    return Invalid(message, errors=[FieldError("hosts", message, code="unknown_hosts")])


def _set(host: Host, values: Mapping[str, Any]) -> dict[str, Any]:
    changed = {field: fields.clean(field, values[field]) for field in fields.HOST_FIELDS if field in values}
    if changed.get("frozen") is False:
        changed["frozen_reason"] = None
    for field, value in changed.items():
        setattr(host, field, value)
    return changed


def _rename(session: Session, host: Host, name: str) -> dict[str, Any]:
    cleaned = fields.host_name(name)
    if cleaned == host.name:
        return {}
    if cleaned.lower() != host.key and cleaned.lower() in locate(session, [cleaned]):
        raise Conflict("{name} is in the inventory already.", name=cleaned, code="host_exists")
    host.key, host.name = cleaned.lower(), cleaned
    return {"name": cleaned}


def _put_into(session: Session, host: Host, names: Iterable[str]) -> list[str]:
    wanted = sorted({fields.group_name(name, "groups") for name in names})
    found = {group.name: group for group in session.scalars(select(HostGroup).where(HostGroup.name.in_(wanted)))}
    unknown = [name for name in wanted if name not in found]
    if unknown:
        message = Sentence("There is no group {names}.", names=", ".join(unknown[:5]))
        raise Invalid(message, errors=[FieldError("groups", message, code="unknown_group")])
    have = {member.group_id: member for member in session.scalars(_memberships(host))}
    for group in found.values():
        if have.pop(group.id, None) is None:
            last = session.scalar(select(func.max(GroupMember.position)).where(GroupMember.group_id == group.id))
            session.add(GroupMember(group_id=group.id, host_id=host.id, position=0 if last is None else last + 1))
            group.version += 1
    for member in have.values():
        session.delete(member)
    session.flush()
    return wanted


def _memberships(host: Host) -> Any:
    return select(GroupMember).where(GroupMember.host_id == host.id)


def _all_of(session: Session, names: Iterable[str]) -> list[Host]:
    keys = list(dict.fromkeys(name.strip().lower() for name in names))
    found = locate(session, keys)
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise unknown_hosts(unknown)
    return [found[key] for key in keys]


def _facts(host: Host) -> dict[str, Any]:
    return {field: value for field in fields.HOST_FIELDS if (value := getattr(host, field)) not in (None, {}, False)}
