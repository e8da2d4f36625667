"""Answers a target expression's questions from the inventory, with few queries and only when asked."""

from collections.abc import Callable, Sequence
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.inventory.models import GroupMember, Host, HostGroup

# Returns the hosts of a job whose run is in one of the states, or None: no such job for this person.
JobHosts = Callable[[int, str], Sequence[str] | None]


class InventoryResolver:
    """The ``hostset.GroupResolver`` over the database; good for one evaluation, as it keeps what it has read.

    Jobs lie above the inventory, so whoever knows them hands in ``job_hosts``.
    """

    def __init__(self, session: Session, *, job_hosts: JobHosts | None = None) -> None:
        self._session = session
        self._job_hosts = job_hosts
        self._groups: dict[str, tuple[str, ...] | None] = {}

    def group(self, name: str) -> Sequence[str] | None:
        """Returns the members of ``@name`` in their order, or ``None`` when there is no such group."""
        if name not in self._groups:
            self._groups[name] = self._read_group(name)
        return self._groups[name]

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
        names = self._session.scalars(select(HostGroup.name).order_by(HostGroup.name))
        return sorted({*names, *(key for _, tags in self._hosts for key in tags)})

    @cached_property
    def _hosts(self) -> list[tuple[str, dict[str, object]]]:
        return [(name, tags) for name, tags in self._session.execute(select(Host.name, Host.tags).order_by(Host.key))]

    def _read_group(self, name: str) -> tuple[str, ...] | None:
        statement = (
            select(HostGroup.id, Host.name)
            .outerjoin(GroupMember, GroupMember.group_id == HostGroup.id)
            .outerjoin(Host, Host.id == GroupMember.host_id)
            .where(HostGroup.name == name)
            .order_by(GroupMember.position)
        )
        # A group without members has one row, without a host.
        members: list[str | None] = [host for _, host in self._session.execute(statement)]
        return tuple(host for host in members if host is not None) if members else None
