"""The database's schema, from a person's point of view: every failure is one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from opsconsole import __version__
from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.settings import Settings

_WAIT_SECONDS = 3.0


def impatient(settings: Settings) -> Database:
    """Returns the database for the process that watches all others: it must not stand still behind a lock.

    No statement waits longer than three seconds; then it fails with ``Unavailable``.
    """
    return Database(settings.database, pool_size=1, wait_seconds=_WAIT_SECONDS)


def bring_up_to_date(settings: Settings) -> None:
    """Brings the database to this version's schema, when it is not there already. Raises ``Unavailable``."""
    current, wanted = revisions(settings)
    if current != wanted:
        with _explained():
            schema.upgrade(settings.database)


def take_back(settings: Settings, revision: str) -> None:
    """Takes the database back to an older schema. Raises ``Unavailable``."""
    with _explained():
        schema.downgrade(settings.database, revision)


def revisions(settings: Settings) -> tuple[str | None, str | None]:
    """Returns the revision the database is at and the one this version needs. Raises ``Unavailable``."""
    with _explained(), closing(Database(settings.database)) as database:
        return schema.revisions(database)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise Unavailable(
            f"The schema could not be changed: {error}. Was this database made by another version than "
            f"{__version__}? Then install that one, or choose another database.",
            code="schema",
        ) from None
    except SQLAlchemyError as error:
        # Only the kind of the error: its text may hold the statement's values.
        cause = str(getattr(error, "orig", "") or type(error).__name__).strip().splitlines()[0][:200]
        raise Unavailable(f"The schema could not be changed: {cause}.", code="schema") from None
