"""Hosts and groups: registered, listed, found by name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import parse_host
from opsconsole.inventory.models import GroupMember, Host, HostGroup

# Databases limit the parameters of one statement (SQLite 32,766, PostgreSQL 65,535).
_PARAMETERS = 20_000
# Marks that a group or a tag may have in a target expression beside letters and digits.
_MARKS = "_.+-/"
_VALUE_MARKS = _MARKS + "=:@%~"


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A group's name and how many hosts it has."""

    name: str
    count: int


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
    cleaned = _host_name(name, "name")
    host = locate(session, [cleaned]).get(cleaned.lower())
    if host is None:
        host = Host(key=cleaned.lower(), name=cleaned, created_at=now)
        session.add(host)
    host.name = cleaned
    host.address = _host_name(address, "address") if address is not None else None
    host.port = _port(port)
    host.user = _user(user)
    host.credential = credential
    host.tags = {_word(key, "tags", _MARKS): _word(value, "tags", _VALUE_MARKS) for key, value in (tags or {}).items()}
    # A group made in the same transaction points to the host's number.
    session.flush()
    return host


def set_group(session: Session, name: str, host_names: Iterable[str]) -> HostGroup:
    """Returns the group ``name`` with exactly these hosts, in this order; repeats count once.

    Raises ``Invalid`` for a name that an expression could not carry and for hosts that are not registered.
    """
    cleaned = _word(name, "name", _MARKS)
    keys = list(dict.fromkeys(host_name.strip().lower() for host_name in host_names))
    found = locate(session, keys)
    unknown = [key for key in keys if key not in found]
    if unknown:
        message = f"Not in the inventory: {', '.join(map(repr, unknown[:10]))}"
        raise Invalid(message, errors=[FieldError("hosts", message, code="unknown_hosts")])
    group = session.scalars(select(HostGroup).where(HostGroup.name == cleaned)).one_or_none()
    if group is None:
        group = HostGroup(name=cleaned)
        session.add(group)
    present = {member.host_id: member for member in group.members}
    members = [present.get(found[key].id) or GroupMember(host=found[key]) for key in keys]
    for position, member in enumerate(members):
        member.position = position
    group.members = members
    session.flush()
    return group


def hosts(session: Session, *, q: str = "", after: str = "", limit: int = 200) -> list[Host]:
    """Returns hosts by name: those with ``q`` in name or address, from behind the name ``after`` on."""
    statement = select(Host).where(Host.key > after.lower()).order_by(Host.key).limit(limit)
    if q:
        wanted = q.strip().lower()
        matching = or_(Host.key.contains(wanted, autoescape=True), Host.address.icontains(wanted, autoescape=True))
        statement = statement.where(matching)
    return list(session.scalars(statement))


def groups(session: Session) -> list[GroupSize]:
    """Returns all groups by name."""
    count = func.count(GroupMember.host_id)
    statement = select(HostGroup.name, count).outerjoin(GroupMember).group_by(HostGroup.id, HostGroup.name)
    return [GroupSize(name, size) for name, size in session.execute(statement.order_by(HostGroup.name))]


def locate(session: Session, names: Iterable[str]) -> dict[str, Host]:
    """Returns the registered ones of ``names`` by their lower-case name, 20,000 a query."""
    keys = list({name.strip().lower() for name in names})
    found: dict[str, Host] = {}
    for part in in_parts(keys):
        found.update((host.key, host) for host in session.scalars(select(Host).where(Host.key.in_(part))))
    return found


def in_parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Yields ``values`` in parts that fit into one statement."""
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]


def _host_name(text: str, field: str) -> str:
    try:
        spec = parse_host(text.strip())
    except Invalid as error:
        faults = [FieldError(field, fault.message, fault.code, fault.column, fault.hint) for fault in error.errors]
        raise Invalid(error.detail, errors=faults) from None
    if spec.user is not None or spec.port is not None:
        raise _invalid(field, "Give user and port in their own fields.")
    return spec.name


def _port(port: int | None) -> int | None:
    if port is not None and not 1 <= port <= 65535:
        raise _invalid("port", "A port is a number from 1 to 65535.")
    return port


def _user(user: str | None) -> str | None:
    if user is None:
        return None
    try:
        parse_host(f"{user}@host")
    except Invalid as error:
        raise _invalid("user", error.detail) from None
    return user


def _word(text: str, field: str, marks: str) -> str:
    cleaned = text.strip()
    if not 1 <= len(cleaned) <= 100 or not all(char.isalnum() or char in marks for char in cleaned):
        raise _invalid(field, f"Use 1 to 100 letters, digits and {' '.join(marks)} here.")
    return cleaned


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message)])
