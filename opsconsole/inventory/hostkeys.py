"""Which host keys are trusted: looked up for many hosts at once, offered by hosts, decided by people."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, Forbidden, NotFound
from opsconsole.inventory.known_hosts import KnownKey, dialled_name, entries, fingerprint
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.inventory.service import in_parts

__all__ = [
    "Address",
    "Source",
    "fingerprint",
    "keys",
    "offer",
    "remember",
    "seed_known_hosts",
    "trust",
    "trusted_keys",
    "with_revoked_keys",
]

Address = tuple[str, int]
# A host that shows a new key each time must not fill the table: the newest few are kept for a person to see.
_OFFERS_KEPT = 5
_INSERT_ROWS = 1000


class Source(StrEnum):
    """Where a key came from."""

    HOST = "host"
    KNOWN_HOSTS = "known_hosts"
    ACCEPT_NEW = "accept_new"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class _Place:
    """A dialled address and port, in the one spelling the table has."""

    address: str
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> "_Place":
        return cls(address.lower(), port)


def trusted_keys(session: Session, wanted: Collection[Address]) -> dict[Address, tuple[KnownKey, ...]]:
    """Returns the trusted keys of each wanted (address, port) that has any; one query up to 20,000 addresses."""
    return _stored(session, wanted, KeyStatus.TRUSTED)


def with_revoked_keys(session: Session, wanted: Collection[Address]) -> frozenset[Address]:
    """Returns which of the wanted (address, port) have a revoked key: there no unseen key may be accepted unasked."""
    return frozenset(_stored(session, wanted, KeyStatus.REVOKED))


def keys(session: Session, *, status: KeyStatus | None = None, q: str = "", limit: int = 500) -> list[HostKey]:
    """Returns stored keys by address and port; ``q`` is a part of the address or of the fingerprint."""
    statement = select(HostKey).order_by(HostKey.address, HostKey.port, HostKey.id).limit(limit)
    if status is not None:
        statement = statement.where(HostKey.status == status)
    if q:
        in_address = HostKey.address.contains(q.strip().lower(), autoescape=True)
        statement = statement.where(in_address | HostKey.fingerprint.contains(q.strip(), autoescape=True))
    return list(session.scalars(statement))


def offer(session: Session, address: str, port: int, key: KnownKey, *, now: datetime) -> None:
    """Keeps a key that a host showed and nobody trusts yet, for a person to decide; a decided key stays as it is."""
    place = _Place.of(address, port)
    _insert(session, [_row(place, key, KeyStatus.OFFERED, Source.HOST, now)])
    offered = select(HostKey.id).where(*_at(place), HostKey.status == KeyStatus.OFFERED)
    surplus = list(session.scalars(offered.order_by(HostKey.id.desc()).offset(_OFFERS_KEPT)))
    if surplus:
        session.execute(delete(HostKey).where(HostKey.id.in_(surplus)))


def trust(session: Session, address: str, port: int, fingerprint: str, *, actor: Actor, now: datetime) -> HostKey:
    """Returns the key with ``fingerprint``, now trusted by a person's decision.

    A trusted key of the same algorithm was the host's old one: it is revoked, and a known_hosts file that still lists
    it cannot bring it back. Raises ``Forbidden``, ``NotFound`` when the host never showed such a key, ``Conflict`` for
    a key that a known_hosts file revokes.
    """
    if not actor.may(Permission.TRUST_HOST_KEYS):
        raise Forbidden("Only an administrator may trust a host key.", code="may_not_trust")
    place = _Place.of(address, port)
    stored = list(session.scalars(select(HostKey).where(*_at(place)).with_for_update()))
    key = next((row for row in stored if row.fingerprint == fingerprint), None)
    if key is None:
        raise NotFound("This host has not shown a key with that fingerprint.", code="host_key_not_found")
    if key.status == KeyStatus.TRUSTED:
        return key
    if key.status == KeyStatus.REVOKED and key.decided_by is None:
        raise Conflict("This key is marked as revoked in known_hosts.", code="host_key_revoked")
    replaced = [row for row in stored if row.status == KeyStatus.TRUSTED and row.algorithm == key.algorithm]
    for row in replaced:
        _decide(row, KeyStatus.REVOKED, actor, now)
    _decide(key, KeyStatus.TRUSTED, actor, now)
    detail = {"fingerprint": fingerprint, "algorithm": key.algorithm, "replaced": [row.fingerprint for row in replaced]}
    name = dialled_name(place.address, port)
    record(session, actor, "host_key.trusted", now=now, object=f"host_key:{name}", detail=detail)
    return key


def remember(session: Session, address: str, port: int, key: KnownKey, *, source: str, now: datetime) -> bool:
    """Trusts a key without a person's decision, and returns whether it is trusted now.

    A revoked key stays revoked. With ``accept_new`` only the first key of a host is taken: when another is trusted
    already, this one is a changed key.
    """
    place = _Place.of(address, port)
    stored = list(session.scalars(select(HostKey).where(*_at(place)).with_for_update()))
    same = next((row for row in stored if (row.algorithm, row.key) == (key.algorithm, key.key)), None)
    if same is not None and same.status != KeyStatus.OFFERED:
        return same.status == KeyStatus.TRUSTED
    if source == Source.ACCEPT_NEW and any(row.status == KeyStatus.TRUSTED for row in stored):
        return False
    if same is None:
        _insert(session, [_row(place, key, KeyStatus.TRUSTED, Source(source), now)])
    else:
        same.status, same.source, same.decided_at = KeyStatus.TRUSTED, Source(source), now
    if source == Source.ACCEPT_NEW:
        detail = {"fingerprint": fingerprint(key), "algorithm": key.algorithm}
        name = dialled_name(place.address, port)
        record(session, None, "host_key.accepted", now=now, object=f"host_key:{name}", detail=detail)
    return True


def seed_known_hosts(session: Session, text: str, *, now: datetime, wanted: Iterable[Address] | None = None) -> int:
    """Takes over what a known_hosts file spells out, for all hosts or the ``wanted`` ones; returns how many keys.

    Hashed names and wildcards cannot be listed: ``known_hosts.lookup`` finds those when the host is known.
    Certificate authorities are not supported and passed over. What the console holds already stays as it is, unless
    the file revokes it.
    """
    places = None if wanted is None else {_Place.of(address, port) for address, port in wanted}
    lines = [entry for entry in entries(text) if entry.marker != "cert-authority"]
    revoking = [entry for entry in lines if entry.marker == "revoked"]
    rows = [
        _row(place, entry.key, KeyStatus.REVOKED if entry.marker else KeyStatus.TRUSTED, Source.KNOWN_HOSTS, now)
        # A key that one line trusts and another revokes is revoked, wherever the lines stand.
        for entry in sorted(lines, key=lambda entry: entry.marker != "revoked")
        for place in (_Place.of(*name) for name in entry.plain_names())
        if places is None or place in places
    ]
    added = _insert(session, rows)
    for entry in revoking:
        for row in session.scalars(select(HostKey).where(HostKey.key == entry.key.key)):
            if entry.matches(row.address, row.port):
                row.status, row.decided_by = KeyStatus.REVOKED, None
    return added


def _stored(session: Session, wanted: Collection[Address], status: KeyStatus) -> dict[Address, tuple[KnownKey, ...]]:
    spellings: dict[Address, list[Address]] = defaultdict(list)
    for address, port in wanted:
        spellings[(address.lower(), port)].append((address, port))
    found: dict[Address, list[KnownKey]] = defaultdict(list)
    columns = select(HostKey.address, HostKey.port, HostKey.algorithm, HostKey.key).order_by(HostKey.id)
    for part in in_parts(list({address for address, _ in spellings})):
        rows = session.execute(columns.where(HostKey.address.in_(part), HostKey.status == status))
        for address, port, algorithm, key in rows:
            for spelling in spellings.get((address, port), ()):
                found[spelling].append(KnownKey(algorithm, key))
    return {place: tuple(known) for place, known in found.items()}


def _decide(row: HostKey, status: KeyStatus, actor: Actor, now: datetime) -> None:
    row.status, row.decided_by, row.decided_at = status, actor.name, now


def _at(place: _Place) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return HostKey.address == place.address, HostKey.port == place.port


def _row(place: _Place, key: KnownKey, status: KeyStatus, source: Source, now: datetime) -> dict[str, object]:
    return {
        "address": place.address,
        "port": place.port,
        "algorithm": key.algorithm,
        "key": key.key,
        "fingerprint": fingerprint(key),
        "status": status,
        "source": source,
        "first_seen_at": now,
    }


def _insert(session: Session, rows: list[dict[str, object]]) -> int:
    """Adds rows, passing over keys that are there already, and returns how many were added."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(HostKey)
    statement = insert.on_conflict_do_nothing().returning(HostKey.id)
    added = 0
    for start in range(0, len(rows), _INSERT_ROWS):
        added += len(session.execute(statement.values(rows[start : start + _INSERT_ROWS])).all())
    return added
