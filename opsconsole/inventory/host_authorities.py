"""Who may vouch for hosts by certificates, and which keys are revoked for many hosts: as lines of known_hosts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from opsconsole.inventory.known_hosts import CERT_AUTHORITY, REVOKED, Authority, Entry, KnownKey, entries, fingerprint
from opsconsole.inventory.models import HostAuthority, KeyStatus

_MAX_PATTERNS = 1000


class Vouchers:
    """The lines of one moment, for looking up many hosts."""

    def __init__(self, lines: Iterable[Entry]) -> None:
        self._lines = tuple(line for line in lines if line.marker)

    def authorities(self, names: Sequence[str], port: int) -> tuple[Authority, ...]:
        """Returns who may vouch for a host that is known by ``names``, each for those names that its patterns have.

        An authority that any line revokes for the host is left out.
        """
        if not self._lines:
            return ()
        revoked = set(self.revoked(names, port))
        found: dict[KnownKey, list[str]] = {}
        for line in self._lines:
            if line.marker == CERT_AUTHORITY and line.key not in revoked:
                found.setdefault(line.key, []).extend(name for name in names if line.matches(name, port))
        return tuple(Authority(key, tuple(dict.fromkeys(known))) for key, known in found.items() if known)

    def revoked(self, names: Sequence[str], port: int) -> tuple[KnownKey, ...]:
        """Returns the keys that are revoked for a host that is known by ``names``."""
        lines = (line for line in self._lines if line.marker == REVOKED)
        return tuple(line.key for line in lines if any(line.matches(name, port) for name in names))


def lines(session: Session) -> list[Entry]:
    """Returns what the console has stored, as lines of known_hosts."""
    stored = session.execute(
        select(HostAuthority.patterns, HostAuthority.algorithm, HostAuthority.key, HostAuthority.status).order_by(
            HostAuthority.id
        )
    )
    return [
        Entry(
            0,
            CERT_AUTHORITY if status == KeyStatus.TRUSTED else REVOKED,
            tuple(patterns.split(",")),
            KnownKey(algorithm, key),
        )
        for patterns, algorithm, key, status in stored
    ]


def listed(session: Session) -> list[HostAuthority]:
    """Returns all of them, as they were added."""
    return list(session.scalars(select(HostAuthority).order_by(HostAuthority.id)))


def add(
    session: Session, patterns: str, key: str, *, revoked: bool, source: str, actor: Actor, now: datetime
) -> HostAuthority:
    """Returns a new authority, or with ``revoked`` a key that counts for nothing where ``patterns`` match.

    ``patterns`` are those of known_hosts, parted by commas; ``key`` is a public key as in a ``.pub`` file. Raises
    ``Forbidden``, ``Invalid``, ``Conflict`` (``authority_exists``).
    """
    _require(actor)
    line = _line(patterns, key, revoked=revoked)
    added = take(session, line, source=source, actor=actor, now=now)
    if added is None:
        raise Conflict("This key is here already for the same hosts.", code="authority_exists")
    return added


def take(session: Session, line: Entry, *, source: str, actor: Actor, now: datetime) -> HostAuthority | None:
    """Returns what a line of known_hosts adds, ``None`` when it is here already; one that revokes it revokes it."""
    status = KeyStatus.REVOKED if line.marker == REVOKED else KeyStatus.TRUSTED
    patterns = ",".join(line.patterns)
    same = select(HostAuthority).where(HostAuthority.patterns == patterns)
    row = session.scalars(same.where(HostAuthority.fingerprint == fingerprint(line.key)).with_for_update()).first()
    if row is not None:
        if row.status == status or status == KeyStatus.TRUSTED:
            return None
    else:
        row = HostAuthority(
            patterns=patterns,
            algorithm=line.key.algorithm,
            key=line.key.key,
            fingerprint=fingerprint(line.key),
            source=source,
            created_at=now,
        )
        session.add(row)
    row.status, row.decided_by, row.decided_at = status, actor.name, now
    session.flush()
    _tell(session, row, "revoked" if status == KeyStatus.REVOKED else "added", actor, now)
    return row


def revoke(session: Session, number: int, *, actor: Actor, now: datetime) -> HostAuthority:
    """Returns the authority, now revoked: no certificate it signed counts any more.

    Its key is what is revoked: every entry that has it is, for whatever hosts. Raises ``Forbidden``, ``NotFound``.
    """
    _require(actor)
    chosen = _get(session, number)
    same = select(HostAuthority).where(HostAuthority.fingerprint == chosen.fingerprint).order_by(HostAuthority.id)
    for row in session.scalars(same.with_for_update()):
        if row.status != KeyStatus.REVOKED:
            row.status, row.decided_by, row.decided_at = KeyStatus.REVOKED.value, actor.name, now
            _tell(session, row, "revoked", actor, now)
    return chosen


def remove(session: Session, number: int, *, actor: Actor, now: datetime) -> None:
    """Forgets an authority, or a revocation. Raises ``Forbidden``, ``NotFound``."""
    _require(actor)
    row = _get(session, number)
    _tell(session, row, "removed", actor, now)
    session.delete(row)


def _line(patterns: str, key: str, *, revoked: bool) -> Entry:
    cleaned = ",".join(part.strip() for part in patterns.split(",") if part.strip())
    words = key.split()
    marker = REVOKED if revoked else CERT_AUTHORITY
    if not cleaned or len(cleaned) > _MAX_PATTERNS or len(cleaned.split()) != 1:
        raise _invalid("patterns", "Write patterns of host names, parted by commas, such as *.example.com.")
    found = list(entries(f"@{marker} {cleaned} {' '.join(words[:2])}"))
    if not found or len(words) < 2 or "-cert-" in words[0]:
        raise _invalid("key", "Give a public key as in a .pub file: ssh-ed25519 AAAA...")
    return found[0]


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message)])


def _require(actor: Actor) -> None:
    if not actor.may(Permission.TRUST_HOST_KEYS):
        raise Forbidden("Only an administrator may decide about host keys.", code="may_not_trust")


def _get(session: Session, number: int) -> HostAuthority:
    row = session.get(HostAuthority, number, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound("There is no such authority.", code="authority_not_found")
    return row


def _tell(session: Session, row: HostAuthority, what: str, actor: Actor, now: datetime) -> None:
    detail = {"fingerprint": row.fingerprint, "algorithm": row.algorithm, "patterns": row.patterns}
    record(session, actor, f"host_authority.{what}", now=now, object=f"host_authority:{row.id}", detail=detail)
