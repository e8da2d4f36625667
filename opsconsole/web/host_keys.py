"""What pages and API share of host keys: a page of the list, and how a key is told."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.inventory import hostkey_desk
from opsconsole.inventory.models import HostAuthority, HostKey, KeyStatus
from opsconsole.jobs import queries
from opsconsole.web.unit_of_work import runtime

# Of the list's filter by status, what stands for several.
WAITING = "waiting"


def listed(
    session: Session, *, status: str | None, q: str = "", limit: int = 200, offset: int = 0
) -> list[dict[str, Any]]:
    """Returns keys as the API gives them; ``status`` is one of the list's filters, ``None`` for all."""
    wanted = hostkey_desk.WAITING if status == WAITING else (KeyStatus(status),) if status else ()
    return told(session, hostkey_desk.keys(session, status=wanted, q=q, limit=limit, offset=offset))


def told(session: Session, stored: Sequence[HostKey]) -> list[dict[str, Any]]:
    """Returns stored keys as the API gives them, with the names of the hosts they were seen at."""
    names = hostkey_desk.host_names(session, stored, usual_port=runtime().settings.ssh_port)
    return [
        {
            "address": key.address,
            "port": key.port,
            "hosts": names.get((key.address, key.port), []),
            "algorithm": key.algorithm,
            "fingerprint": key.fingerprint,
            "status": key.status,
            "source": key.source,
            "first_seen_at": queries.iso(key.first_seen_at),
            "decided_by": key.decided_by,
            "decided_at": queries.iso(key.decided_at),
        }
        for key in stored
    ]


def authority_told(row: HostAuthority) -> dict[str, Any]:
    """Returns an authority, or a key revoked for many hosts, as the API gives it."""
    return {
        "id": row.id,
        "patterns": row.patterns,
        "algorithm": row.algorithm,
        "fingerprint": row.fingerprint,
        "status": row.status,
        "source": row.source,
        "created_at": queries.iso(row.created_at),
        "decided_by": row.decided_by,
        "decided_at": queries.iso(row.decided_at),
    }
