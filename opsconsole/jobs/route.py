"""The jump hosts on the way to a host as they are today: what a run keeps of its way is their names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from opsconsole.credentials.choice import Choice
from opsconsole.hostset import HostSpec
from opsconsole.inventory.inherited import Inherited, inherited
from opsconsole.inventory.models import Host
from opsconsole.inventory.profile import Profile
from opsconsole.inventory.service import locate
from opsconsole.inventory.ways import parse_way
from opsconsole.jobs.trust import Place
from opsconsole.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """A jump host before its key and its login are looked up.

    ``user``, ``choice`` and ``policy`` (of host keys) are what the way and the inventory say, ``None`` when they say
    nothing. ``usual_port`` is the one that the host has in the inventory.
    """

    host: str
    address: str
    port: int
    usual_port: int
    user: str | None
    choice: Choice | None
    policy: str | None
    profile: Profile

    @property
    def place(self) -> Place:
        """Where its key is looked up."""
        return Place(self.host, self.address, self.port, self.policy)


Route = tuple[Step, ...]


def read_routes(session: Session, settings: Settings, ways: Collection[str | None]) -> dict[str | None, Route]:
    """Returns the jump hosts of each way as ``HostRun.jump`` keeps them. One that is in the inventory has the address,
    port, user and credential that stand there or with its groups, but for what the way itself says."""
    hops = {way: parse_way(way) if way else () for way in ways}
    entries = locate(session, [hop.name for route in hops.values() for hop in route])
    groups = _Groups.read(session, [entry.id for entry in entries.values()])
    return {
        way: tuple(_step(settings, hop, entries.get(hop.name.lower()), groups) for hop in route)
        for way, route in hops.items()
    }


@dataclass(frozen=True, slots=True)
class _Groups:
    """What the groups of jump hosts say, by the host's number."""

    credentials: Mapping[int, Inherited]
    policies: Mapping[int, Inherited]
    profiles: Mapping[int, Inherited]

    @classmethod
    def read(cls, session: Session, host_ids: Sequence[int]) -> "_Groups":
        if not host_ids:
            return cls({}, {}, {})
        return cls(
            inherited(session, host_ids, "credential"),
            inherited(session, host_ids, "host_key_policy"),
            inherited(session, host_ids, "profile"),
        )


def _step(settings: Settings, hop: HostSpec, entry: Host | None, groups: _Groups) -> Step:
    usual_port = (entry.port if entry else None) or settings.ssh_port
    credential = _said(entry, entry.credential if entry else None, groups.credentials)
    return Step(
        host=hop.name,
        address=(entry.address if entry else None) or hop.name,
        port=hop.port or usual_port,
        usual_port=usual_port,
        user=hop.user or (entry.user if entry else None),
        choice=Choice.of_host(credential) if credential else None,
        policy=_said(entry, entry.host_key_policy if entry else None, groups.policies),
        profile=Profile(_said(entry, entry.profile if entry else None, groups.profiles) or Profile.MODERN),
    )


def _said(entry: Host | None, own: str | None, groups: Mapping[int, Inherited]) -> str | None:
    if own or entry is None or entry.id not in groups:
        return own or None
    return groups[entry.id].value
