"""API tokens ``opsc_<id>_<secret>``: made, checked, revoked. The secret is shown once and stored as SHA-256."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.models import ApiToken, User
from opsconsole.accounts.permissions import Actor, Permission, Role, Scope
from opsconsole.audit.record import record
from opsconsole.errors import FieldError, Invalid, NotAuthenticated, NotFound

_PREFIX = "opsc_"
# Last use is for people to read; writing it on each request would turn every read into a write.
_TOUCH = timedelta(minutes=1)


def issue_token(
    session: Session,
    user: User,
    *,
    name: str,
    scope: Scope,
    expires_at: datetime | None,
    now: datetime,
    actor: Actor | None = None,
) -> tuple[ApiToken, str]:
    """Returns a new token of ``user`` and its clear text, which is never to be had again.

    ``actor`` is ``None`` when it is made at the console's machine. Raises ``Invalid`` when the name is empty or too
    long, or the end lies in the past.
    """
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= 100 or not cleaned.isprintable():
        raise _invalid("name", "Give the token a name of 1 to 100 characters that says what it is for.")
    if expires_at is not None and expires_at <= now:
        raise _invalid("expires_at", "The token must expire in the future.")
    secret = secrets.token_urlsafe(32)
    token = ApiToken(
        id=secrets.token_hex(8),
        user_id=user.id,
        name=cleaned,
        secret_hash=_hash(secret),
        scope=Scope(scope),
        created_at=now,
        expires_at=expires_at,
        user=user,
    )
    session.add(token)
    end = expires_at.isoformat() if expires_at else None
    detail = {"user": user.name, "name": cleaned, "scope": token.scope, "expires_at": end}
    record(session, actor, "token.issued", now=now, object=f"token:{token.id}", detail=detail)
    return token, f"{_PREFIX}{token.id}_{secret}"


def token_actor(session: Session, text: str, *, address: str | None, now: datetime) -> Actor:
    """Returns who holds the token ``text``, and notes its use when the session is one that writes.

    Raises ``NotAuthenticated`` with code ``token_unknown``, ``token_expired`` or ``token_revoked``; the latter two only
    for the true secret, and ``token_revoked`` also when its owner is disabled.
    """
    if not text:
        message = "No token stands behind Authorization: Bearer. Make one: opsconsole token create NAME"
        raise NotAuthenticated(message, code="token_unknown")
    token = _find(session, text)
    if token is None:
        raise NotAuthenticated("This token is not known.", code="token_unknown")
    if token.revoked_at is not None or token.user.disabled_at is not None:
        raise NotAuthenticated("This token was revoked.", code="token_revoked")
    if token.expires_at is not None and token.expires_at <= now:
        raise NotAuthenticated("This token has expired.", code="token_expired")
    if _touch_due(token, now):
        token.used_at = now
    return Actor(
        user_id=token.user_id,
        name=token.user.name,
        role=Role(token.user.role),
        token_id=token.id,
        scope=Scope(token.scope),
        address=address,
    )


def revoke_token(session: Session, token_id: str, *, actor: Actor, now: datetime) -> ApiToken:
    """Ends a token of the actor, or anyone's for an administrator; again is no error.

    Raises ``NotFound`` when there is none that the actor may know of.
    """
    token = _get(session, token_id)
    if token is None or (token.user_id != actor.user_id and not actor.may(Permission.ADMINISTER)):
        raise NotFound("There is no such token.", code="token_not_found")
    if token.revoked_at is None:
        token.revoked_at = now
        record(session, actor, "token.revoked", now=now, object=f"token:{token.id}", detail={"name": token.name})
    return token


def list_tokens(session: Session, user_id: int) -> list[ApiToken]:
    """Returns a person's tokens, newest first, revoked and expired ones too."""
    statement = select(ApiToken).where(ApiToken.user_id == user_id)
    return list(session.scalars(statement.order_by(ApiToken.created_at.desc(), ApiToken.id)))


def live_tokens(session: Session, *, now: datetime) -> dict[int, list[ApiToken]]:
    """Returns the tokens that open something, by the number of their owner, newest first."""
    statement = select(ApiToken).where(ApiToken.revoked_at.is_(None))
    found: dict[int, list[ApiToken]] = {}
    for token in session.scalars(statement.order_by(ApiToken.created_at.desc(), ApiToken.id)):
        if token.expires_at is None or token.expires_at > now:
            found.setdefault(token.user_id, []).append(token)
    return found


def _find(session: Session, text: str) -> ApiToken | None:
    identifier, _, secret = text.strip().removeprefix(_PREFIX).partition("_")
    if not text.strip().startswith(_PREFIX) or not secret:
        return None
    token = _get(session, identifier)
    expected = token.secret_hash if token else ""
    return token if hmac.compare_digest(_hash(secret), expected) else None


def _get(session: Session, token_id: str) -> ApiToken | None:
    # PostgreSQL refuses some texts outright (NUL), so only what can be an id is asked for.
    return session.get(ApiToken, token_id) if token_id.isalnum() and token_id.isascii() else None


def _touch_due(token: ApiToken, now: datetime) -> bool:
    return token.used_at is None or now - token.used_at >= _TOUCH


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message)])
