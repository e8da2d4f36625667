"""The check of the audit's chain, on the console's own machine."""

from contextlib import closing

from opsconsole.audit.queries import verify
from opsconsole.db.database import Database
from opsconsole.db.schema import require_current
from opsconsole.settings import Settings


def first_broken(settings: Settings) -> int | None:
    """Returns the id of the first record that was changed, removed or put in between; ``None`` when all is whole."""
    with closing(Database(settings.database)) as database:
        require_current(database)
        with database.read() as session:
            return verify(session)
