"""Which host keys are trusted: looked up for many hosts at once, offered by hosts, taken over from files.

What people decide about them is in ``hostkey_desk``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.audit.record import record
from opsconsole.inventory.known_hosts import KnownKey, dialled_name, entries, fingerprint
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.inventory.service import in_parts

__all__ = [
    "Address",
    "Known",
    "Source",
    "alarmed_places",
    "collect",
    "fingerprint",
    "known",
    "offer",
    "remember",
    "seed_known_hosts",
    "trusted_keys",
]

Address = tuple[str, int]
# A host that shows a new key each time must not fill the table: the newest few are kept for a person to see.
_OFFERS_KEPT = 5
_INSERT_ROWS = 1000
_PINNED = "pinned"
_UNDECIDED = frozenset({KeyStatus.OFFERED, KeyStatus.ALARM})


class Source(StrEnum):
    """Where a key came from."""

    HOST = "host"
    KNOWN_HOSTS = "known_hosts"
    IMPORT = "import"
    ACCEPT_NEW = "accept_new"
    DEMO = "demo"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one dialled address and port. With an ``alarms`` key nothing may connect there.

    ``pinned`` are those of the trusted keys that a person decided on or imported.
    """

    trusted: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()
    alarms: tuple[KnownKey, ...] = ()
    pinned: tuple[KnownKey, ...] = ()


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
    return {place: found.trusted for place, found in known(session, wanted).items() if found.trusted}


def trusted_since(session: Session, address: str, port: int) -> list[HostKey]:
    """Returns the trusted keys of a dialled address and port, the one seen last first."""
    query = select(HostKey).where(HostKey.address == address.lower(), HostKey.port == port)
    query = query.where(HostKey.status == KeyStatus.TRUSTED)
    return list(session.scalars(query.order_by(HostKey.first_seen_at.desc(), HostKey.id)))


def known(session: Session, wanted: Collection[Address]) -> dict[Address, Known]:
    """Returns what is known of each wanted (address, port) of which anything is; one query up to 20,000 addresses."""
    spellings: dict[Address, list[Address]] = defaultdict(list)
    for address, port in dict.fromkeys(wanted):
        spellings[(address.lower(), port)].append((address, port))
    found: dict[Address, dict[str, list[KnownKey]]] = defaultdict(lambda: defaultdict(list))
    decided = or_(HostKey.decided_by.is_not(None), HostKey.source == Source.IMPORT)
    columns = select(HostKey.address, HostKey.port, HostKey.status, decided, HostKey.algorithm, HostKey.key)
    columns = columns.where(HostKey.status != KeyStatus.OFFERED).order_by(HostKey.id)
    for part in in_parts(list({address for address, _ in spellings})):
        rows = session.execute(columns.where(HostKey.address.in_(part)))
        for address, port, status, by_person, algorithm, key in rows:
            for spelling in spellings.get((address, port), ()):
                found[spelling][status].append(KnownKey(algorithm, key))
                if by_person and status == KeyStatus.TRUSTED:
                    found[spelling][_PINNED].append(KnownKey(algorithm, key))
    kinds = (KeyStatus.TRUSTED, KeyStatus.REVOKED, KeyStatus.ALARM, _PINNED)
    return {place: Known(*(tuple(by[kind]) for kind in kinds)) for place, by in found.items()}


def alarmed_places(session: Session) -> frozenset[Address]:
    """Returns where another key than the trusted one was shown and nobody has decided; one indexed query."""
    query = select(HostKey.address, HostKey.port).where(HostKey.status == KeyStatus.ALARM)
    return frozenset((address, port) for address, port in session.execute(query))


def collect(session: Session, address: str, port: int, shown: Collection[KnownKey], *, now: datetime) -> None:
    """Keeps all keys that a host showed when it was asked for each kind, for a person to decide.

    One kind more than those trusted is no change; another key of a trusted kind is, and so is none of the trusted ones.
    """
    trusted = known(session, [(address, port)]).get((address, port), Known()).trusted
    kinds = {key.algorithm for key in trusted}
    gone = bool(trusted) and not set(trusted).intersection(shown)
    for key in shown:
        changed = gone or (key.algorithm in kinds and key not in trusted)
        offer(session, address, port, key, source=Source.SCAN, alarm=changed, now=now)


def offer(
    session: Session,
    address: str,
    port: int,
    key: KnownKey,
    *,
    now: datetime,
    source: Source = Source.HOST,
    alarm: bool = True,
) -> None:
    """Keeps a key that a host showed and nobody trusts, for a person to decide; a decided key stays as it is.

    Where another key is trusted it is an alarm, unless ``alarm`` is false: nothing connects there any more until a
    person has decided.
    """
    place = _Place.of(address, port)
    stored = list(session.scalars(select(HostKey).where(*_at(place)).order_by(HostKey.id).with_for_update()))
    same = next((row for row in stored if (row.algorithm, row.key) == (key.algorithm, key.key)), None)
    if same is not None and same.status != KeyStatus.OFFERED:
        return
    changed = alarm and any(row.status == KeyStatus.TRUSTED for row in stored)
    status = KeyStatus.ALARM if changed else KeyStatus.OFFERED
    if same is None:
        if not _insert(session, [_row(place, key, status, source, now)]):
            return
        waiting = [row.id for row in stored if row.status in _UNDECIDED]
        surplus = waiting[: max(0, len(waiting) + 1 - _OFFERS_KEPT)]
        if surplus:
            session.execute(delete(HostKey).where(HostKey.id.in_(surplus)))
    elif changed:
        same.status = status
    else:
        return
    if changed:
        trusted = [row.fingerprint for row in stored if row.status == KeyStatus.TRUSTED]
        detail = {"fingerprint": fingerprint(key), "algorithm": key.algorithm, "trusted": trusted}
        name = dialled_name(place.address, port)
        record(session, None, "host_key.changed", now=now, object=f"host_key:{name}", detail=detail)


def remember(session: Session, address: str, port: int, key: KnownKey, *, source: str, now: datetime) -> bool:
    """Trusts a key without a person's decision, and returns whether it is trusted now.

    A revoked key stays revoked. With ``accept_new`` only the first key of a host is taken: when another is trusted
    already, this one is a changed key. A key that raised an alarm is trusted by an import alone, which a person made.
    """
    place = _Place.of(address, port)
    stored = list(session.scalars(select(HostKey).where(*_at(place)).with_for_update()))
    same = next((row for row in stored if (row.algorithm, row.key) == (key.algorithm, key.key)), None)
    lifts = {KeyStatus.OFFERED, KeyStatus.ALARM} if source == Source.IMPORT else {KeyStatus.OFFERED}
    if same is not None and same.status not in lifts:
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


def seed_known_hosts(
    session: Session,
    text: str,
    *,
    now: datetime,
    wanted: Iterable[Address] | None = None,
    source: Source = Source.KNOWN_HOSTS,
    without: Collection[tuple[Address, KnownKey]] = (),
) -> int:
    """Takes over what a known_hosts file spells out, for all hosts or the ``wanted`` ones; returns how many keys.

    Keys in ``without`` are left out.

    Hashed names and wildcards cannot be listed: ``known_hosts.lookup`` finds those when the host is known.
    Certificate authorities are ``host_authorities``' business. What the console holds already stays as it is, unless
    the file revokes it.
    """
    places = None if wanted is None else {_Place.of(address, port) for address, port in wanted}
    lines = [entry for entry in entries(text) if entry.marker != "cert-authority"]
    revoking = [entry for entry in lines if entry.marker == "revoked"]
    rows = [
        _row(place, entry.key, KeyStatus.REVOKED if entry.marker else KeyStatus.TRUSTED, source, now)
        # A key that one line trusts and another revokes is revoked, wherever the lines stand.
        for entry in sorted(lines, key=lambda entry: entry.marker != "revoked")
        for place in (_Place.of(*name) for name in entry.plain_names())
        if places is None or place in places
        if ((place.address, place.port), entry.key) not in without
    ]
    added = _insert(session, rows)
    for entry in revoking:
        for row in session.scalars(select(HostKey).where(HostKey.key == entry.key.key)):
            if entry.matches(row.address, row.port):
                row.status, row.decided_by = KeyStatus.REVOKED, None
    return added


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
