"""Makes what many tests need, each with one call."""

import base64
import itertools
import secrets
from datetime import datetime

from sqlalchemy.orm import Session

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.accounts.service import create_user, issue_token
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.inventory.models import Host
from opsconsole.inventory.service import upsert_host
from tests.support.clock import START

_numbers = itertools.count(1)


def make_user(session: Session, name: str | None = None, role: Role = Role.OPERATOR, *, now: datetime = START) -> User:
    """Returns a new person; without a name, one that no other has."""
    return create_user(session, name or f"user{next(_numbers)}", role, now=now)


def actor_for(user: User, *, address: str | None = "127.0.0.1") -> Actor:
    """Returns ``user`` as signed in by a browser."""
    return Actor(user.id, user.name, Role(user.role), address=address)


def make_token(session: Session, user: User, scope: Scope = Scope.RUN, *, now: datetime = START) -> str:
    """Returns the clear text of a new token of ``user`` that does not expire."""
    return issue_token(session, user, name="test", scope=scope, expires_at=None, now=now)[1]


def make_host(
    session: Session,
    name: str,
    *,
    address: str | None = None,
    port: int | None = None,
    user: str | None = None,
    tags: dict[str, str] | None = None,
    now: datetime = START,
) -> Host:
    """Returns a registered host."""
    return upsert_host(session, name, address=address, port=port, user=user, tags=tags, now=now)


def make_key(algorithm: str = "ssh-ed25519") -> KnownKey:
    """Returns a well-formed public host key that no server has."""
    parts = (algorithm.encode(), secrets.token_bytes(32))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return KnownKey(algorithm, base64.b64encode(blob).decode())
