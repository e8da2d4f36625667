"""The audit holds on both databases: ordered, chained, append-only, and undone with what it tells of."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit import queries
from opsconsole.audit.models import AuditRecord
from opsconsole.audit.record import record
from opsconsole.db.console import Console
from opsconsole.db.database import Database
from tests.support.clock import START

ACTOR = Actor(7, "li.wei", Role.OPERATOR, token_id="a1b2", address="10.0.0.9")


def write(database: Database, count: int = 3) -> None:
    for number in range(count):
        with database.transaction() as session:
            record(
                session, ACTOR, "job.launched", now=START, object=f"job:{number}", text="uptime", detail={"n": number}
            )


def write_and_fail(database: Database) -> None:
    with database.transaction() as session:
        record(session, ACTOR, "never", now=START)
        raise RuntimeError


def broken(database: Database) -> int | None:
    with database.read() as session:
        return queries.verify(session)


def without_triggers(database: Database, statement: str) -> None:
    """Does what somebody with the database owner's rights could do."""
    with database.transaction() as session:
        if database.dialect == "postgresql":
            session.execute(text("ALTER TABLE audit_records DISABLE TRIGGER audit_append_only"))
        else:
            session.execute(text("DROP TRIGGER audit_no_update"))
            session.execute(text("DROP TRIGGER audit_no_delete"))
        session.execute(text(statement))


def test_a_record_says_who_did_what(either_database: Database) -> None:
    write(either_database, 1)
    with either_database.read() as session:
        [row] = queries.recent(session)
        assert (row.id, row.at, row.actor_id, row.actor) == (1, START, 7, "li.wei")
        assert (row.token_id, row.address) == ("a1b2", "10.0.0.9")
        assert (row.action, row.object, row.text, row.detail) == ("job.launched", "job:0", "uptime", {"n": 0})
    assert broken(either_database) is None


def test_an_empty_audit_is_whole(either_database: Database) -> None:
    assert broken(either_database) is None


def test_it_is_undone_with_its_action(either_database: Database) -> None:
    write(either_database, 1)
    with pytest.raises(RuntimeError):
        write_and_fail(either_database)
    write(either_database, 1)
    assert broken(either_database) is None
    with either_database.read() as session:
        assert [row.id for row in queries.recent(session)] == [2, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET actor = 'nobody'",
        "DELETE FROM audit_records",
        "DELETE FROM audit_records WHERE id = 1",
    ],
)
def test_the_database_refuses_changes(either_database: Database, statement: str) -> None:
    write(either_database)
    with pytest.raises(DBAPIError, match="append-only"), either_database.transaction() as session:
        session.execute(text(statement))


def test_postgresql_refuses_to_truncate(postgres_database: Database) -> None:
    write(postgres_database)
    with pytest.raises(DBAPIError, match="append-only"), postgres_database.transaction() as session:
        session.execute(text("TRUNCATE audit_records"))


@pytest.mark.parametrize(
    ("statement", "first_broken"),
    [
        ("UPDATE audit_records SET actor = 'nobody' WHERE id = 2", 2),
        ("UPDATE audit_records SET detail = '{}' WHERE id = 3", 3),
        ("UPDATE audit_records SET text = NULL WHERE id = 1", 1),
        ("UPDATE audit_records SET prev_hash = hash WHERE id = 2", 2),
        ("DELETE FROM audit_records WHERE id = 2", 2),
        ("DELETE FROM audit_records WHERE id = 3", 3),
        ("DELETE FROM audit_records", 1),
    ],
)
def test_verify_names_the_first_broken_record(either_database: Database, statement: str, first_broken: int) -> None:
    write(either_database)
    without_triggers(either_database, statement)
    assert broken(either_database) == first_broken


def test_verify_sees_an_end_that_was_put_on(either_database: Database) -> None:
    write(either_database)
    with either_database.transaction() as session:
        session.execute(update(Console).values(audit_count=2))
    assert broken(either_database) is not None


def test_many_writers_make_one_chain(either_database: Database) -> None:
    writers, each = 6, 5
    ready = threading.Barrier(writers)

    def run(_number: int) -> None:
        ready.wait()
        write(either_database, each)

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(run, range(writers)))
    assert broken(either_database) is None
    with either_database.read() as session:
        assert len(queries.recent(session)) == writers * each


def test_hostile_text_is_kept_and_chained(either_database: Database) -> None:
    hostile = 'echo "\0" \ud800 \\u0000 </script> 你好'
    with either_database.transaction() as session:
        record(session, ACTOR, "job.launched", now=START, object="x" * 400, text=hostile, detail={hostile: [hostile]})
    assert broken(either_database) is None
    with either_database.read() as session:
        [row] = queries.recent(session)
        assert row.text == 'echo "\\x00" \\ud800 \\u0000 </script> 你好'
        assert row.detail == {row.text: [row.text]}
        assert row.object is not None
        assert len(row.object) == 255


def test_what_was_committed_is_logged(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="opsconsole.audit")
    write(database, 1)
    with pytest.raises(RuntimeError):
        write_and_fail(database)
    with database.read() as session:
        head = session.get_one(AuditRecord, 1).hash
    assert caplog.messages == [f"audit 1 job.launched {head}"]


def test_recent_filters_and_pages(database: Database) -> None:
    write(database, 3)
    with database.transaction() as session:
        record(session, None, "user.created", now=START, object="user:x")
    with database.read() as session:
        assert [row.actor for row in queries.recent(session, action="user.created")] == ["console"]
        assert [row.id for row in queries.recent(session, object="job:1")] == [2]
        assert [row.id for row in queries.recent(session, before=4, limit=2)] == [3, 2]
