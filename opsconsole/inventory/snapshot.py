"""The whole inventory as values, read with three queries: what an import is compared with and an export is made of."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.inventory.fields import GROUP_FIELDS, HOST_FIELDS
from opsconsole.inventory.models import GroupLink, GroupMember, Host, HostGroup


@dataclass(frozen=True, slots=True)
class HostState:
    """One host: its fields by name."""

    id: int
    key: str
    name: str
    version: int
    source_id: int | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GroupState:
    """One group: its fields by name, the keys of its own hosts and the names of the groups in it, in order."""

    id: int
    name: str
    version: int
    source_id: int | None
    values: dict[str, Any] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hosts by key and groups by name, both in order."""

    hosts: dict[str, HostState]
    groups: dict[str, GroupState]

    def groups_of(self) -> dict[str, list[str]]:
        """Returns the names of the groups that each host is in itself, by the host's key."""
        found: dict[str, list[str]] = defaultdict(list)
        for group in self.groups.values():
            for key in group.hosts:
                found[key].append(group.name)
        return found


def snapshot(session: Session) -> Snapshot:
    """Returns the inventory as it is in this transaction."""
    hosts = _hosts(session)
    by_id = {host.id: host.key for host in hosts.values()}
    members: dict[int, list[str]] = defaultdict(list)
    rows = select(GroupMember.group_id, GroupMember.host_id).order_by(GroupMember.group_id, GroupMember.position)
    for group_id, host_id in session.execute(rows):
        members[group_id].append(by_id[host_id])
    columns = [getattr(HostGroup, name) for name in GROUP_FIELDS]
    heads = session.execute(
        select(HostGroup.id, HostGroup.name, HostGroup.version, HostGroup.source_id, *columns)
    ).all()
    names = {row.id: row.name for row in heads}
    children: dict[int, list[str]] = defaultdict(list)
    links = select(GroupLink.parent_id, GroupLink.child_id).order_by(GroupLink.parent_id, GroupLink.position)
    for parent, child in session.execute(links):
        children[parent].append(names[child])
    groups = {
        row.name: GroupState(
            row.id,
            row.name,
            row.version,
            row.source_id,
            {name: getattr(row, name) for name in GROUP_FIELDS},
            tuple(members[row.id]),
            tuple(children[row.id]),
        )
        for row in sorted(heads, key=lambda row: row.name)
    }
    return Snapshot(hosts, groups)


def _hosts(session: Session) -> dict[str, HostState]:
    columns = [getattr(Host, name) for name in HOST_FIELDS]
    rows = session.execute(select(Host.id, Host.key, Host.name, Host.version, Host.source_id, *columns))
    found = [
        HostState(number, key, name, version, source_id, dict(zip(HOST_FIELDS, values, strict=True)))
        for number, key, name, version, source_id, *values in rows
    ]
    return {host.key: host for host in sorted(found, key=lambda host: host.key)}
