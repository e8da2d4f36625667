"""People are made, sign in with a password, are slowed down when guessing, and are shut out."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, text

from opsconsole.accounts import passwords, service, throttle
from opsconsole.accounts.models import LoginThrottle, User
from opsconsole.accounts.permissions import Role
from opsconsole.audit import queries
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Invalid, NotAuthenticated, NotFound, OpsconsoleError, TooMany
from opsconsole.secret import Secret
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.factories import actor_for, make_user

GOOD = Secret("violet engine tuesday 41")
WRONG = Secret("not the password")
HERE = "10.0.0.9"


@pytest.fixture
def person(either_database: Database, clock: FakeClock) -> User:
    with either_database.transaction() as session:
        user = make_user(session, "li.wei")
        service.set_password(session, user, GOOD, now=clock.now(), current=None)
        return user


def attempt(database: Database, clock: FakeClock, name: str, password: Secret, address: str | None = HERE) -> str:
    try:
        return service.sign_in(database, name, password, address=address, now=clock.now()).name
    except OpsconsoleError as error:
        return error.code


def test_names_are_one_in_any_case(either_database: Database, clock: FakeClock) -> None:
    with either_database.transaction() as session:
        user = service.create_user(session, "  Li.Wei ", Role.OPERATOR, now=clock.now())
        assert (user.name, user.role, service.has_password(user)) == ("li.wei", "operator", False)
        assert service.find_user(session, "LI.WEI") is user
        with pytest.raises(Conflict):
            service.create_user(session, "LI.wei", Role.VIEWER, now=clock.now())
        assert [found.name for found in service.list_users(session)] == ["li.wei"]


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "a\0b", "a\nb", "<b>", "x" * 151, "ｌi", "../x"])
def test_names_that_cannot_be(either_database: Database, clock: FakeClock, name: str) -> None:
    with either_database.transaction() as session:
        with pytest.raises(Invalid):
            service.create_user(session, name, Role.VIEWER, now=clock.now())
        assert service.find_user(session, name) is None
    assert attempt(either_database, clock, name, GOOD) == "login_failed"


def test_a_fresh_console_has_nobody_and_no_password(either_database: Database, clock: FakeClock) -> None:
    with either_database.read() as session:
        assert service.list_users(session) == []
    with either_database.transaction() as session:
        admin = service.first_admin(session, now=clock.now())
        assert (admin.name, admin.role, admin.password_hash) == ("admin", "admin", None)
        assert service.first_admin(session, now=clock.now()) is admin
    for password in ("", "admin", "password"):
        assert attempt(either_database, clock, "admin", Secret(password)) == "login_failed"


def test_the_first_admin_is_the_oldest_enabled_one(database: Database, clock: FakeClock) -> None:
    with database.transaction() as session:
        make_user(session, "viewer", Role.VIEWER)
        with pytest.raises(NotFound):
            service.first_admin(session, now=clock.now())
        make_user(session, "zoe", Role.ADMIN)
        make_user(session, "ann", Role.ADMIN)
        zoe = service.first_admin(session, now=clock.now())
        assert zoe.name == "zoe"
        service.disable_user(session, zoe, actor=None, now=clock.now())
        session.flush()
        assert service.first_admin(session, now=clock.now()).name == "ann"


def test_the_right_password_signs_in(either_database: Database, clock: FakeClock, person: User) -> None:
    assert attempt(either_database, clock, "Li.Wei", GOOD) == "li.wei"
    with either_database.read() as session:
        assert session.scalar(select(LoginThrottle.failures).where(LoginThrottle.failures > 0)) is None
        [row] = queries.recent(session, action="login.ok")
        assert (row.actor, row.address, row.detail) == ("li.wei", HERE, {"by": "password"})


def test_a_failure_says_the_same_for_everybody(either_database: Database, clock: FakeClock, person: User) -> None:
    said = set()
    with either_database.transaction() as session:
        make_user(session, "no.password")
        disabled = make_user(session, "disabled")
        service.set_password(session, disabled, GOOD, now=clock.now(), current=None)
        service.disable_user(session, disabled, actor=None, now=clock.now())
    for name, password in [("li.wei", WRONG), ("nobody", WRONG), ("no.password", WRONG), ("disabled", GOOD)]:
        with pytest.raises(NotAuthenticated) as caught:
            service.sign_in(either_database, name, password, address=None, now=clock.now())
        said.add((caught.value.code, caught.value.detail))
    assert said == {("login_failed", "Name or password is wrong.")}
    with either_database.read() as session:
        rows = queries.recent(session, action="login.failed")
        assert [row.object for row in rows] == ["user:disabled", "user:no.password", None, "user:li.wei"]
        assert {(row.actor, row.actor_id) for row in rows} == {("unknown", None)}


def enter(database: Database, clock: FakeClock, name: str, address: str | None) -> int:
    """Counts an attempt as ``sign_in`` does, without its slow part; returns the seconds to wait or 0."""
    try:
        with database.transaction() as session:
            throttle.enter(session, throttle.gates(name, address), now=clock.now())
    except TooMany as error:
        return int(str(error.extra["retry_after"]))
    return 0


def test_guessing_a_name_gets_slower_but_never_stops(either_database: Database, clock: FakeClock, person: User) -> None:
    assert [enter(either_database, clock, "li.wei", None) for _ in range(5)] == [0] * 5
    waits = []
    for _ in range(8):
        waits.append(enter(either_database, clock, "LI.wei", None))
        clock.advance(waits[-1])
        assert enter(either_database, clock, "li.wei", None) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert attempt(either_database, clock, "li.wei", GOOD, address=None) == "too_many_logins"
    clock.advance(60)
    assert attempt(either_database, clock, "li.wei", GOOD, address=None) == "li.wei"
    assert attempt(either_database, clock, "li.wei", WRONG, address=None) == "login_failed"
    assert attempt(either_database, clock, "li.wei", GOOD, address=None) == "li.wei"


def test_an_unknown_name_is_slowed_down_alike(database: Database, clock: FakeClock) -> None:
    assert [enter(database, clock, "nobody", None) for _ in range(7)] == [0, 0, 0, 0, 0, 1, 1]
    assert attempt(database, clock, "nobody", WRONG, address=None) == "too_many_logins"


def test_an_address_that_tries_many_names_is_slowed_down(database: Database, clock: FakeClock) -> None:
    waits = [enter(database, clock, f"name{number}", HERE) for number in range(22)]
    assert waits == [0] * 20 + [1, 1]
    assert attempt(database, clock, "name99", WRONG) == "too_many_logins"
    assert attempt(database, clock, "name99", WRONG, address="10.0.0.10") == "login_failed"


def test_no_address_waits_longer_than_a_quarter_of_an_hour(database: Database, clock: FakeClock) -> None:
    waits = []
    for number in range(60):
        waits.append(enter(database, clock, f"name{number}", HERE))
        clock.advance(waits[-1])
    assert max(waits) == 900


def test_many_guesses_at_once_are_no_way_around(either_database: Database, clock: FakeClock, person: User) -> None:
    at_once = 12
    ready = threading.Barrier(at_once)

    def guess(_number: int) -> str:
        ready.wait()
        return attempt(either_database, clock, "li.wei", WRONG, address=None)

    with ThreadPoolExecutor(at_once) as pool:
        codes = list(pool.map(guess, range(at_once)))
    assert sorted(codes) == ["login_failed"] * 5 + ["too_many_logins"] * 7


def test_old_failures_are_forgotten(database: Database, clock: FakeClock) -> None:
    for number in range(5):
        enter(database, clock, f"name{number}", HERE)
    clock.advance(2 * 86400)
    enter(database, clock, "other", None)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginThrottle)) == 1


def test_an_old_hash_is_renewed_at_sign_in(either_database: Database, clock: FakeClock, person: User) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD.reveal())
    with either_database.transaction() as session:
        session.execute(text("UPDATE users SET password_hash = :weak"), {"weak": weak})
    assert attempt(either_database, clock, "li.wei", GOOD) == "li.wei"
    with either_database.read() as session:
        renewed = session.get_one(User, person.id).password_hash
    assert renewed is not None
    assert renewed != weak
    assert not passwords.needs_rehash(renewed)


def test_a_new_password_needs_the_old_one_and_ends_other_sessions(
    either_database: Database, clock: FakeClock, person: User, settings: Settings
) -> None:
    now = clock.now()
    better = Secret("quiet harbour nineteen")
    with either_database.transaction() as session:
        user = session.get_one(User, person.id)
        mine, other = (service.open_session(session, user, address=HERE, now=now, settings=settings) for _ in range(2))
        for wrong in (None, WRONG, Secret("")):
            with pytest.raises(Invalid) as caught:
                service.set_password(session, user, better, now=now, current=wrong)
            assert caught.value.errors[0].field == "current"
        with pytest.raises(Invalid):
            service.set_password(session, user, Secret("short"), now=now, current=GOOD)
        service.set_password(session, user, better, now=now, current=GOOD, keep=mine)
    assert attempt(either_database, clock, "li.wei", GOOD) == "login_failed"
    assert attempt(either_database, clock, "li.wei", better) == "li.wei"
    with either_database.read() as session:
        assert service.session_actor(session, mine, now=now, settings=settings) is not None
        assert service.session_actor(session, other, now=now, settings=settings) is None


def test_disabling_and_enabling(either_database: Database, clock: FakeClock, person: User, settings: Settings) -> None:
    now = clock.now()
    with either_database.transaction() as session:
        boss = actor_for(make_user(session, "boss", Role.ADMIN))
        user = session.get_one(User, person.id)
        cookie = service.open_session(session, user, address=HERE, now=now, settings=settings)
        service.disable_user(session, user, actor=boss, now=now)
    with either_database.transaction() as session:
        assert service.session_actor(session, cookie, now=now, settings=settings) is None
        service.enable_user(session, session.get_one(User, person.id), actor=boss, now=now)
    with either_database.read() as session:
        assert service.session_actor(session, cookie, now=now, settings=settings) is None
        actions = [(row.action, row.actor, row.object) for row in queries.recent(session, limit=2)]
    assert actions == [("user.enabled", "boss", "user:li.wei"), ("user.disabled", "boss", "user:li.wei")]
    assert attempt(either_database, clock, "li.wei", GOOD) == "li.wei"


def test_the_last_administrator_stays(database: Database, clock: FakeClock) -> None:
    with database.transaction() as session:
        only = make_user(session, "boss", Role.ADMIN)
        make_user(session, "li.wei")
        with pytest.raises(Conflict):
            service.disable_user(session, only, actor=actor_for(only), now=clock.now())


def test_no_password_is_ever_stored_or_told(
    either_database: Database, clock: FakeClock, person: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    attempt(either_database, clock, "li.wei", WRONG)
    attempt(either_database, clock, WRONG.reveal(), WRONG)
    attempt(either_database, clock, "li.wei", GOOD)
    tables = ("users", "web_sessions", "login_links", "login_throttles", "audit_records")
    with either_database.read() as session:
        stored = "".join(str(row) for table in tables for row in session.execute(text(f"SELECT * FROM {table}")))
    for password in (GOOD, WRONG):
        assert password.reveal() not in stored + caplog.text
        assert password.reveal() not in repr(password) + str(password) + f"{password}"
