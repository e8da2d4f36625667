"""Signed-in browsers: a random cookie, stored as a hash, that ends by idling, by age, and by sign-out."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from opsconsole.accounts.models import User, WebSession
from opsconsole.accounts.permissions import Actor, Role
from opsconsole.accounts.preferences import Preferences
from opsconsole.settings import Settings

# How often "last seen" is written: each request would be a write otherwise.
_TOUCH = timedelta(minutes=1)


def open_session(session: Session, user: User, *, address: str | None, now: datetime, settings: Settings) -> str:
    """Returns the cookie value of a new session of ``user``: 256 random bits, stored as their hash."""
    session.execute(delete(WebSession).where(WebSession.expires_at <= now))
    cookie = secrets.token_urlsafe(32)
    row = WebSession(
        id_hash=_hash(cookie),
        user_id=user.id,
        created_at=now,
        seen_at=now,
        expires_at=now + timedelta(hours=settings.session_hours),
        address=address,
    )
    session.add(row)
    return cookie


def session_actor(
    session: Session, cookie: str, *, now: datetime, settings: Settings, address: str | None = None
) -> Actor | None:
    """Returns who is signed in with ``cookie``, or ``None``: unknown, idle or open too long, or the person is disabled.

    Notes that the session was seen, at most once a minute, when ``session`` is one that writes.
    """
    row = session.get(WebSession, _hash(cookie))
    if row is None or row.expires_at <= now or row.user.disabled_at is not None:
        return None
    if now - row.seen_at > timedelta(minutes=settings.session_idle_minutes):
        return None
    if now - row.seen_at >= _TOUCH:
        row.seen_at = now
    chosen = Preferences.stored(row.user.preferences)
    return Actor(row.user_id, row.user.name, Role(row.user.role), address=address, preferences=chosen)


def close_session(session: Session, cookie: str) -> None:
    """Ends the session of ``cookie``, if there is one."""
    session.execute(delete(WebSession).where(WebSession.id_hash == _hash(cookie)))


def close_sessions(session: Session, user: User, *, keep: str | None = None) -> None:
    """Ends all sessions of ``user`` but the one of the cookie ``keep``."""
    # One that was opened in this very transaction ends too.
    session.flush()
    statement = delete(WebSession).where(WebSession.user_id == user.id)
    if keep is not None:
        statement = statement.where(WebSession.id_hash != _hash(keep))
    session.execute(statement)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "backslashreplace")).hexdigest()
