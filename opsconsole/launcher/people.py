"""People, looked after on the console's own machine by whoever may read its database."""

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.clock import SystemClock
from opsconsole.launcher.own_database import transaction
from opsconsole.settings import Settings


def everybody(settings: Settings) -> list[User]:
    """Returns everybody, by name."""
    with transaction(settings) as session:
        return service.list_users(session)


def add(settings: Settings, name: str, role: Role) -> None:
    """Adds somebody without a password. Raises ``Invalid`` or ``Conflict``."""
    with transaction(settings) as session:
        service.create_user(session, name, role, now=SystemClock().now())


def change_role(settings: Settings, name: str, role: Role) -> None:
    """Gives somebody another role. Raises ``NotFound``, ``Conflict`` for the last administrator."""
    with transaction(settings) as session:
        service.change_role(session, service.get_user(session, name), role, actor=None, now=SystemClock().now())


def shut_out(settings: Settings, name: str) -> None:
    """Disables somebody. Raises ``NotFound``, ``Conflict`` for the last administrator."""
    with transaction(settings) as session:
        service.disable_user(session, service.get_user(session, name), actor=None, now=SystemClock().now())


def let_in(settings: Settings, name: str) -> None:
    """Enables somebody who was disabled. Raises ``NotFound``."""
    with transaction(settings) as session:
        service.enable_user(session, service.get_user(session, name), actor=None, now=SystemClock().now())
