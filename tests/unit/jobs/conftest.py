"""A desk on a SQLite file of the test's own."""

from collections.abc import Iterator

import pytest

from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, Hand, key_file, open_desk


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return key_file(settings)


@pytest.fixture
def desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, database, clock) as opened:
        yield opened


@pytest.fixture
def hand(desk: Desk) -> Hand:
    """A worker with many slots."""
    return desk.hand()
