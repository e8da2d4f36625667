"""People: made, signed in, given a password, disabled. Also the front door to links, sessions and tokens."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.accounts import passwords, throttle
from opsconsole.accounts.links import issue_login_link, redeem_login_link
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Actor, Role
from opsconsole.accounts.preferences import Preferences
from opsconsole.accounts.sessions import close_session, close_sessions, open_session, session_actor
from opsconsole.accounts.tokens import issue_token, list_tokens, live_tokens, revoke_token, token_actor
from opsconsole.audit.record import Stranger, record
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, FieldError, Invalid, NotAuthenticated, NotFound
from opsconsole.secret import Secret

__all__ = [
    "change_role",
    "close_session",
    "close_sessions",
    "create_user",
    "disable_user",
    "enable_user",
    "find_user",
    "first_admin",
    "get_user",
    "has_password",
    "issue_login_link",
    "issue_token",
    "list_tokens",
    "list_users",
    "live_tokens",
    "open_session",
    "prefer",
    "redeem_login_link",
    "revoke_token",
    "session_actor",
    "set_password",
    "sign_in",
    "token_actor",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,149}")


def create_user(session: Session, name: str, role: Role, *, now: datetime, actor: Actor | None = None) -> User:
    """Returns a new person without a password. ``actor`` is ``None`` when it is done at the console's machine.

    Names are lower case. Raises ``Invalid`` for a name that cannot be one, ``Conflict`` for one that is taken.
    """
    cleaned = name.strip().lower()
    if not _NAME.fullmatch(cleaned):
        message = "A name begins with a letter or digit and has at most 150 letters, digits and . _ @ - in it."
        raise Invalid(message, errors=[FieldError("name", message)])
    if find_user(session, cleaned) is not None:
        raise Conflict("There is already somebody called {name}.", name=cleaned, code="name_taken")
    user = User(name=cleaned, role=Role(role), created_at=now)
    session.add(user)
    # The number is needed by whatever is made for this person in the same transaction.
    session.flush()
    record(session, actor, "user.created", now=now, object=f"user:{cleaned}", detail={"role": user.role})
    return user


def find_user(session: Session, name: str) -> User | None:
    """Returns the person called ``name`` in any case of letters, disabled or not."""
    cleaned = name.strip().lower()
    if not _NAME.fullmatch(cleaned):
        return None
    return session.scalars(select(User).where(User.name == cleaned)).one_or_none()


def first_admin(session: Session, *, now: datetime) -> User:
    """Returns the administrator who was there first; makes ``admin``, without a password, when there is nobody at all.

    Raises ``NotFound`` when there are people but no administrator who is not disabled.
    """
    if not session.scalar(select(func.count()).select_from(User)):
        return create_user(session, "admin", Role.ADMIN, now=now)
    enabled = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    user = session.scalars(enabled.order_by(User.id).limit(1)).one_or_none()
    if user is None:
        raise NotFound("No administrator is enabled.", code="no_admin")
    return user


def list_users(session: Session) -> list[User]:
    """Returns everybody, by name."""
    return list(session.scalars(select(User).order_by(User.name)))


def sign_in(database: Database, name: str, password: Secret, *, address: str | None, now: datetime) -> User:
    """Returns the person whom ``name`` and ``password`` prove.

    Raises ``NotAuthenticated`` with the same text after the same work whoever ``name`` is, and ``TooMany`` with
    ``retry_after`` while somebody guesses. A failure is recorded although it is raised, hence the ``Database``.
    """
    # 1. Counted before it is looked at. 2. The slow comparison holds no transaction. 3. What came of it.
    with database.transaction() as session:
        throttle.enter(session, throttle.gates(name, address), now=now)
        user = find_user(session, name)
        compared = user.password_hash if user else None
    right = passwords.matches(compared, password)
    with database.transaction() as session:
        user = find_user(session, name)
        if right and user is not None and user.disabled_at is None and user.password_hash == compared:
            _signed_in(session, user, password, address=address, now=now)
            return user
        # What was typed as a name may be a password by mistake, so only names of real people are kept.
        whom = f"user:{user.name}" if user else None
        record(session, Stranger(address), "login.failed", now=now, object=whom, detail={"by": "password"})
    raise NotAuthenticated("Name or password is wrong.", code="login_failed")


def has_password(user: User) -> bool:
    """Returns whether ``user`` can sign in with a password."""
    return user.password_hash is not None


def set_password(
    session: Session,
    user: User,
    new: Secret,
    *,
    now: datetime,
    current: Secret | None,
    keep: str | None = None,
    actor: Actor | None = None,
) -> None:
    """Gives ``user`` the password ``new`` and ends all other sessions than that of the cookie ``keep``.

    ``actor`` is ``None`` when it is done at the console's machine. Raises ``Invalid`` when ``new`` is too easy, or
    ``current`` is not the password there is. It hashes for about 100 ms within the caller's transaction.
    """
    if user.password_hash is not None and not (current and passwords.matches(user.password_hash, current)):
        message = "The current password is wrong."
        raise Invalid(message, errors=[FieldError("current", message, code="wrong_password")])
    passwords.check_new(new, name=user.name)
    user.password_hash = passwords.hash_password(new)
    close_sessions(session, user, keep=keep)
    record(session, actor, "password.changed", now=now, object=f"user:{user.name}")


def get_user(session: Session, name: str) -> User:
    """Returns the person called ``name``, disabled or not. Raises ``NotFound``."""
    user = find_user(session, name)
    if user is None:
        raise NotFound("There is nobody of that name.", code="user_not_found")
    return user


def change_role(session: Session, user: User, role: Role, *, actor: Actor | None, now: datetime) -> None:
    """Gives ``user`` another role, at once for sessions and tokens too.

    Raises ``Conflict`` for the last administrator.
    """
    if role == user.role:
        return
    _require_another_admin(session, user, "The last administrator keeps that role.")
    detail = {"from": user.role, "role": role.value}
    user.role = role.value
    record(session, actor, "user.role_changed", now=now, object=f"user:{user.name}", detail=detail)


def disable_user(session: Session, user: User, *, actor: Actor | None, now: datetime) -> None:
    """Shuts ``user`` out: sessions end, tokens and links fail, and what is queued for them does not start.

    Raises ``Conflict`` for the last administrator.
    """
    _require_another_admin(session, user, "The last administrator cannot be disabled.")
    user.disabled_at = now
    close_sessions(session, user)
    record(session, actor, "user.disabled", now=now, object=f"user:{user.name}")


def enable_user(session: Session, user: User, *, actor: Actor | None, now: datetime) -> None:
    """Lets a disabled ``user`` in again; they sign in anew."""
    user.disabled_at = None
    record(session, actor, "user.enabled", now=now, object=f"user:{user.name}")


def prefer(session: Session, user_id: int, said: Mapping[str, str]) -> Preferences:
    """Returns the person's preferences after ``said`` changed them. Raises ``Invalid`` for what cannot be chosen."""
    user = session.get_one(User, user_id, with_for_update=True)
    chosen = Preferences.stored(user.preferences).changed(said)
    user.preferences = asdict(chosen)
    return chosen


def _require_another_admin(session: Session, user: User, otherwise: str) -> None:
    others = select(func.count()).select_from(User)
    others = others.where(User.role == Role.ADMIN, User.disabled_at.is_(None), User.id != user.id)
    if user.role == Role.ADMIN and user.disabled_at is None and not session.scalar(others):
        raise Conflict(otherwise, code="last_admin")


def _signed_in(session: Session, user: User, password: Secret, *, address: str | None, now: datetime) -> None:
    throttle.leave(session, user.name, address)
    if user.password_hash and passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash_password(password)
    actor = Actor(user.id, user.name, Role(user.role), address=address)
    record(session, actor, "login.ok", now=now, object=f"user:{user.name}", detail={"by": "password"})
