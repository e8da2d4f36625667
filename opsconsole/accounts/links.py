"""One-time sign-in links: a code of 80 random bits, good once within ten minutes, stored as a hash."""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from opsconsole.accounts.models import LoginLink, User
from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit.record import record
from opsconsole.errors import NotAuthenticated

VALID_FOR = timedelta(minutes=10)
# Crockford's base 32: no I, L, O or U, so that a code read aloud or copied by hand arrives as it was.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 16
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
# Links are kept a while after their end, so that a late click hears why it fails.
_KEEP = timedelta(days=1)

_log = logging.getLogger(__name__)


def issue_login_link(session: Session, user: User, *, now: datetime, actor: Actor | None = None) -> str:
    """Returns a fresh code such as ``4F9K-22QX-7HWM-03TC`` that signs ``user`` in once within ten minutes.

    ``actor`` is ``None`` when it is made at the console's machine.
    """
    session.execute(delete(LoginLink).where(LoginLink.expires_at < now - _KEEP))
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    session.add(LoginLink(code_hash=_hash(code), user_id=user.id, expires_at=now + VALID_FOR))
    record(session, actor, "login_link.issued", now=now, object=f"user:{user.name}")
    return "-".join(code[start : start + 4] for start in range(0, _LENGTH, 4))


def redeem_login_link(session: Session, code: str, *, address: str | None, now: datetime) -> User:
    """Returns the person whom ``code`` signs in, and uses it up.

    Raises ``NotAuthenticated`` with code ``link_unknown``, ``link_used`` or ``link_expired``.
    """
    link = session.get(LoginLink, _hash(code))
    user = session.get(User, link.user_id) if link else None
    if link is None or user is None or user.disabled_at is not None:
        raise _refused("link_unknown", "This sign-in link is not known. Ask for a new one.", address)
    if link.used_at is not None:
        raise _refused("link_used", "This sign-in link was used already. Ask for a new one.", address)
    if link.expires_at <= now:
        raise _refused("link_expired", "This sign-in link has expired. Ask for a new one.", address)
    unused = (LoginLink.code_hash == link.code_hash, LoginLink.used_at.is_(None))
    # Two clicks at once: the database lets one of them find the link unused.
    if session.scalar(update(LoginLink).where(*unused).values(used_at=now).returning(LoginLink.user_id)) is None:
        raise _refused("link_used", "This sign-in link was used already. Ask for a new one.", address)
    actor = Actor(user.id, user.name, Role(user.role), address=address)
    record(session, actor, "login.ok", now=now, object=f"user:{user.name}", detail={"by": "link"})
    return user


def _refused(code: str, detail: str, address: str | None) -> NotAuthenticated:
    # The refusal undoes the caller's transaction, so it goes to the log instead of the audit.
    _log.warning("sign-in link refused: %s from %s", code, address)
    return NotAuthenticated(detail, code=code)


def _hash(code: str) -> str:
    plain = code.upper().translate(_MISREAD)
    return hashlib.sha256(plain.encode("utf-8", "backslashreplace")).hexdigest()
