"""From the targets of an order to hosts: which of them the inventory knows, and which are left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import HostSpec, Resolution, evaluate, fold, suggestions
from opsconsole.inventory.service import locate
from opsconsole.jobs.order import Order
from opsconsole.jobs.placing import Located
from opsconsole.jobs.targets import TargetResolver

_NAMED = 100


@dataclass(frozen=True, slots=True)
class Found:
    """The hosts of an order. ``unlisted`` are names outside of the inventory; ``skipped`` says that they were left
    out. ``instead`` are pairs of such names and what may have been meant, folded."""

    resolution: Resolution
    located: Sequence[Located]
    unlisted: tuple[HostSpec, ...]
    skipped: bool
    instead: tuple[tuple[str, str], ...]

    def told(self, *, allowed: bool) -> dict[str, Any]:
        """Returns the members of ``/resolve`` about unknown and frozen hosts; ``allowed`` says whether hosts outside of
        the inventory may be run on."""
        labels = [spec.label for spec in self.unlisted]
        frozen = [spec.label for spec in self.resolution.frozen]
        return {
            "unknown": labels[:_NAMED],
            "unknown_count": len(labels),
            "unknown_blocks": self.blocked(allowed=allowed),
            "unknown_skipped": self.skipped and bool(labels),
            "unknown_folded": fold(labels) if labels else "",
            "unknown_suggestions": [{"unknown": unknown, "use": use} for unknown, use in self.instead],
            "frozen": frozen[:_NAMED],
            "frozen_count": len(frozen),
            "frozen_folded": fold(frozen) if frozen else "",
        }

    def blocked(self, *, allowed: bool) -> bool:
        """Returns whether the order cannot be launched for names that the inventory does not know."""
        return bool(self.unlisted) and not self.skipped and not allowed


def find(session: Session, actor: Actor, order: Order, *, max_hosts: int, suggest: bool) -> Found:
    """Returns the hosts that an order names, without the frozen ones and, where it says ``skip_unknown``, without those
    that the inventory does not know. ``suggest``: look up what unknown names may have meant.

    Raises ``Invalid`` for what is wrong with the expressions, and when no host is left.
    """
    groups = TargetResolver(session, actor)
    resolution = evaluate(order.targets, order.exclude, groups=groups, max_hosts=max_hosts)
    entries = locate(session, [spec.name for spec in resolution.hosts])
    located = [Located(spec, entries.get(spec.name.lower())) for spec in resolution.hosts]
    unlisted = tuple(item.spec for item in located if item.entry is None)
    frozen = tuple(item.spec for item in located if item.entry is not None and item.entry.frozen)
    left = [item for item in located if not _left_out(item, skip_unknown=order.skip_unknown)]
    if not left:
        raise _nothing_left(frozen)
    instead = suggestions([spec.name for spec in unlisted], groups.all_names()) if suggest and unlisted else []
    # Without its # the number of a job reads as a port.
    instead += [(spec.label, f"failed:#{spec.port}") for spec in unlisted if spec.name == "failed" and spec.port]
    if len(left) < len(located):
        resolution = replace(resolution, hosts=tuple(item.spec for item in left), frozen=frozen)
    return Found(resolution, left, unlisted, order.skip_unknown, tuple(instead))


def _left_out(item: Located, *, skip_unknown: bool) -> bool:
    return skip_unknown if item.entry is None else item.entry.frozen


def _nothing_left(frozen: Sequence[HostSpec]) -> Invalid:
    if frozen:
        message = "Every host named here is frozen." if len(frozen) > 1 else "This host is frozen."
        code = "all_frozen"
    else:
        message = "The inventory knows none of these hosts."
        code = "all_unknown"
    return Invalid(message, errors=[FieldError("targets", message, code=code)])
