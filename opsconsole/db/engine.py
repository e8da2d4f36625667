"""Makes the engine and sets what each database needs to be safe with several processes."""

from importlib.util import find_spec
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import ConnectionPoolEntry

from opsconsole.errors import Unavailable

_SQLITE_BUSY_SECONDS = 30
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32000",
    "PRAGMA journal_size_limit=67108864",
)
WRITES = "opsconsole_writes"


def make_engine(url: str, *, pool_size: int = 5, wait_seconds: float | None = None) -> Engine:
    """Returns an engine for ``url`` that connects to nothing yet.

    ``wait_seconds`` bounds how long a statement may take: on SQLite the wait for the write lock (30 s when not given),
    on PostgreSQL the whole statement (no bound when not given). Raises ``Unavailable`` without its driver.
    """
    if url.startswith("sqlite"):
        return _sqlite_engine(url, pool_size, _SQLITE_BUSY_SECONDS if wait_seconds is None else wait_seconds)
    if find_spec("psycopg") is None:
        raise Unavailable("PostgreSQL needs a driver: pip install 'opsconsole[postgres]'", code="postgres_driver")
    bound = {} if wait_seconds is None else {"options": f"-c statement_timeout={int(wait_seconds * 1000)}"}
    return create_engine(
        url,
        # An error's text may reach a log; what people typed must not.
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": 5, "application_name": "opsconsole", **bound},
    )


def _sqlite_engine(url: str, pool_size: int, busy_seconds: float) -> Engine:
    engine = create_engine(
        url,
        # An error's text may reach a log; what people typed must not.
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _entry: ConnectionPoolEntry) -> None:
        # The driver's own implicit BEGIN is deferred: a read that later writes would then fail with "locked" at
        # once. We begin ourselves, see below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
