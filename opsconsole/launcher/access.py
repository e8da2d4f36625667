"""How the person who starts a console gets in: a one-time link for the browser, a token for the command line."""

import contextlib
import html
import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from opsconsole.accounts.links import issue_login_link
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.accounts.service import create_user, find_user, first_admin
from opsconsole.accounts.tokens import issue_token, revoke_token
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.db.schema import require_current
from opsconsole.errors import Forbidden, NotFound, OpsconsoleError
from opsconsole.launcher.folder import write_private
from opsconsole.settings import Settings

_TOKEN_NAME = "Command line of this machine"  # noqa: S105  A name, not a secret.


@dataclass(frozen=True, slots=True)
class Access:
    """A one-time code for the browser, or ``None`` when no administrator is enabled."""

    code: str | None


def grant(settings: Settings, database: Database, url: str) -> Access:
    """Makes the one-time code, and leaves URL and a fresh token for the command line in the data folder (0600).

    The token of a former start is revoked.
    """
    withdraw(settings, database)
    now = SystemClock().now()
    try:
        with database.transaction() as session:
            user = first_admin(session, now=now)
            code = issue_login_link(session, user, now=now)
            _, token = issue_token(session, user, name=_TOKEN_NAME, scope=Scope.RUN, expires_at=None, now=now)
    except NotFound:
        return Access(None)
    write_private(settings.console_file, json.dumps({"url": url, "token": token}))
    return Access(code)


def withdraw(settings: Settings, database: Database) -> None:
    """Removes what ``grant`` left in the data folder and revokes its token."""
    try:
        token = str(json.loads(settings.console_file.read_text())["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    settings.console_file.unlink(missing_ok=True)
    (settings.run_dir / "open.html").unlink(missing_ok=True)
    with contextlib.suppress(OpsconsoleError), database.transaction() as session:
        now = SystemClock().now()
        owner = first_admin(session, now=now)
        revoke_token(session, token.split("_")[1], actor=_actor(owner), now=now)


def link_for(settings: Settings, name: str | None) -> str:
    """Returns a one-time link for the person called ``name``, or for the first administrator.

    Raises ``NotFound`` when there is nobody of that name, ``Forbidden`` when the person is disabled.
    """
    now = SystemClock().now()
    with closing(_database(settings)) as database, database.transaction() as session:
        user = first_admin(session, now=now) if name is None else find_user(session, name)
        if user is None:
            raise NotFound(f"There is nobody called {name!r}.", code="user_not_found")
        if user.disabled_at is not None:
            raise Forbidden(f"{user.name} is disabled.", code="user_disabled")
        return _link(settings, issue_login_link(session, user, now=now))


def new_admin_link(settings: Settings, name: str) -> str:
    """Makes an administrator and returns a one-time link for them. Raises ``Invalid`` or ``Conflict`` for the name."""
    now = SystemClock().now()
    with closing(_database(settings)) as database, database.transaction() as session:
        user = create_user(session, name, Role.ADMIN, now=now)
        return _link(settings, issue_login_link(session, user, now=now))


def page_address(url: str, code: str | None) -> str:
    """Returns the address that signs the holder of ``code`` in."""
    return f"{url}/login?once={code}" if code else url


def entry_page(settings: Settings, url: str, code: str | None) -> Path:
    """Writes a page (0600) that leads a browser to the sign-in address, and returns it.

    A browser's command line can be read by everybody on the machine; the one-time code must not stand in it.
    """
    page = settings.run_dir / "open.html"
    address = html.escape(page_address(url, code), quote=True)
    write_private(
        page, f'<!doctype html><meta http-equiv="refresh" content="0; url={address}"><title>opsconsole</title>'
    )
    return page


def running_url(settings: Settings) -> str | None:
    """Returns the URL of the console that ``up`` runs on this data folder, or ``None``."""
    try:
        return str(json.loads(settings.console_file.read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _link(settings: Settings, code: str) -> str:
    url = settings.url or running_url(settings) or f"http://{settings.host}:{settings.port}"
    return page_address(url.rstrip("/"), code)


def _database(settings: Settings) -> Database:
    database = Database(settings.database)
    require_current(database)
    return database


def _actor(user: User) -> Actor:
    return Actor(user_id=user.id, name=user.name, role=Role(user.role))
