"""The check of the audit's chain, on the console's own machine."""

from opsconsole.audit.queries import verify
from opsconsole.launcher.own_database import opened
from opsconsole.settings import Settings


def first_broken(settings: Settings) -> int | None:
    """Returns the id of the first record that was changed, removed or put in between; ``None`` when all is whole."""
    with opened(settings) as database, database.read() as session:
        return verify(session)
