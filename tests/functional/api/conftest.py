"""The web application over a real database, people with tokens and browsers, and jobs that tests move along."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from flask import Flask

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings
from opsconsole.web.app import create_app
from opsconsole.web.sse import streams_of
from tests.functional.api.callers import Browser, Program, sign_in
from tests.functional.api.play import Play
from tests.support.clock import FakeClock
from tests.support.factories import make_token, make_user


class CountingDispatcher:
    """Counts the nudges; there is no worker to nudge."""

    def __init__(self) -> None:
        self.nudges = 0

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        raise AssertionError("the web never publishes")

    def nudge(self) -> None:
        self.nudges += 1


@pytest.fixture
def dispatcher() -> CountingDispatcher:
    return CountingDispatcher()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_unlisted_hosts": True, "log_level": "ERROR"})


@pytest.fixture
def runtime(settings: Settings, database: Database, clock: FakeClock, dispatcher: CountingDispatcher) -> Runtime:
    return Runtime(settings, database, clock, Cipher(settings.secret()), dispatcher)


@pytest.fixture
def app(runtime: Runtime) -> Iterator[Flask]:
    made = create_app(runtime)
    yield made
    streams_of(made).stop()


@pytest.fixture
def program(app: Flask, database: Database) -> Callable[..., Program]:
    """Makes a person with a token, and a client that sends it."""

    def make(role: Role = Role.OPERATOR, scope: Scope = Scope.RUN, name: str | None = None) -> Program:
        with database.transaction() as session:
            user = make_user(session, name, role)
            return Program(app.test_client(), user, make_token(session, user, scope))

    return make


@pytest.fixture
def browser(app: Flask, runtime: Runtime) -> Callable[..., Browser]:
    """Makes a person and their signed-in browser."""

    def make(role: Role = Role.OPERATOR, name: str | None = None) -> Browser:
        with runtime.database.transaction() as session:
            user = make_user(session, name, role)
        return sign_in(app, runtime, user)

    return make


@pytest.fixture
def operator(program: Callable[..., Program]) -> Program:
    return program(Role.OPERATOR)


@pytest.fixture
def play(database: Database, clock: FakeClock) -> Callable[[int], Play]:
    """Takes the part of the workers for one job."""
    return lambda job_id: Play(database, clock, job_id)
