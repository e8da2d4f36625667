"""Which jump hosts lead to a host. The nearest word counts: the run's, the host's, a group's, the console's.

A way is written as OpenSSH has it, ``user@bastion:22,inner``, the jump host nearest to the console first; ``none`` is
the direct way. A jump host that is in the inventory is itself reached by its own way, or that of its groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import HostSpec, parse_host
from opsconsole.inventory import fields
from opsconsole.inventory.inherited import Inherited, inherited
from opsconsole.inventory.models import Host
from opsconsole.inventory.service import locate
from opsconsole.sentences import Sentence

DIRECT = "none"


@dataclass(frozen=True, slots=True)
class Way:
    """The jump hosts to a host, none for the direct way, and who says so: ``run``, ``host``, ``group NAME``,
    ``console``, or nobody."""

    hops: tuple[HostSpec, ...] = ()
    source: str = ""

    @property
    def text(self) -> str | None:
        """The way as it is kept with a run; ``None`` for the direct one."""
        return ",".join(hop.label for hop in self.hops) or None

    @property
    def first(self) -> str | None:
        """The jump host that the console itself connects to, by its name in lower case."""
        return self.hops[0].name.lower() if self.hops else None


def parse_way(text: str) -> tuple[HostSpec, ...]:
    """Returns the jump hosts of ``user@bastion:22,inner``, none for ``none``. Raises ``Invalid`` for ``jump``."""
    return _parse(text)


# Thousands of hosts are reached by a handful of ways.
@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[HostSpec, ...]:
    cleaned = fields.clean("jump", text)
    return () if cleaned in (None, DIRECT) else tuple(parse_host(part) for part in cleaned.split(","))


@dataclass(slots=True)
class _Known:
    """What the inventory says of hosts and jump hosts, by lower-case name; ``None`` for a name it does not have."""

    hosts: dict[str, Host | None] = field(default_factory=dict)
    groups: dict[int, Inherited] = field(default_factory=dict)

    def own(self, name: str) -> tuple[str | None, str]:
        """Returns what is said of the way to ``name`` in the inventory, and by whom."""
        host = self.hosts.get(name)
        if host is None:
            return None, ""
        if host.jump is not None:
            return host.jump, "host"
        group = self.groups.get(host.id)
        return (group.value, f"group {group.group}") if group is not None else (None, "")


def find_ways(
    session: Session, hosts: Sequence[tuple[str, Host | None]], *, chosen: str | None, default: str | None
) -> list[Way]:
    """Returns the way to each of ``hosts``, given as name and entry of the inventory, in their order.

    ``chosen`` is what the run says, ``default`` what the console does. A host that stands on its own way is reached by
    the part of it that leads there. Raises ``Invalid`` for ``jump`` when the ways of hosts lead in a circle or are
    longer than a host's may be.
    """
    known = _Known({name.lower(): entry for name, entry in hosts})
    texts = [text for text in (chosen, default) if text]
    known.groups = inherited(session, [entry.id for _, entry in hosts if entry is not None], "jump")
    texts += [entry.jump for _, entry in hosts if entry is not None and entry.jump]
    _learn(session, known, [*dict.fromkeys(texts), *{group.value for group in known.groups.values()}])
    return [_way(known, name.lower(), chosen, default) for name, _ in hosts]


def _learn(session: Session, known: _Known, texts: Sequence[str]) -> None:
    """Looks up the jump hosts that ``texts`` name, those on the way to these, and so on."""
    while texts:
        names = {hop.name.lower() for text in texts for hop in parse_way(text)} - known.hosts.keys()
        found = locate(session, names)
        known.hosts |= {name: found.get(name) for name in names}
        known.groups |= inherited(session, [host.id for host in found.values()], "jump")
        texts = [text for text in (known.own(name)[0] for name in names) if text]


def _way(known: _Known, name: str, chosen: str | None, default: str | None) -> Way:
    text, source = (chosen, "run") if chosen else known.own(name)
    if text is None:
        text, source = default, "console" if default else ""
    if not text:
        return Way()
    hops = _cut(parse_way(text), {name}, name, source)
    on_the_way = {name, *(hop.name.lower() for hop in hops)}
    while hops:
        first = hops[0].name.lower()
        before, who = known.own(first)
        front = _cut(parse_way(before), on_the_way, first, who) if before else ()
        if not front:
            break
        hops = (*front, *hops)
        on_the_way |= {hop.name.lower() for hop in front}
        if len(hops) > fields.MAX_HOPS:
            raise _fault(
                Sentence(
                    "More than {limit} jump hosts would stand between the console and {name}.",
                    limit=fields.MAX_HOPS,
                    name=name,
                )
            )
    return Way(hops, source)


def _cut(hops: tuple[HostSpec, ...], seen: set[str], name: str, source: str) -> tuple[HostSpec, ...]:
    """Returns the part of ``hops`` before one that is on the way already, as is the case for a jump host that is in
    the group which it serves. What a host says itself must not lead in a circle."""
    for place, hop in enumerate(hops):
        if hop.name.lower() in seen:
            if source == "host":
                raise _fault(
                    Sentence("The way to {name} leads in a circle: it goes through {hop}.", name=name, hop=hop.name)
                )
            return hops[:place]
    return hops


def _fault(message: str) -> Invalid:
    return Invalid(message, errors=[FieldError("jump", message, code="bad_jump")])
