"""How hosts have answered: of each the last contacts, when it last let us in, and what last kept us out.

One row a host, by its name, whatever user or port it was reached with. Takes sessions and never commits.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self, cast

from sqlalchemy import Table, delete, exists, select
from sqlalchemy.orm import Session

from opsconsole.db.inserts import replace_rows
from opsconsole.inventory.models import Host, HostHealth

# So many contacts of a host are kept.
KEPT = 20
# A host that the inventory does not have is forgotten when nobody has tried to reach it for so long.
_FORGOTTEN_AFTER = timedelta(days=30)
_KEYS_AT_ONCE = 1000


class Verdict(StrEnum):
    """What became of a contact. ``LOST``: it let us in and the connection broke; ``REFUSED``: it answered, and its host
    key or the login was refused; ``UNREACHED``: no SSH server answered."""

    OK = "ok"
    LOST = "lost"
    REFUSED = "refused"
    UNREACHED = "unreached"

    @property
    def letter(self) -> str:
        """The letter of the state whose sign it is shown with."""
        return {"ok": "o", "lost": "l", "refused": "f", "unreached": "u"}[self.value]


class KeyState(StrEnum):
    """What the host key that a host showed last is worth."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Contact:
    """One time that a host was spoken to, or could not be. ``connect_ms`` is set for a connection that was new,
    ``reason`` and ``detail`` where it failed, ``job`` where it was one's; ``host_key`` when it came to that."""

    host: str
    at: datetime
    verdict: Verdict
    reason: str | None = None
    detail: str | None = None
    host_key: KeyState | None = None
    connect_ms: int | None = None
    job: int | None = None

    def packed(self) -> list[Any]:
        """Returns what is kept of it in its host's history."""
        return [round(self.at.timestamp(), 3), self.verdict.letter, self.reason, self.connect_ms, self.job]


@dataclass(frozen=True, slots=True)
class Past:
    """A contact as the history keeps it."""

    at: datetime
    verdict: Verdict
    reason: str | None
    connect_ms: int | None
    job: int | None

    @classmethod
    def unpacked(cls, stored: Sequence[Any]) -> Self:
        """Returns what ``Contact.packed`` made."""
        at, letter, reason, connect_ms, job = stored
        return cls(datetime.fromtimestamp(at, UTC), _VERDICTS[letter], reason, connect_ms, job)


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a host: its last contact (``verdict``, ``last_at``), when it last answered (``seen_at``) and let
    us in (``ok_at``), what last went wrong, and its last contacts, the newest first."""

    host: str
    verdict: Verdict
    last_at: datetime
    seen_at: datetime | None
    ok_at: datetime | None
    failed_at: datetime | None
    reason: str | None
    detail: str | None
    host_key: KeyState | None
    connect_ms: int | None
    history: tuple[Past, ...]

    @property
    def letters(self) -> str:
        """The letters of the last contacts, the newest last."""
        return "".join(past.verdict.letter for past in reversed(self.history))


_TABLE = cast(Table, HostHealth.__table__)
_VERDICTS = {verdict.letter: verdict for verdict in Verdict}
_BAD = (Verdict.REFUSED.value, Verdict.UNREACHED.value)


def note(session: Session, contacts: Iterable[Contact]) -> None:
    """Adds contacts to the histories of their hosts; one that is told late takes its place among the others."""
    by_host: dict[str, list[Contact]] = {}
    for contact in contacts:
        by_host.setdefault(contact.host.lower(), []).append(contact)
    keys = sorted(by_host)
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        known = _rows(session, some)
        rows = [_added(known.get(key), key, by_host[key]) for key in some]
        replace_rows(session, _TABLE, "host", rows)


def of_hosts(session: Session, names: Collection[str]) -> dict[str, Health]:
    """Returns what is known of hosts, by their names in lower case; hosts that were never met are left out."""
    keys = sorted({name.lower() for name in names})
    found: dict[str, Health] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        query = select(HostHealth).where(HostHealth.host.in_(keys[start : start + _KEYS_AT_ONCE]))
        found.update({row.host: _health(row) for row in session.scalars(query)})
    return found


def not_let_in(session: Session, names: Collection[str]) -> set[str]:
    """Returns those of ``names``, in lower case, that could not be reached or did not let us in at their last
    contact."""
    keys = sorted({name.lower() for name in names})
    found: set[str] = set()
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        asked = HostHealth.host.in_(keys[start : start + _KEYS_AT_ONCE])
        found.update(session.scalars(select(HostHealth.host).where(asked, HostHealth.verdict.in_(_BAD))))
    return found


def forget(session: Session, now: datetime) -> None:
    """Forgets hosts that are not in the inventory and that nobody has tried to reach for a month."""
    listed = exists().where(Host.key == HostHealth.host)
    old = HostHealth.last_at < now - _FORGOTTEN_AFTER
    session.execute(delete(HostHealth).where(old, ~listed).execution_options(synchronize_session=False))


def _rows(session: Session, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Returns the rows as they are, held until the transaction ends: other workers add to them, too. All take them in
    the order of their names."""
    query = select(_TABLE).where(_TABLE.c.host.in_(keys)).order_by(_TABLE.c.host).with_for_update()
    return {row.host: row._asdict() for row in session.connection().execute(query)}


def _added(known: Mapping[str, Any] | None, key: str, contacts: Sequence[Contact]) -> dict[str, Any]:
    row = dict(known) if known is not None else dict.fromkeys(_TABLE.columns.keys()) | {"host": key}
    history = list(row["history"] or [])
    for contact in sorted(contacts, key=lambda contact: contact.at):
        history.append(contact.packed())
        if contact.verdict in {Verdict.OK, Verdict.LOST}:
            row["ok_at"] = _later(row["ok_at"], contact.at)
        if contact.verdict is not Verdict.UNREACHED:
            row["seen_at"] = _later(row["seen_at"], contact.at)
        if contact.verdict is not Verdict.OK and _later(row["failed_at"], contact.at) == contact.at:
            detail = contact.detail[:500] if contact.detail else None
            row |= {"failed_at": contact.at, "reason": contact.reason, "detail": detail}
        if _later(row["last_at"], contact.at) == contact.at:
            row |= {"last_at": contact.at, "verdict": contact.verdict.value}
            row["host_key"] = contact.host_key.value if contact.host_key is not None else row["host_key"]
            row["connect_ms"] = contact.connect_ms if contact.connect_ms is not None else row["connect_ms"]
    history.sort(key=lambda packed: packed[0])
    return row | {"history": history[-KEPT:]}


def _later(known: datetime | None, at: datetime) -> datetime:
    return at if known is None or at >= known else known


def _health(row: HostHealth) -> Health:
    return Health(
        host=row.host,
        verdict=Verdict(row.verdict),
        last_at=row.last_at,
        seen_at=row.seen_at,
        ok_at=row.ok_at,
        failed_at=row.failed_at,
        reason=row.reason,
        detail=row.detail,
        host_key=KeyState(row.host_key) if row.host_key is not None else None,
        connect_ms=row.connect_ms,
        history=tuple(map(Past.unpacked, reversed(row.history))),
    )
