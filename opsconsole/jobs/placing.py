"""Where the hosts of an order go: what of the inventory counts for it, and the placement that ``waves`` makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import SystemRandom

from sqlalchemy.orm import Session

from opsconsole.hostset import HostSpec
from opsconsole.inventory.groups import groups_of_hosts
from opsconsole.inventory.models import Host
from opsconsole.inventory.ways import Way
from opsconsole.jobs.limits import NO_CAPS, Caps
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.waves import (
    GROUP,
    Canary,
    Placement,
    Sequencing,
    Traits,
    Waves,
    check_limits,
    limit_keys,
    parse_limit_per,
    place,
)

_RANDOM = SystemRandom()


@dataclass(frozen=True, slots=True)
class Located:
    """A target and the inventory's entry for it; ``None`` for a name outside the inventory."""

    spec: HostSpec
    entry: Host | None


@dataclass(frozen=True, slots=True)
class Places:
    """The placement of an order's hosts and, in the order of the roster, the limits each counts for."""

    placement: Placement
    limit_keys: list[list[str] | None]


def place_hosts(
    session: Session,
    located: Sequence[Located],
    options: RunOptions,
    *,
    ways: Sequence[Way],
    caps: Caps = NO_CAPS,
) -> Places:
    """Returns where the hosts go, and for which of the job's own limits and of ``caps`` they count; ``ways`` lead to
    them, in their order.

    Raises ``Invalid`` when the options name a tag that no host has, or make too many waves.
    """
    order = Sequencing.parse(options.order)
    canary = Canary.parse(options.canary) if options.canary else None
    waves = Waves.parse(options.waves) if options.waves else None
    own = parse_limit_per(options.limit_per) if options.limit_per else {}
    asks_groups = GROUP in {*own, *caps.names, order.spread, canary.each if canary else None}
    traits = _traits(session, located, ways, asks_groups=asks_groups)
    check_limits(own, traits)
    placement = place(traits, _RANDOM.sample, order=order, canary=canary, waves=waves)
    names = sorted({*own, *caps.names})
    keys = [
        [key for key in limit_keys(host, names) if key.partition("=")[0] in own or caps.of(key) is not None] or None
        for host in traits
    ]
    return Places(placement, keys)


def _traits(session: Session, located: Sequence[Located], ways: Sequence[Way], *, asks_groups: bool) -> list[Traits]:
    ids = [item.entry.id for item in located if item.entry]
    groups = groups_of_hosts(session, ids) if asks_groups else {}
    return [
        Traits({key: str(value) for key, value in item.entry.tags.items()}, groups.get(item.entry.id, ()), way.first)
        if item.entry
        else Traits({}, jump=way.first)
        for item, way in zip(located, ways, strict=True)
    ]
