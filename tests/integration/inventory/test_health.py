"""How hosts have answered: kept short, in order, and forgotten with the host."""

from datetime import timedelta

from sqlalchemy import select

from opsconsole.db.database import Database
from opsconsole.inventory import health
from opsconsole.inventory.health import KEPT, Contact, KeyState, Verdict
from opsconsole.inventory.models import HostHealth
from tests.support.clock import START
from tests.support.factories import make_host


def _contact(host: str, minutes: float, verdict: Verdict = Verdict.OK, **more: object) -> Contact:
    return Contact(host, START + timedelta(minutes=minutes), verdict, **more)  # type: ignore[arg-type]


def test_the_last_contacts_are_kept_and_the_newest_is_what_holds(either_database: Database) -> None:
    with either_database.transaction() as session:
        good = _contact("Web1", 1, host_key=KeyState.TRUSTED, connect_ms=12, job=1)
        health.note(session, [good, _contact("db1", 1, job=1)])
    with either_database.transaction() as session:
        bad = _contact("web1", 3, Verdict.UNREACHED, reason="refused", detail="Nothing listens there.", job=3)
        # A result that waited on a worker's disk comes late, and is older than what is known by then.
        late = _contact("web1", 2, Verdict.LOST, reason="connection_lost", detail="Gone.", job=2)
        health.note(session, [bad])
        health.note(session, [late])
    with either_database.read() as session:
        found = health.of_hosts(session, ["WEB1", "db1", "nobody"])
        assert sorted(found) == ["db1", "web1"]
        web = found["web1"]
        assert (web.verdict, web.letters) == (Verdict.UNREACHED, "olu")
        assert web.last_at == web.failed_at == START + timedelta(minutes=3)
        assert web.seen_at == web.ok_at == START + timedelta(minutes=2)
        assert (web.reason, web.detail) == ("refused", "Nothing listens there.")
        assert (web.host_key, web.connect_ms) == (KeyState.TRUSTED, 12)
        assert [past.job for past in web.history] == [3, 2, 1]
        assert health.not_let_in(session, ["Web1", "db1", "nobody"]) == {"web1"}


def test_a_history_has_an_end(either_database: Database) -> None:
    with either_database.transaction() as session:
        health.note(session, [_contact("web1", minute, job=minute) for minute in range(KEPT + 5)])
    with either_database.read() as session:
        history = health.of_hosts(session, ["web1"])["web1"].history
        assert [past.job for past in history] == list(range(KEPT + 4, 4, -1))


def test_only_hosts_that_are_gone_are_forgotten(either_database: Database) -> None:
    with either_database.transaction() as session:
        make_host(session, "Listed")
        health.note(session, [_contact("listed", 0), _contact("gone", 0), _contact("new", 60 * 24 * 30)])
    with either_database.transaction() as session:
        health.forget(session, START + timedelta(days=31))
        assert sorted(session.scalars(select(HostHealth.host))) == ["listed", "new"]
