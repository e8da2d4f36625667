"""Which hosts of an order would be refused because another host key was shown there, before anything connects."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.hostset import fold
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.hostkeys import alarmed_places
from opsconsole.inventory.ways import Way
from opsconsole.jobs.route import read_routes
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

_NAMED = 100
TEXT = Sentence(
    "Another host key than the trusted one was shown there, or at a jump host on the way. Nothing connects until an "
    "administrator decides (opsconsole host-keys list --status alarm)."
)


def alarmed(
    session: Session,
    settings: Settings,
    rows: Sequence[Mapping[str, Any]],
    ways: Sequence[Way],
    executors: Sequence[Executor],
) -> list[str]:
    """Returns the hosts of ``rows`` (host, address, port) where nothing connects until an administrator decides about a
    changed key: their own or that of a jump host on their way. One query where no such alarm stands."""
    places = alarmed_places(session)
    if not places:
        return []
    routes = read_routes(session, settings, {way.text for way in ways})
    shut = {way for way, steps in routes.items() if any((step.address.lower(), step.port) in places for step in steps)}
    return [
        str(row["host"])
        for row, way, executor in zip(rows, ways, executors, strict=True)
        if executor is Executor.SSH and ((row["address"].lower(), row["port"]) in places or way.text in shut)
    ]


def told(hosts: Sequence[str]) -> dict[str, Any]:
    """Returns the members of ``/resolve`` and ``/plan`` about them."""
    return {
        "key_changed": list(hosts[:_NAMED]),
        "key_changed_count": len(hosts),
        "key_changed_folded": fold(hosts) if hosts else "",
    }
