"""Credentials: added, changed, removed, listed, and opened for those who log in with them. No secret is ever returned
to a person."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.credentials import scope
from opsconsole.credentials.choice import credential_name
from opsconsole.credentials.cipher import tampered
from opsconsole.credentials.kinds import Kind, Material, material
from opsconsole.credentials.models import Credential, CredentialSecret, DataKeyWrap
from opsconsole.credentials.vault import Sealed, Vault
from opsconsole.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Unavailable
from opsconsole.hostset import GroupResolver, parse_host
from opsconsole.secret import Secret
from opsconsole.sentences import Sentence

_MAX_NOTES = 4000
# Sealed with every credential: which secrets it has. So none can be taken away, and the row of one without any cannot
# be changed unnoticed either.
_ROW = "row"
# So often at most the time of the last use is written: it is for people.
_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Opened:
    """A credential with its secrets, in the hands of who logs in with it."""

    id: int
    name: str
    kind: Kind
    user: str | None
    public: Mapping[str, Any]
    scope: tuple[str, ...]
    version: int
    secrets: Mapping[str, Secret]


def credentials(session: Session) -> list[Credential]:
    """Returns all credentials by name."""
    return list(session.scalars(select(Credential).order_by(Credential.name)))


def get_credential(session: Session, name: str) -> Credential:
    """Returns one credential. Raises ``NotFound``."""
    row = session.scalars(select(Credential).where(Credential.name == name.strip())).one_or_none()
    if row is None:
        raise NotFound("There is no such credential.", code="credential_not_found")
    return row


def add_credential(
    session: Session,
    vault: Vault,
    name: str,
    values: Mapping[str, Any],
    *,
    groups: GroupResolver,
    actor: Actor,
    now: datetime,
) -> Credential:
    """Returns a new credential. ``values`` holds ``kind``, ``user``, ``scope``, ``notes`` and ``secrets``, the secret
    parts by their fields' names.

    Raises ``Forbidden``, ``Invalid``, ``Conflict`` (``credential_exists``).
    """
    require_manager(actor)
    cleaned = credential_name(name)
    kept = material(_kind(values.get("kind")), values.get("secrets") or {})
    _refuse_taken(session, cleaned)
    row = Credential(
        name=cleaned,
        kind=_kind(values.get("kind")).value,
        user=_user(values.get("user")),
        scope=scope.cleaned(values.get("scope") or (), groups),
        notes=_notes(values.get("notes")),
        public=kept.public,
        version=1,
        created_by=actor.name,
        created_at=now,
        changed_at=now,
    )
    session.add(row)
    session.flush()  # Its number binds its secrets to it.
    _seal(session, vault, row, kept.secrets, now)
    record(session, actor, "credential.added", now=now, object=f"credential:{cleaned}", detail=_facts(row))
    return row


def change_credential(
    session: Session,
    vault: Vault,
    name: str,
    values: Mapping[str, Any],
    *,
    version: int | None,
    groups: GroupResolver,
    actor: Actor,
    now: datetime,
) -> Credential:
    """Returns the credential with what ``values`` holds changed, as ``add_credential`` takes it, or its ``name``; but
    for its kind. Secret parts that are given replace all former ones.

    Raises ``Forbidden``, ``NotFound``, ``Invalid``, ``Conflict``, ``Unavailable`` when its secrets do not open.
    """
    require_manager(actor)
    row = get_credential(session, name)
    session.refresh(row, with_for_update=True)
    if version is not None and version != row.version:
        message = Sentence("Somebody changed {name} meanwhile. Look at it again. Nothing was changed.", name=row.name)
        raise Conflict(message, code="version_changed", extra={"version": row.version})
    kept = _kept(session, vault, row, values)
    before = _facts(row)
    if values.get("name") is not None:
        renamed = credential_name(values["name"])
        _refuse_taken(session, renamed, but=row.id)
        row.name = renamed
    if "user" in values:
        row.user = _user(values["user"])
    if values.get("scope") is not None:
        row.scope = scope.cleaned(values["scope"], groups)
    if "notes" in values:
        row.notes = _notes(values["notes"])
    row.public = kept.public
    row.version += 1
    row.changed_at = now
    session.flush()
    _seal(session, vault, row, kept.secrets, now)
    told = {field: [before[field], value] for field, value in _facts(row).items() if before[field] != value}
    if values.get("secrets"):
        told["secrets"] = sorted(values["secrets"])
    record(session, actor, "credential.changed", now=now, object=f"credential:{name.strip()}", detail=told)
    return row


def remove_credential(session: Session, name: str, *, version: int | None = None, actor: Actor, now: datetime) -> None:
    """Removes a credential and its secrets for good. Hosts and groups that name it cannot be logged in to until they
    name another. Raises ``Forbidden``, ``NotFound``, ``Conflict``."""
    require_manager(actor)
    row = get_credential(session, name)
    if version is not None and version != row.version:
        message = Sentence("Somebody changed {name} meanwhile. Look at it again. Nothing was removed.", name=row.name)
        raise Conflict(message, code="version_changed", extra={"version": row.version})
    session.execute(delete(Credential).where(Credential.id == row.id))
    record(session, actor, "credential.removed", now=now, object=f"credential:{row.name}", detail=_facts(row))


def opened(session: Session, vault: Vault, names: Collection[str]) -> dict[str, Opened | Unavailable]:
    """Returns those of the credentials called ``names`` that there are, ready to log in with, or why one is not."""
    heads: dict[int, Credential] = {}
    parts: dict[int, list[tuple[str, Sealed, bytes | None]]] = {}
    # Row, secrets and data keys in one statement: between two of them a change or a rotation may be committed.
    for head, part, wrapped in session.execute(_with_secrets(vault).where(Credential.name.in_(names))):
        heads[head.id] = head
        if part is not None:
            parts.setdefault(head.id, []).append((part.field, Sealed(part.key_id, part.sealed), wrapped))
    return {head.name: _open(vault, head, parts.get(head.id, ())) for head in heads.values()}


def used(session: Session, names: Collection[str], *, now: datetime) -> None:
    """Notes that the credentials called ``names`` were used, once a minute at most."""
    due = or_(Credential.last_used_at.is_(None), Credential.last_used_at < now - _USED_EVERY)
    session.execute(update(Credential).where(Credential.name.in_(names), due).values(last_used_at=now))


def require_manager(actor: Actor) -> None:
    """Raises ``Forbidden`` unless ``actor`` may change credentials."""
    if not actor.may(Permission.MANAGE_CREDENTIALS):
        raise Forbidden("Only an administrator may change credentials.", code="may_not_manage_credentials")


def place(head: Credential, field: str) -> str:
    """Returns what binds a secret of ``head`` to its row and to all that decides whom it is shown to."""
    bound = {
        "name": head.name,
        "kind": head.kind,
        "user": head.user,
        "scope": head.scope,
        "public": head.public,
    }
    digest = hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()
    return f"credential_secrets/{head.id}/{field}#{digest}"


def _with_secrets(vault: Vault) -> Any:
    ours = and_(DataKeyWrap.key_id == CredentialSecret.key_id, DataKeyWrap.master_id == vault.master_id)
    return (
        select(Credential, CredentialSecret, DataKeyWrap.wrapped)
        .outerjoin(CredentialSecret, CredentialSecret.credential_id == Credential.id)
        .outerjoin(DataKeyWrap, ours)
        .execution_options(populate_existing=True)
    )


def _open(vault: Vault, head: Credential, parts: Iterable[tuple[str, Sealed, bytes | None]]) -> Opened | Unavailable:
    try:
        clear = {field: vault.open(sealed, wrapped, place=place(head, field)) for field, sealed, wrapped in parts}
    except Unavailable as error:
        return error
    if clear.pop(_ROW, None) != _fields(clear):
        return tampered()
    return Opened(head.id, head.name, Kind(head.kind), head.user, head.public, tuple(head.scope), head.version, clear)


def _kept(session: Session, vault: Vault, row: Credential, values: Mapping[str, Any]) -> Material:
    """Returns the secret parts as they shall be: the given ones, else those there are, opened to be sealed anew."""
    if values.get("kind") not in {None, "", row.kind}:
        message = Sentence("The kind of a credential stays as it is: {kind}.", kind=row.kind)
        raise Invalid(message, errors=[FieldError("kind", message)])
    if values.get("secrets"):
        return material(Kind(row.kind), values["secrets"])
    present = opened(session, vault, [row.name])[row.name]
    if isinstance(present, Unavailable):
        raise present
    return Material(dict(present.secrets), dict(present.public))


def _fields(clear: Iterable[str]) -> Secret:
    return Secret(" ".join(sorted(clear)))


def _seal(session: Session, vault: Vault, row: Credential, clear: Mapping[str, Secret], now: datetime) -> None:
    session.execute(delete(CredentialSecret).where(CredentialSecret.credential_id == row.id))
    parts = {**clear, _ROW: _fields(clear)}
    sealed = vault.seal(session, {place(row, field): secret for field, secret in parts.items()}, now=now)
    for field in parts:
        key_id, data = sealed[place(row, field)]
        session.add(CredentialSecret(credential_id=row.id, field=field, key_id=key_id, sealed=data))
    session.flush()


def _refuse_taken(session: Session, name: str, *, but: int = 0) -> None:
    if session.scalar(select(Credential.id).where(Credential.name == name, Credential.id != but)) is not None:
        raise Conflict("There is a credential {name} already.", name=name, code="credential_exists")


def _facts(row: Credential) -> dict[str, Any]:
    return {field: getattr(row, field) for field in ("name", "kind", "user", "scope", "public", "notes")}


def _kind(value: Any) -> Kind:
    try:
        return Kind(str(value))
    except ValueError:
        message = Sentence("Choose a kind: {kind}.", kind=", ".join(Kind))
        raise Invalid(message, errors=[FieldError("kind", message)]) from None


def _user(value: str | None) -> str | None:
    if value is None or not value.strip():
        return None
    try:
        return parse_host(f"{value.strip()}@host").user
    except Invalid as error:
        raise Invalid(error.detail, errors=[FieldError("user", error.detail)]) from None


def _notes(value: str | None) -> str | None:
    cleaned = (value or "").strip()
    if len(cleaned) > _MAX_NOTES or "\0" in cleaned:
        message = Sentence("Use at most {limit:,} characters, and no NUL byte.", limit=_MAX_NOTES)
        raise Invalid(message, errors=[FieldError("notes", message)])
    return cleaned or None
