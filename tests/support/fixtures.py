"""Fixtures of all tests: settings of an empty data folder, a clock that stands still, migrated databases."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.postgres import PostgresServer

_DATABASE_FILE = "opsconsole.db"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OPSCONSOLE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data folder is the test's own."""
    return Settings.load(data_dir=tmp_path / "data", allow_loopback=True)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / _DATABASE_FILE
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(settings: Settings, _migrated_file: Path) -> Iterator[Database]:
    """A migrated SQLite database of the test's own, the one that ``settings`` name."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(_migrated_file, settings.data_dir / _DATABASE_FILE)
    made = Database(settings.database)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process, started when the first test asks for it."""
    server = PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of a migrated PostgreSQL database of the test's own."""
    return postgres_server.migrated_database()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A migrated PostgreSQL database of the test's own."""
    made = Database(postgres_url)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest) -> Database:
    """The test runs twice: on SQLite and on PostgreSQL."""
    name = "database" if request.param == "sqlite" else "postgres_database"
    made: Database = request.getfixturevalue(name)
    return made
