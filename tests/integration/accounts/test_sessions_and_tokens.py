"""What a browser's cookie and a program's token are worth, and when they stop being worth anything."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from opsconsole.accounts import service
from opsconsole.accounts.models import ApiToken, User, WebSession
from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.audit import queries
from opsconsole.db.database import Database
from opsconsole.errors import Invalid, NotAuthenticated, NotFound
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.factories import actor_for, make_token, make_user

HERE = "10.0.0.9"


@pytest.fixture
def user(either_database: Database) -> User:
    with either_database.transaction() as session:
        return make_user(session, "li.wei")


@pytest.fixture
def cookie(either_database: Database, clock: FakeClock, settings: Settings, user: User) -> str:
    with either_database.transaction() as session:
        return service.open_session(session, user, address=HERE, now=clock.now(), settings=settings)


def who(database: Database, cookie: str, now: datetime, settings: Settings) -> str | None:
    with database.transaction() as session:
        actor = service.session_actor(session, cookie, now=now, settings=settings, address=HERE)
        return actor.name if actor else None


def test_a_cookie_is_its_person(
    either_database: Database, clock: FakeClock, settings: Settings, user: User, cookie: str
) -> None:
    with either_database.read() as session:
        actor = service.session_actor(session, cookie, now=clock.now(), settings=settings, address=HERE)
    assert actor == Actor(user.id, "li.wei", Role.OPERATOR, address=HERE)


def test_each_sign_in_has_its_own_cookie_of_256_bits(database: Database, clock: FakeClock, settings: Settings) -> None:
    with database.transaction() as session:
        person = make_user(session)
        cookies = {
            service.open_session(session, person, address=None, now=clock.now(), settings=settings) for _ in range(9)
        }
        session.flush()
        stored = str(session.execute(text("SELECT * FROM web_sessions")).all())
    assert len(cookies) == 9
    assert all(len(made) == 43 and made not in stored for made in cookies)


@pytest.mark.parametrize("wrong", ["", "x", "\0", "\ud800", "é" * 5000])
def test_another_cookie_is_nobody(
    either_database: Database, clock: FakeClock, settings: Settings, cookie: str, wrong: str
) -> None:
    assert who(either_database, wrong, clock.now(), settings) is None


def test_an_idle_session_ends(either_database: Database, clock: FakeClock, settings: Settings, cookie: str) -> None:
    idle = settings.session_idle_minutes * 60
    for _ in range(3):
        assert who(either_database, cookie, clock.advance(idle), settings) == "li.wei"
    assert who(either_database, cookie, clock.advance(idle + 1), settings) is None


def test_a_busy_session_ends_too(either_database: Database, clock: FakeClock, settings: Settings, cookie: str) -> None:
    end = clock.now() + timedelta(hours=settings.session_hours)
    while clock.now() < end:
        assert who(either_database, cookie, clock.now(), settings) == "li.wei"
        clock.advance(6 * 3600)
    assert who(either_database, cookie, clock.now(), settings) is None


def test_seen_is_written_once_a_minute(
    either_database: Database, clock: FakeClock, settings: Settings, cookie: str
) -> None:
    start = clock.now()
    seen = []
    for _ in range(4):
        who(either_database, cookie, clock.advance(30), settings)
        with either_database.read() as session:
            seen.append((session.scalars(select(WebSession.seen_at)).one() - start).total_seconds())
    assert seen == [0, 60, 60, 120]


def test_sign_out_ends_this_session_only(
    either_database: Database, clock: FakeClock, settings: Settings, user: User, cookie: str
) -> None:
    with either_database.transaction() as session:
        other = service.open_session(session, user, address=HERE, now=clock.now(), settings=settings)
        service.close_session(session, cookie)
    assert who(either_database, cookie, clock.now(), settings) is None
    assert who(either_database, other, clock.now(), settings) == "li.wei"


def test_a_changed_role_counts_at_once(
    either_database: Database, clock: FakeClock, settings: Settings, user: User, cookie: str
) -> None:
    with either_database.transaction() as session:
        token = make_token(session, user)
        session.get_one(User, user.id).role = Role.VIEWER
    with either_database.read() as session:
        actor = service.session_actor(session, cookie, now=clock.now(), settings=settings)
        assert actor is not None
        assert actor.role is Role.VIEWER
        assert service.token_actor(session, token, address=None, now=clock.now()).role is Role.VIEWER


def refused(database: Database, token: str, now: datetime) -> str:
    with database.read() as session, pytest.raises(NotAuthenticated) as caught:
        service.token_actor(session, token, address=HERE, now=now)
    assert token not in caught.value.detail or not token
    return caught.value.code


def test_a_token_is_its_person_within_its_scope(either_database: Database, clock: FakeClock, user: User) -> None:
    with either_database.transaction() as session:
        row, clear = service.issue_token(
            session, user, name=" cron ", scope=Scope.READ, expires_at=None, now=clock.now(), actor=actor_for(user)
        )
        assert clear.startswith(f"opsc_{row.id}_")
        assert row.name == "cron"
    with either_database.transaction() as session:
        actor = service.token_actor(session, f" {clear}\n", address=HERE, now=clock.advance(5))
        assert actor == Actor(user.id, "li.wei", Role.OPERATOR, token_id=row.id, scope=Scope.READ, address=HERE)
    with either_database.read() as session:
        [listed] = service.list_tokens(session, user.id)
        assert listed.used_at == clock.now()
        [audited] = queries.recent(session, action="token.issued")
        assert (audited.actor, audited.address, audited.object) == ("li.wei", "127.0.0.1", f"token:{row.id}")
        stored = str(session.execute(text("SELECT * FROM api_tokens")).all()) + str(audited.detail)
    secret = clear.split("_", 2)[2]
    assert len(secret) == 43
    assert secret not in stored


def test_unknown_tokens(either_database: Database, clock: FakeClock, user: User) -> None:
    with either_database.transaction() as session:
        token = make_token(session, user)
    prefix, identifier, secret = token.split("_", 2)
    wrong = ["", "opsc_", "opsc__", token[:-1], token + "x", f"{prefix}_{identifier}_", f"xxxx_{identifier}_{secret}"]
    wrong += [f"opsc_{'0' * 16}_{secret}", f"opsc_\0_{secret}", f"opsc_é_{secret}", "opsc_x_\ud800", secret]
    assert {refused(either_database, text_, clock.now()) for text_ in wrong} == {"token_unknown"}


def test_an_expired_token(either_database: Database, clock: FakeClock, user: User) -> None:
    end = clock.now() + timedelta(hours=1)
    with either_database.transaction() as session:
        _, token = service.issue_token(session, user, name="x", scope=Scope.RUN, expires_at=end, now=clock.now())
    with either_database.read() as session:
        assert service.token_actor(session, token, address=None, now=end - timedelta(seconds=1)).name == "li.wei"
    assert refused(either_database, token, end) == "token_expired"
    # Only who has the secret hears that it was a token once.
    assert refused(either_database, token[:-1], end) == "token_unknown"


def test_a_revoked_token(either_database: Database, clock: FakeClock, user: User) -> None:
    with either_database.transaction() as session:
        token = make_token(session, user)
        row = session.scalars(select(ApiToken)).one()
        stranger = actor_for(make_user(session))
        for nobody in (row.id + "0", "\0", "é"):
            with pytest.raises(NotFound):
                service.revoke_token(session, nobody, actor=actor_for(user), now=clock.now())
        with pytest.raises(NotFound):
            service.revoke_token(session, row.id, actor=stranger, now=clock.now())
        assert row.revoked_at is None
        service.revoke_token(session, row.id, actor=actor_for(user), now=clock.now())
        service.revoke_token(session, row.id, actor=actor_for(user), now=clock.advance(9))
        assert len(queries.recent(session, action="token.revoked")) == 1
    assert refused(either_database, token, clock.now()) == "token_revoked"


def test_an_administrator_revokes_anyones_but_not_with_a_token(
    either_database: Database, clock: FakeClock, user: User
) -> None:
    with either_database.transaction() as session:
        make_token(session, user)
        row = session.scalars(select(ApiToken)).one()
        boss = make_user(session, role=Role.ADMIN)
        by_token = Actor(boss.id, boss.name, Role.ADMIN, token_id="t", scope=Scope.RUN)
        with pytest.raises(NotFound):
            service.revoke_token(session, row.id, actor=by_token, now=clock.now())
        assert service.revoke_token(session, row.id, actor=actor_for(boss), now=clock.now()).revoked_at == clock.now()


def test_a_disabled_persons_token_is_worth_nothing(either_database: Database, clock: FakeClock, user: User) -> None:
    with either_database.transaction() as session:
        token = make_token(session, user)
        service.disable_user(session, session.get_one(User, user.id), actor=None, now=clock.now())
    assert refused(either_database, token, clock.now()) == "token_revoked"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\0b", "a\nb"])
def test_a_token_needs_a_name(database: Database, clock: FakeClock, name: str) -> None:
    with database.transaction() as session, pytest.raises(Invalid):
        service.issue_token(session, make_user(session), name=name, scope=Scope.RUN, expires_at=None, now=clock.now())


def test_a_token_ends_in_the_future(database: Database, clock: FakeClock) -> None:
    with database.transaction() as session, pytest.raises(Invalid):
        service.issue_token(
            session, make_user(session), name="x", scope=Scope.RUN, expires_at=clock.now(), now=clock.now()
        )
