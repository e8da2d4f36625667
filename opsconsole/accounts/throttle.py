"""Slows down guessing: each further failed sign-in makes a name and an address wait longer, never for ever."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.accounts.models import LoginThrottle
from opsconsole.errors import TooMany

_FORGET = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that is counted: ``free`` failures cost nothing, then the wait doubles from 1 s up to ``longest``."""

    key: str
    free: int
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        """Returns how long the next attempt must wait after so many failures."""
        over = failures - self.free
        return timedelta() if over < 0 else min(timedelta(seconds=2 ** min(over, 20)), self.longest)


def gates(name: str, address: str | None) -> tuple[Gate, ...]:
    """Returns what one attempt is counted by. The name's wait stays short: it must not lock its owner out."""
    found = [Gate(_key("name", name), free=5, longest=timedelta(minutes=1))]
    if address:
        found.append(Gate(_key("address", address), free=20, longest=timedelta(minutes=15)))
    return tuple(sorted(found, key=lambda gate: gate.key))


def enter(session: Session, attempted: Iterable[Gate], *, now: datetime) -> None:
    """Counts an attempt as failed before it is looked at, so that many at once are no way around.

    Raises ``TooMany`` with ``retry_after`` (whole seconds) while a wait lasts; such an attempt is not counted.
    """
    session.execute(delete(LoginThrottle).where(LoginThrottle.failed_at < now - _FORGET))
    rows = [(gate, _row(session, gate, now)) for gate in attempted]
    waits = [row.locked_until - now for _, row in rows if row.locked_until is not None and row.locked_until > now]
    if waits:
        seconds = -(-max(waits) // timedelta(seconds=1))
        raise TooMany(
            "Too many failed attempts. Try again in {seconds} s.",
            seconds=seconds,
            code="too_many_logins",
            extra={"retry_after": seconds},
        )
    for gate, row in rows:
        row.failures += 1
        row.failed_at = now
        row.locked_until = now + gate.wait(row.failures)
    session.flush()


def leave(session: Session, name: str, address: str | None) -> None:
    """Takes back what ``enter`` counted, after a right password: the name starts afresh, the address loses one."""
    session.execute(delete(LoginThrottle).where(LoginThrottle.key == _key("name", name)))
    row = session.get(LoginThrottle, _key("address", address), with_for_update=True) if address else None
    if row is not None:
        row.failures = max(0, row.failures - 1)
        row.locked_until = None


def _row(session: Session, gate: Gate, now: datetime) -> LoginThrottle:
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(LoginThrottle)
    session.execute(insert.values(key=gate.key, failures=0, failed_at=now).on_conflict_do_nothing())
    return session.execute(select(LoginThrottle).where(LoginThrottle.key == gate.key).with_for_update()).scalar_one()


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value.casefold()}".encode("utf-8", "backslashreplace")).hexdigest()
