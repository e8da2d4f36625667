"""The hosts of ``opsconsole up --simulate``: entered before anything runs, taken out when one starts without them.

Nothing is ever dialled for them; jobs keep their names, so the history stays as it is.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from opsconsole.errors import Conflict, Invalid
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.models import GroupMember, Host, HostGroup

GROUP = "simulated"
FIRST_COMMAND = "cat /etc/os-release"
# So that a first look shows what a fleet is like: some hosts are down, some fail, few hang.
USUAL = "connect_seconds=0.1 median_seconds=1 spread=0.6 failures=2% unreachable=1% hangs=0.1% lost=0.1%"
_MOST = 20_000
_PREFIX = "sim"
_DCS = ("ams", "fra", "sin", "iad")
_ROLES = ("web", "web", "web", "app", "app", "db", "cache", "queue")
_ENVS = ("production", "production", "production", "staging", "dev")
_BATCH = 1000


def check(count: int) -> None:
    """Raises ``Invalid`` for a fleet that is too large."""
    if not 1 <= count <= _MOST:
        raise Invalid(f"A simulated fleet has 1 to {_MOST:,} hosts.", code="simulate")


def names(count: int) -> list[str]:
    """Returns the names of ``count`` hosts."""
    width = max(3, len(str(count)))
    return [f"{_PREFIX}{number:0{width}d}" for number in range(1, count + 1)]


def enter(session: Session, count: int, now: datetime) -> None:
    """Puts ``count`` simulated hosts and their group into the inventory, in the place of a former fleet.

    Raises ``Conflict`` when a host that is not one of the fleet's has one of the names.
    """
    leave(session)
    wanted = names(count)
    taken = session.scalars(select(Host.name).where(Host.key.like(f"{_PREFIX}%"))).all()
    if clash := sorted(set(taken) & set(wanted)):
        raise Conflict(f"The inventory has another host named {clash[0]}; rename it first.", code="simulate")
    rows = [_row(number, name, now) for number, name in enumerate(wanted)]
    for start in range(0, count, _BATCH):
        session.execute(insert(Host), rows[start : start + _BATCH])
    group = session.scalars(select(HostGroup).where(HostGroup.name == GROUP)).one_or_none()
    if group is None:
        group = HostGroup(name=GROUP, notes="Hosts that are only played: nothing is ever connected to.")
        session.add(group)
        session.flush()
    ids = dict(session.execute(select(Host.key, Host.id).where(Host.key.like(f"{_PREFIX}%"))).tuples().all())
    members = [{"group_id": group.id, "host_id": ids[name], "position": place} for place, name in enumerate(wanted)]
    for start in range(0, count, _BATCH):
        session.execute(insert(GroupMember), members[start : start + _BATCH])


def leave(session: Session) -> None:
    """Takes the fleet out of the inventory, and its group too unless others have joined it."""
    group = session.scalars(select(HostGroup).where(HostGroup.name == GROUP)).one_or_none()
    if group is None:
        return
    members = select(GroupMember.host_id).where(GroupMember.group_id == group.id)
    mine = select(Host.id).where(Host.id.in_(members), Host.executor == Executor.SIMULATE.value)
    mine = mine.where(Host.key.like(f"{_PREFIX}%"))
    gone = list(session.scalars(mine))
    for start in range(0, len(gone), _BATCH):
        part = gone[start : start + _BATCH]
        session.execute(delete(GroupMember).where(GroupMember.host_id.in_(part)))
        session.execute(delete(Host).where(Host.id.in_(part)))
    session.expire_all()
    if not session.scalars(members.limit(1)).first():
        session.delete(group)
    session.flush()


def _row(number: int, name: str, now: datetime) -> dict[str, Any]:
    tags = {
        "dc": _DCS[number % len(_DCS)],
        "role": _ROLES[number // len(_DCS) % len(_ROLES)],
        "env": _ENVS[number // 7 % len(_ENVS)],
    }
    return {
        "key": name,
        "name": name,
        "tags": tags,
        "executor": Executor.SIMULATE.value,
        "frozen": False,
        "version": 1,
        "created_at": now,
    }
