"""The console's database, opened by a command on the console's own machine."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sqlalchemy.orm import Session

from opsconsole.db.database import Database
from opsconsole.db.schema import require_current
from opsconsole.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Opens the database and closes it. Raises ``Unavailable`` when it does not answer or has another version's
    schema."""
    with closing(Database(settings.database)) as database:
        require_current(database)
        yield database


@contextmanager
def transaction(settings: Settings) -> Iterator[Session]:
    """Opens the database for one transaction, as ``opened`` does."""
    with opened(settings) as database, database.transaction() as session:
        yield session
