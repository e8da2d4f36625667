"""API tokens made on the console's own machine, by whoever may read its database; programs use them from elsewhere."""

from datetime import timedelta

from sqlalchemy.orm import Session

from opsconsole.accounts.models import ApiToken, User
from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.accounts.service import find_user, first_admin
from opsconsole.accounts.tokens import issue_token, list_tokens, revoke_token
from opsconsole.clock import SystemClock
from opsconsole.errors import Forbidden, NotFound
from opsconsole.launcher.own_database import transaction
from opsconsole.settings import Settings


def make(settings: Settings, name: str, *, owner: str | None, scope: Scope, days: int) -> str:
    """Returns the text of a new token that ends after ``days``. ``owner`` of ``None`` is the first administrator.

    Raises ``NotFound`` when there is nobody of that name, ``Forbidden`` when the person is disabled.
    """
    now = SystemClock().now()
    with transaction(settings) as session:
        user = _owner(session, owner)
        _, text = issue_token(session, user, name=name, scope=scope, expires_at=now + timedelta(days=days), now=now)
        return text


def tokens_of(settings: Settings, owner: str | None) -> list[ApiToken]:
    """Returns a person's tokens, newest first, without their secrets."""
    with transaction(settings) as session:
        return list_tokens(session, _owner(session, owner).id)


def revoke(settings: Settings, token_id: str) -> None:
    """Ends a token at once. Raises ``NotFound``."""
    now = SystemClock().now()
    with transaction(settings) as session:
        admin = first_admin(session, now=now)
        revoke_token(session, token_id, actor=Actor(admin.id, admin.name, Role(admin.role)), now=now)


def _owner(session: Session, name: str | None) -> User:
    user = first_admin(session, now=SystemClock().now()) if name is None else find_user(session, name)
    if user is None:
        raise NotFound(f"There is nobody called {name!r}.", code="user_not_found")
    if user.disabled_at is not None:
        raise Forbidden(f"{user.name} is disabled.", code="user_disabled")
    return user
