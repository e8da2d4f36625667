"""People, looked after on the console's own machine by whoever may read its database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy.orm import Session

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.db.schema import require_current
from opsconsole.settings import Settings


def everybody(settings: Settings) -> list[User]:
    """Returns everybody, by name."""
    with _transaction(settings) as session:
        return service.list_users(session)


def add(settings: Settings, name: str, role: Role) -> None:
    """Adds somebody without a password. Raises ``Invalid`` or ``Conflict``."""
    with _transaction(settings) as session:
        service.create_user(session, name, role, now=SystemClock().now())


def change_role(settings: Settings, name: str, role: Role) -> None:
    """Gives somebody another role. Raises ``NotFound``, ``Conflict`` for the last administrator."""
    with _transaction(settings) as session:
        service.change_role(session, service.get_user(session, name), role, actor=None, now=SystemClock().now())


def shut_out(settings: Settings, name: str) -> None:
    """Disables somebody. Raises ``NotFound``, ``Conflict`` for the last administrator."""
    with _transaction(settings) as session:
        service.disable_user(session, service.get_user(session, name), actor=None, now=SystemClock().now())


def let_in(settings: Settings, name: str) -> None:
    """Enables somebody who was disabled. Raises ``NotFound``."""
    with _transaction(settings) as session:
        service.enable_user(session, service.get_user(session, name), actor=None, now=SystemClock().now())


@contextmanager
def _transaction(settings: Settings) -> Iterator[Session]:
    with closing(Database(settings.database)) as database:
        require_current(database)
        with database.transaction() as session:
            yield session
