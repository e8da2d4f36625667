"""Answers a target expression's questions from the inventory, with few queries and only when asked."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from opsconsole.hostset import EmptyInventory
from opsconsole.inventory.models import GroupLink, GroupMember, Host, HostGroup
from opsconsole.inventory.service import in_parts

# Returns the hosts of a job whose run is in one of the states, or None: no such job for this person.
JobHosts = Callable[[int, str], Sequence[str] | None]
# Names all frozen hosts, where no group is called so.
FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class _Groups:
    """Every group's number, and what is in it."""

    ids: dict[str, int]
    children: dict[int, list[int]]


class InventoryResolver(EmptyInventory):
    """The ``hostset.GroupResolver`` over the database; good for one evaluation, as it keeps what it has read.

    Jobs lie above the inventory, so whoever knows them hands in ``job_hosts``.
    """

    def __init__(self, session: Session, *, job_hosts: JobHosts | None = None) -> None:
        self._session = session
        self._job_hosts = job_hosts
        self._members: dict[str, tuple[str, ...] | None] = {}

    def group(self, name: str) -> Sequence[str] | None:
        """Returns the members of ``@name``, or ``None`` when there is no such group.

        First its own in their order, then those of the groups in it, each host once. ``@frozen`` is a group of its own.
        """
        if name not in self._members:
            self._members[name] = self._read_group(name)
        return self._members[name]

    def tagged(self, key: str, value: str) -> Sequence[str]:
        """Returns the hosts whose tag ``key`` is ``value``, by name."""
        return [name for name, tags in self._hosts if key in tags and str(tags[key]) == value]

    def has_tag_key(self, key: str) -> bool:
        """Returns whether any host has a tag ``key``."""
        return any(key in tags for _, tags in self._hosts)

    def all_names(self) -> Sequence[str]:
        """Returns every host's name, sorted."""
        return [name for name, _ in self._hosts]

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        """Returns the hosts of a job whose run is in one of the states ``letters``, as the owner of jobs says."""
        return self._job_hosts(job_id, letters) if self._job_hosts else None

    def suggestions(self) -> Sequence[str]:
        """Returns the names of groups and tags, for "did you mean"."""
        return sorted({*self._groups.ids, *(key for _, tags in self._hosts for key in tags)})

    @cached_property
    def _hosts(self) -> list[tuple[str, dict[str, object]]]:
        # Thousands of hosts have a few sets of tags among them: each is read once.
        read: dict[str, dict[str, object]] = {}
        found = []
        for name, text in self._session.execute(select(Host.name, cast(Host.tags, Text)).order_by(Host.key)):
            if text not in read:
                read[text] = json.loads(text)
            found.append((name, read[text]))
        return found

    @cached_property
    def _groups(self) -> _Groups:
        query = select(HostGroup.id, HostGroup.name, GroupLink.child_id).outerjoin(
            GroupLink, GroupLink.parent_id == HostGroup.id
        )
        ids: dict[str, int] = {}
        children: dict[int, list[int]] = {}
        for number, name, child in self._session.execute(query.order_by(HostGroup.name, GroupLink.position)):
            ids[name] = number
            if child is not None:
                children.setdefault(number, []).append(child)
        return _Groups(ids, children)

    def _read_group(self, name: str) -> tuple[str, ...] | None:
        if name not in self._groups.ids:
            return tuple(self._session.scalars(_FROZEN_HOSTS)) if name == FROZEN else None
        numbers = list(self._inside(self._groups.ids[name]))
        members: dict[int, list[str]] = {}
        for part in in_parts(numbers):
            query = _MEMBERS.where(GroupMember.group_id.in_(part))
            for number, host in self._session.execute(query):
                members.setdefault(number, []).append(host)
        return tuple(dict.fromkeys(host for number in numbers for host in members.get(number, ())))

    def _inside(self, number: int) -> Iterator[int]:
        """Yields a group and all groups in it, outer ones first, each once."""
        stack, seen = [number], {number}
        while stack:
            at = stack.pop()
            yield at
            for child in reversed(self._groups.children.get(at, ())):
                if child not in seen:
                    seen.add(child)
                    stack.append(child)


_MEMBERS = (
    select(GroupMember.group_id, Host.name)
    .join(Host, Host.id == GroupMember.host_id)
    .order_by(GroupMember.group_id, GroupMember.position)
)
_FROZEN_HOSTS = select(Host.name).where(Host.frozen).order_by(Host.key)
