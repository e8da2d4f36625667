"""The owner of transactions: who takes a ``Database`` opens and commits, who takes a ``Session`` never does."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from opsconsole.db.engine import WRITES, make_engine
from opsconsole.errors import Unavailable


class Database:
    """One database, by URL. Making one connects to nothing. ``wait_seconds`` as in ``make_engine``."""

    def __init__(self, url: str, *, pool_size: int = 5, wait_seconds: float | None = None) -> None:
        self.engine: Engine = make_engine(url, pool_size=pool_size, wait_seconds=wait_seconds)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yields a session whose changes are committed at the end, or rolled back on an exception.

        Raises ``Unavailable`` when the database does not answer or stays locked.
        """
        with self._sessions() as session, _translate():
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yields a session for reading only: it takes no write lock and ends with a rollback. Rows stay readable.

        Raises ``Unavailable`` when the database does not answer.
        """
        with self._sessions() as session, _translate():
            session.connection(execution_options={WRITES: False})
            yield session

    def ping(self) -> None:
        """Raises ``Unavailable`` unless the database answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def database_time(session: Session) -> datetime:
    """Returns the database's own clock, so that several machines agree on the time of records."""
    if session.get_bind().dialect.name == "sqlite":
        value = session.execute(text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment


@contextmanager
def _translate() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable("The database does not answer: {error}", error=_reason(error), code="database") from error
    except DBAPIError as error:
        # A connection that broke has more than one class of error, depending on what it was doing.
        if not error.connection_invalidated:
            raise
        raise Unavailable("The database does not answer: {error}", error=_reason(error), code="database") from error
    except PoolTimeout as error:
        raise Unavailable("The database is busy: no connection became free in time.", code="database") from error


def _reason(error: DBAPIError) -> str:
    """Returns the driver's first line without the statement and its parameters, which may hold what people typed."""
    return str(error.orig).strip().splitlines()[0][:200] if error.orig else type(error).__name__
