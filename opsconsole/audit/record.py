"""Writes the audit: one record per action, in the transaction of the action, each chained to the one before.

The chain shows that somebody changed a record; it cannot prevent it. Each record's number and hash go to the log, so
that a copy of the log outside the database also shows a chain that was rewritten as a whole.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from opsconsole.audit.models import AuditRecord
from opsconsole.db.console import Console

_log = logging.getLogger(__name__)
_COMMITTING = "audit_committing"


class ActorLike(Protocol):
    """What the audit keeps of the person who acts; ``accounts.permissions.Actor`` is one."""

    @property
    def user_id(self) -> int | None:
        """The person's number."""

    @property
    def name(self) -> str:
        """The name as it was at the time."""

    @property
    def token_id(self) -> str | None:
        """The API token that was used, if any."""

    @property
    def address(self) -> str | None:
        """The network address the order came from, where known."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who has not proved who they are, and whose attempt is worth a record."""

    address: str | None
    user_id: None = None
    name: str = "unknown"
    token_id: None = None


def record(
    session: Session,
    actor: ActorLike | None,
    action: str,
    *,
    now: datetime,
    object: str | None = None,  # noqa: A002 - the column's own word
    text: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> AuditRecord:
    """Adds ``action`` to the audit, in the caller's transaction: when that fails, both are undone.

    ``actor`` is ``None`` for what the console does by itself or a person does at its machine. ``detail`` must be
    JSON values; it and ``text`` must hold no secret. The lock on the console's row orders all records of all processes.
    """
    console = session.execute(
        select(Console).where(Console.id == 1).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
    values: dict[str, Any] = {
        "id": console.audit_count + 1,
        "at": now.astimezone(UTC),
        "actor_id": actor.user_id if actor else None,
        "actor": _storable(actor.name if actor else "console"),
        "token_id": actor.token_id if actor else None,
        "address": actor.address if actor else None,
        "action": action,
        "object": _storable(object)[:255] if object is not None else None,
        "text": _storable(text) if text is not None else None,
        "detail": _storable(detail or {}),
    }
    entry = AuditRecord(**values, prev_hash=console.audit_head, hash=chained(console.audit_head, values))
    session.add(entry)
    console.audit_count, console.audit_head = entry.id, entry.hash
    # The next record of this transaction reads the row again.
    session.flush()
    session.info.setdefault(_COMMITTING, []).append((entry.id, entry.action, entry.hash))
    return entry


def chained(prev_hash: str, values: Mapping[str, Any]) -> str:
    """Returns SHA-256 over the previous hash and the canonical JSON of a record's other columns."""
    plain = {**values, "at": values["at"].isoformat(timespec="microseconds")}
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256((prev_hash + canonical).encode()).hexdigest()


def _storable(value: Any) -> Any:
    """Returns ``value`` without what PostgreSQL refuses to store: NUL and lone surrogates become visible escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    return value


@event.listens_for(Session, "after_commit")
def _log_committed(session: Session) -> None:
    for line in session.info.pop(_COMMITTING, ()):
        _log.info("audit %d %s %s", *line)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_COMMITTING, None)
