"""What people see of the host keys, and what they decide: trust, revoke, remove. Each decision is in the audit."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import String, case, cast, delete, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, Forbidden, NotFound
from opsconsole.inventory.known_hosts import dialled_name
from opsconsole.inventory.models import Host, HostKey, KeyStatus
from opsconsole.inventory.service import in_parts

# What a person has to decide about.
WAITING = (KeyStatus.ALARM, KeyStatus.OFFERED)


class KeyRef(NamedTuple):
    """One stored key as people name it: where it was seen and its ``SHA256:`` fingerprint."""

    address: str
    port: int
    fingerprint: str


def keys(
    session: Session, *, status: Collection[KeyStatus] = (), q: str = "", limit: int = 500, offset: int = 0
) -> list[HostKey]:
    """Returns stored keys, alarms first, then by address and port; all of them without ``status``.

    ``q`` is a part of the address, with its port or without, of the name of a host with that address, or of the
    fingerprint.
    """
    alarms_first = case((HostKey.status == KeyStatus.ALARM, 0), else_=1)
    statement = select(HostKey).order_by(alarms_first, HostKey.address, HostKey.port, HostKey.id)
    if status:
        statement = statement.where(HostKey.status.in_(status))
    if q:
        # With a port, as the lists show a place: 127.0.0.1:2222 or [::1]:2222.
        place = HostKey.address + ":" + cast(HostKey.port, String) if ":" in q else HostKey.address
        in_address = place.contains(q.strip().lower().replace("[", "").replace("]", ""), autoescape=True)
        named = Host.key.contains(q.strip().lower(), autoescape=True)
        in_name = HostKey.address.in_(select(func.lower(func.coalesce(Host.address, Host.name))).where(named))
        in_print = HostKey.fingerprint.contains(q.strip(), autoescape=True)
        statement = statement.where(or_(in_address, in_name, in_print))
    return list(session.scalars(statement.limit(limit).offset(offset)))


def counts(session: Session) -> dict[KeyStatus, int]:
    """Returns how many keys have each status."""
    found = session.execute(select(HostKey.status, func.count()).group_by(HostKey.status)).all()
    return dict.fromkeys(KeyStatus, 0) | {KeyStatus(status): count for status, count in found}


def host_names(session: Session, stored: Iterable[HostKey], *, usual_port: int) -> dict[tuple[str, int], list[str]]:
    """Returns the inventory's hosts that are dialled at the places of ``stored``, each place's by name."""
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    dialled = func.lower(func.coalesce(Host.address, Host.name))
    columns = select(dialled, Host.port, Host.name).order_by(Host.key)
    for part in in_parts(list({row.address for row in stored})):
        for address, port, name in session.execute(columns.where(dialled.in_(part))):
            names[(address, port or usual_port)].append(name)
    return names


def trust(session: Session, wanted: Collection[KeyRef], *, actor: Actor, now: datetime) -> list[HostKey]:
    """Returns the wanted keys, now trusted by a person's decision; all of them or, when it raises, none.

    A trusted key of the same algorithm was the host's old one: it is revoked, and a known_hosts file that still lists
    it cannot bring it back. Raises ``Forbidden``, ``NotFound`` when a host never showed such a key, ``Conflict`` for
    a key that a known_hosts file revokes.
    """
    at_places, chosen = _chosen(session, wanted, actor)
    for key in chosen:
        if key.status == KeyStatus.TRUSTED and key.decided_by is not None:
            continue
        if key.status == KeyStatus.REVOKED and key.decided_by is None:
            raise Conflict(
                "This key is marked as revoked in known_hosts. Remove it here first to trust it all the same.",
                code="host_key_revoked",
            )
        others = (row for row in at_places[(key.address, key.port)] if row is not key)
        replaced = [row for row in others if row.status == KeyStatus.TRUSTED and row.algorithm == key.algorithm]
        replaced = [] if key.status == KeyStatus.TRUSTED else replaced
        for row in replaced:
            _decide(row, KeyStatus.REVOKED, actor, now)
        _tell(session, key, "trusted", actor, now, replaced=[row.fingerprint for row in replaced])
        _decide(key, KeyStatus.TRUSTED, actor, now)
    return chosen


def revoke(session: Session, wanted: Collection[KeyRef], *, actor: Actor, now: datetime) -> list[HostKey]:
    """Returns the wanted keys, now revoked: a host that shows one is refused, whatever a file or a policy says.

    Raises ``Forbidden`` and ``NotFound`` as ``trust`` does.
    """
    _, chosen = _chosen(session, wanted, actor)
    for key in chosen:
        if key.status != KeyStatus.REVOKED:
            _tell(session, key, "revoked", actor, now)
            _decide(key, KeyStatus.REVOKED, actor, now)
    return chosen


def remove(session: Session, wanted: Collection[KeyRef], *, actor: Actor, now: datetime) -> int:
    """Forgets the wanted keys and returns how many; a host that shows one again is met as if for the first time.

    Removing the key of an alarm says that it was none: what is trusted stays trusted. Raises ``Forbidden`` and
    ``NotFound`` as ``trust`` does.
    """
    _, chosen = _chosen(session, wanted, actor)
    for key in chosen:
        _tell(session, key, "removed", actor, now)
    for part in in_parts([key.id for key in chosen]):
        session.execute(delete(HostKey).where(HostKey.id.in_(part)).execution_options(synchronize_session=False))
    return len(chosen)


def _chosen(
    session: Session, wanted: Collection[KeyRef], actor: Actor
) -> tuple[dict[tuple[str, int], list[HostKey]], list[HostKey]]:
    """Returns all keys at the places of ``wanted``, locked, and the wanted ones in their order."""
    if not actor.may(Permission.TRUST_HOST_KEYS):
        raise Forbidden("Only an administrator may decide about host keys.", code="may_not_trust")
    refs = list(dict.fromkeys(KeyRef(ref.address.lower(), ref.port, ref.fingerprint) for ref in wanted))
    at_places: dict[tuple[str, int], list[HostKey]] = defaultdict(list)
    for part in in_parts(list({ref.address for ref in refs})):
        # Always in one order, so that two people who decide at once do not wait for each other.
        locking = select(HostKey).where(HostKey.address.in_(part)).order_by(HostKey.id).with_for_update()
        for row in session.scalars(locking.execution_options(populate_existing=True)):
            at_places[(row.address, row.port)].append(row)
    return at_places, [_named(at_places[(ref.address, ref.port)], ref) for ref in refs]


def _named(stored: Sequence[HostKey], ref: KeyRef) -> HostKey:
    key = next((row for row in stored if row.fingerprint == ref.fingerprint), None)
    if key is None:
        name = dialled_name(ref.address, ref.port)
        raise NotFound("{name} has not shown a key with that fingerprint.", name=name[:200], code="host_key_not_found")
    return key


def _tell(session: Session, key: HostKey, what: str, actor: Actor, now: datetime, **more: object) -> None:
    detail = {"fingerprint": key.fingerprint, "algorithm": key.algorithm, "was": key.status, **more}
    name = dialled_name(key.address, key.port)
    record(session, actor, f"host_key.{what}", now=now, object=f"host_key:{name}", detail=detail)


def _decide(row: HostKey, status: KeyStatus, actor: Actor, now: datetime) -> None:
    row.status, row.decided_by, row.decided_at = status, actor.name, now
