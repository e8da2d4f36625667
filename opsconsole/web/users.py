"""What administrators do with people, for the page and the API alike."""

from typing import Any

from flask import url_for
from sqlalchemy.orm import Session

from opsconsole.accounts import service
from opsconsole.accounts.links import VALID_FOR
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.errors import Conflict
from opsconsole.jobs.queries import iso
from opsconsole.web.auth import actor
from opsconsole.web.sse import streams
from opsconsole.web.unit_of_work import now


def link(database: Session, user: User) -> dict[str, Any]:
    """Returns a one-time sign-in link: ``name``, ``url``, ``expires_at``. Raises ``Conflict`` for who is disabled."""
    if user.disabled_at is not None:
        raise Conflict("{name} is disabled.", name=user.name, code="user_disabled")
    code = service.issue_login_link(database, user, now=now(), actor=actor())
    url = url_for("pages.login", _external=True, once=code)
    return {"name": user.name, "url": url, "expires_at": iso(now() + VALID_FOR)}


def change(database: Session, user: User, *, role: Role | None, disabled: bool | None) -> None:
    """Changes what is given. Raises ``Conflict`` for the last administrator; open streams are looked at again."""
    if role is not None:
        service.change_role(database, user, role, actor=actor(), now=now())
    if disabled is True and user.disabled_at is None:
        service.disable_user(database, user, actor=actor(), now=now())
    if disabled is False and user.disabled_at is not None:
        service.enable_user(database, user, actor=actor(), now=now())
    streams().doubt()
