"""Transactions on SQLite: what is kept, who waits for whom, and what an outage is called."""

import shutil
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from opsconsole.db import schema
from opsconsole.db.console import Console
from opsconsole.db.database import Database, database_time
from opsconsole.errors import Unavailable
from opsconsole.jobs.models import LeaderLease, WorkerProcess
from opsconsole.jobs.recover import register
from opsconsole.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def add(database: Database, name: str, moment: datetime = NOW) -> None:
    with database.transaction() as session:
        register(session, name, name="here:w:1", pid=1, slots=1, version="1", now=moment)


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(WorkerProcess.id).order_by(WorkerProcess.id)))


def test_a_transaction_is_whole_or_nothing(database: Database) -> None:
    add(database, "a")

    def half() -> None:
        with database.transaction() as session:
            register(session, "b", name="here:w:1", pid=1, slots=1, version="1", now=NOW)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert names(database) == ["a"]


def test_reading_keeps_nothing_and_waits_for_nobody(database: Database) -> None:
    add(database, "a")
    with database.transaction() as session:
        session.execute(text("UPDATE worker_processes SET busy = 5"))
        assert names(database) == ["a"]
        with database.read() as reader:
            assert reader.scalar(select(WorkerProcess.busy)) == 0
    with database.read() as reader:
        assert reader.scalar(select(WorkerProcess.busy)) == 5
        reader.add(LeaderLease(name="x", owner=None, beat=1))
    with database.read() as reader:
        assert reader.scalar(select(func.count()).select_from(LeaderLease)) == 0


def test_writers_take_turns_and_none_is_told_that_it_is_locked(database: Database) -> None:
    add(database, "a")

    def count() -> None:
        for _ in range(20):
            with database.transaction() as session:
                beat = session.scalar(select(WorkerProcess.beat)) or 0
                session.execute(text("UPDATE worker_processes SET beat = :beat"), {"beat": beat + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(select(WorkerProcess.beat)) == 81


def test_an_outage_is_unavailable_and_repeats_no_parameter(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none' / 'x.db'}")
    with pytest.raises(Unavailable) as caught:
        database.ping()
    assert caught.value.code == "database"
    with pytest.raises(Unavailable), database.transaction() as session:
        session.execute(text("SELECT :secret"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)
    database.close()


def test_a_statement_that_fails_does_not_tell_its_parameters(database: Database) -> None:
    with pytest.raises(Unavailable) as caught, database.transaction() as session:
        session.execute(text("SELECT * FROM no_such_table WHERE a = :secret"), {"secret": "hunter2"})
    assert "no_such_table" in caught.value.detail
    assert "hunter2" not in f"{caught.value.detail} {caught.value!r}"


def test_times_are_aware_and_in_utc(database: Database) -> None:
    add(database, "a", NOW.astimezone(timezone(timedelta(hours=8))))
    with database.read() as session:
        assert session.get_one(WorkerProcess, "a").started_at == NOW
        assert session.get_one(WorkerProcess, "a").started_at.tzinfo is UTC
        moment = database_time(session)
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(Exception, match="naive"):
        add(database, "b", NOW.replace(tzinfo=None))


def test_every_connection_is_set_up(database: Database) -> None:
    with database.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA synchronous")) == 1


def test_a_database_of_another_version_is_refused_with_what_to_do(settings: Settings) -> None:
    settings.data_dir.mkdir()
    database = Database(settings.database)
    with pytest.raises(Unavailable, match="opsconsole db upgrade") as caught:
        schema.require_current(database)
    assert caught.value.code == "schema"
    schema.upgrade(settings.database)
    schema.require_current(database)
    database.close()


def test_two_consoles_have_different_generations(tmp_path: Path) -> None:
    seen = set()
    for name in ("a", "b"):
        url = f"sqlite:///{tmp_path / name}"
        schema.upgrade(url)
        database = Database(url)
        with database.read() as session:
            seen.add(session.get_one(Console, 1).generation)
        database.close()
    assert len(seen) == 2


def test_migrations_lie_where_percent_signs_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "100%s"
    shutil.copytree(schema.data_dir("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "data_dir", lambda _name: folder)
    schema.upgrade(f"sqlite:///{tmp_path / 'x.db'}")
