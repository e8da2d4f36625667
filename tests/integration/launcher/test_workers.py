"""What the launcher concludes from the rows of worker processes."""

import os
import socket
from pathlib import Path

import pytest
from sqlalchemy import select

from opsconsole.clock import SystemClock
from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.jobs import recover
from opsconsole.jobs.models import WorkerProcess
from opsconsole.launcher import folder
from opsconsole.launcher.workers import WorkerWatch
from opsconsole.settings import Settings
from tests.support.clock import FakeClock

HOST = socket.gethostname()
NO_SUCH_PROCESS = 2**22 + 1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data")
    folder.prepare(settings)
    schema.upgrade(settings.database)
    return settings


@pytest.fixture
def database(settings: Settings) -> Database:
    return Database(settings.database)


def _register(database: Database, pid: int, host: str = HOST) -> None:
    with database.transaction() as session:
        recover.register(
            session, _id(pid, host), name=f"{host}:worker-1:{pid}", pid=pid, slots=1, version="0",
            now=SystemClock().now(),
        )  # fmt: skip


def _id(pid: int, host: str = HOST) -> str:
    return f"{host}-{pid}"[-32:]


def _gone(database: Database) -> set[int]:
    with database.read() as session:
        return set(session.scalars(select(WorkerProcess.pid).where(WorkerProcess.gone_at.is_not(None))))


def test_a_worker_is_ready_when_it_has_reported_from_this_machine(settings: Settings, database: Database) -> None:
    watch = WorkerWatch(settings, database, SystemClock())
    _register(database, 4711, host="elsewhere")
    assert not watch.ready(4711)
    _register(database, 4712)
    assert watch.ready(4712)
    assert watch.alive(4712)


def test_its_end_is_noted_at_once(settings: Settings, database: Database) -> None:
    watch = WorkerWatch(settings, database, SystemClock())
    _register(database, 4711, host="elsewhere")
    _register(database, 4711)
    watch.gone(4711)
    with database.read() as session:
        rows = session.scalars(select(WorkerProcess)).all()
    assert {row.name.split(":")[0]: row.gone_at is not None for row in rows} == {"elsewhere": False, HOST: True}


def test_workers_of_a_killed_launcher_are_settled_by_the_next(settings: Settings, database: Database) -> None:
    _register(database, NO_SUCH_PROCESS)
    _register(database, os.getpid())
    former = WorkerWatch(settings, database, SystemClock())
    assert former.ready(NO_SUCH_PROCESS)
    assert former.ready(os.getpid())
    WorkerWatch(settings, database, SystemClock()).settle_former()
    assert _gone(database) == {NO_SUCH_PROCESS}


def test_a_heartbeat_that_stands_still_for_long_is_no_life(settings: Settings, database: Database) -> None:
    clock = FakeClock()
    watch = WorkerWatch(settings, database, clock)
    _register(database, 4711)
    _register(database, 4712)
    verdicts = []
    for _ in range(13):
        with database.transaction() as session:
            session.get_one(WorkerProcess, _id(4712)).beat += 1
        verdicts.append((watch.alive(4711), watch.alive(4712)))
        clock.advance(5.0)
    # Twice the 30 s after which the reaper gives a worker up.
    assert verdicts == [(True, True)] * 12 + [(False, True)]


def test_a_database_that_does_not_answer_proves_nothing(settings: Settings, database: Database) -> None:
    nowhere = Database(f"sqlite:///{settings.data_dir}/missing/opsconsole.db")
    watch = WorkerWatch(settings, nowhere, SystemClock())
    assert not watch.ready(4711)
    assert watch.alive(4711)
    watch.gone(4711)
