"""Migrations go up and down on both databases, and give what the models say."""

import importlib
import pkgutil
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import opsconsole
from opsconsole.db import schema
from opsconsole.db.base import Base
from opsconsole.db.database import Database, database_time
from opsconsole.errors import Unavailable
from opsconsole.jobs import recover
from opsconsole.jobs.models import LeaderLease
from opsconsole.resources import data_dir
from opsconsole.settings import Settings
from tests.support.clock import START
from tests.support.console import until
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        settings.data_dir.mkdir()
        return settings.database
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.empty_database()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_up_down_and_up_again(empty_url: str) -> None:
    database = Database(empty_url)
    try:
        schema.upgrade(empty_url)
        schema.require_current(database)
        assert tables(database) == set(Base.metadata.tables) | {"alembic_version"}
        schema.downgrade(empty_url, "base")
        assert tables(database) <= {"alembic_version"}
        with pytest.raises(Unavailable):
            schema.require_current(database)
        schema.upgrade(empty_url)
        schema.require_current(database)
    finally:
        database.close()


def test_the_schema_is_what_the_models_say(empty_url: str) -> None:
    schema.upgrade(empty_url)
    database = Database(empty_url)
    try:
        with database.engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, Base.metadata) == []
    finally:
        database.close()


def test_there_is_one_line_of_revisions_and_every_model_is_known_to_it() -> None:
    assert len(ScriptDirectory(str(data_dir("migrations"))).get_heads()) == 1
    environment = (data_dir("migrations") / "env.py").read_text()
    with_tables = set()
    for module in pkgutil.walk_packages(opsconsole.__path__, "opsconsole."):
        if module.name.endswith((".models", ".console")):
            importlib.import_module(module.name)
            with_tables.add(module.name)
    mapped = {mapper.class_.__module__ for mapper in Base.registry.mappers}
    assert mapped <= with_tables
    assert all(f"import {name}" in environment for name in mapped)


def test_the_database_tells_the_time(either_database: Database) -> None:
    with either_database.read() as session:
        first = database_time(session)
        assert first.tzinfo is not None
        assert database_time(session) >= first


def test_a_halted_server_is_unavailable_and_comes_back(
    postgres_server: PostgresServer, postgres_database: Database
) -> None:
    postgres_database.ping()
    postgres_server.halt()
    try:
        with pytest.raises(Unavailable) as caught:
            postgres_database.ping()
        assert postgres_server.password not in str(caught.value)
    finally:
        postgres_server.resume()
    postgres_database.ping()


def _somebody_waits(database: Database) -> bool:
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with database.read() as session:
        return bool(session.scalar(waits))


def test_workers_that_start_at_once_agree_on_one_leader(postgres_database: Database) -> None:
    """The first insert is not committed when the second one comes."""

    with postgres_database.transaction() as session:
        for name in ("a", "b"):
            recover.register(session, name, name=f"here:{name}:1", pid=1, slots=1, version="1", now=START)
    leads: dict[str, bool] = {}

    def second() -> None:
        with postgres_database.transaction() as session:
            leads["b"] = recover.lead(session, "b", recover.Observer(30.0), 0.0)

    thread = threading.Thread(target=second)
    with postgres_database.transaction() as session:
        leads["a"] = recover.lead(session, "a", recover.Observer(30.0), 0.0)
        thread.start()
        until(lambda: _somebody_waits(postgres_database), 30, "the second one waits for the first")
    thread.join()
    assert leads == {"a": True, "b": False}
    with postgres_database.read() as session:
        assert session.get_one(LeaderLease, recover.LEADER).owner == "a"
