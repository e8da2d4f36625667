"""A failure budget holds, whatever ends at the same moment: random jobs on the real dispatcher and database."""

import sys
from collections.abc import Iterator

import pytest

from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, key_file
from tests.support.simulation import Simulation


@pytest.fixture
def desk(settings: Settings, either_database: Database) -> Iterator[Desk]:
    desk = Desk(key_file(settings), either_database, FakeClock())
    yield desk
    desk.close()


def _hold(desk: Desk, jobs: int, seed: int, seconds: float) -> None:
    figures = Simulation(desk, seed).run(jobs, seconds=seconds)
    # Shown when a person runs it with -s, and kept in docs/reliability.md.
    sys.stdout.write(f"\nseed {seed}: {figures}\n")
    assert figures.broken == []
    assert figures.idle == 0
    assert figures.jobs == jobs
    assert figures.stopped > 0


@pytest.mark.slow
def test_after_one_failure_too_many_nothing_starts(desk: Desk) -> None:
    _hold(desk, 40, 1, 280)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_thousand_jobs_keep_their_budgets(desk: Desk) -> None:
    _hold(desk, 1000, 20261122, 3500)
