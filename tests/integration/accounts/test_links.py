"""A sign-in link works once, for ten minutes, and is stored as a hash."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from opsconsole.accounts import service
from opsconsole.accounts.models import LoginLink, User
from opsconsole.audit import queries
from opsconsole.db.database import Database
from opsconsole.errors import NotAuthenticated
from tests.support.clock import FakeClock
from tests.support.factories import make_user

HERE = "10.0.0.9"


@pytest.fixture
def code(either_database: Database, clock: FakeClock) -> str:
    with either_database.transaction() as session:
        return service.issue_login_link(session, make_user(session, "li.wei"), now=clock.now())


def redeem(database: Database, clock: FakeClock, code: str) -> str:
    try:
        with database.transaction() as session:
            return service.redeem_login_link(session, code, address=HERE, now=clock.now()).name
    except NotAuthenticated as error:
        return error.code


def test_it_works_once(either_database: Database, clock: FakeClock, code: str) -> None:
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", code)
    assert redeem(either_database, clock, code) == "li.wei"
    assert redeem(either_database, clock, code) == "link_used"
    with either_database.read() as session:
        [row] = queries.recent(session, action="login.ok")
        assert (row.actor, row.address, row.detail) == ("li.wei", HERE, {"by": "link"})


def test_it_ends_after_ten_minutes(either_database: Database, clock: FakeClock, code: str) -> None:
    clock.advance(599)
    with either_database.transaction() as session:
        again = service.issue_login_link(session, session.scalars(select(User)).one(), now=clock.now())
    clock.advance(1)
    assert redeem(either_database, clock, code) == "link_expired"
    assert redeem(either_database, clock, again) == "li.wei"


def test_it_is_read_as_people_write_it(either_database: Database, clock: FakeClock, code: str) -> None:
    written = " " + code.lower().replace("-", " ").replace("0", "o").replace("1", "l") + " "
    assert redeem(either_database, clock, written) == "li.wei"


@pytest.mark.parametrize("wrong", ["", "0000-0000-0000-0000", "x" * 10_000, "\0", "\ud800", "' OR 1=1"])
def test_others_are_unknown(either_database: Database, clock: FakeClock, code: str, wrong: str) -> None:
    assert redeem(either_database, clock, wrong) == "link_unknown"


def test_a_disabled_person_has_no_link(either_database: Database, clock: FakeClock, code: str) -> None:
    with either_database.transaction() as session:
        service.disable_user(session, session.scalars(select(User)).one(), actor=None, now=clock.now())
    assert redeem(either_database, clock, code) == "link_unknown"


def test_two_clicks_at_once_sign_in_once(either_database: Database, clock: FakeClock, code: str) -> None:
    ready = threading.Barrier(4)

    def click(_number: int) -> str:
        ready.wait()
        return redeem(either_database, clock, code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(click, range(4))) == ["li.wei", *["link_used"] * 3]


def test_the_code_is_not_stored_and_not_logged(
    either_database: Database, clock: FakeClock, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    redeem(either_database, clock, code)
    redeem(either_database, clock, code)
    with either_database.read() as session:
        stored = str(session.execute(text("SELECT * FROM login_links")).all())
        stored += str([(row.text, row.detail, row.object) for row in queries.recent(session)])
    for form in (code, code.replace("-", "")):
        assert form not in stored + caplog.text
    assert "link_used from 10.0.0.9" in caplog.text


def test_two_installations_share_no_code(database: Database, clock: FakeClock) -> None:
    with database.transaction() as session:
        user = make_user(session)
        codes = {service.issue_login_link(session, user, now=clock.now()) for _ in range(50)}
    assert len(codes) == 50


def test_old_links_go_away(database: Database, clock: FakeClock) -> None:
    with database.transaction() as session:
        user = make_user(session)
        service.issue_login_link(session, user, now=clock.now())
        session.flush()
        service.issue_login_link(session, user, now=clock.advance(2 * 86400))
        session.flush()
        assert session.scalar(select(func.count()).select_from(LoginLink)) == 1
