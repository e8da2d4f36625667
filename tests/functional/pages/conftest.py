"""The pages over a real database, with people at browsers of their own."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings
from opsconsole.web.app import create_app
from opsconsole.web.sse import streams_of
from tests.functional.api.play import Play
from tests.functional.pages.people import Person, person_at
from tests.support.clock import FakeClock
from tests.support.factories import make_user
from tests.support.liveserver import NoWorkers


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_unlisted_hosts": True, "log_level": "ERROR"})


@pytest.fixture
def runtime(settings: Settings, database: Database, clock: FakeClock) -> Runtime:
    return Runtime(settings, database, clock, Cipher(settings.secret()), NoWorkers())


@pytest.fixture
def app(runtime: Runtime) -> Iterator[Flask]:
    made = create_app(runtime)
    yield made
    streams_of(made).stop()


@pytest.fixture
def person(app: Flask, runtime: Runtime) -> Callable[..., Person]:
    """Makes somebody and signs their browser in."""

    def make(role: Role = Role.OPERATOR, name: str | None = None) -> Person:
        with runtime.database.transaction() as session:
            user = make_user(session, name, role)
        return person_at(app, runtime, user)

    return make


@pytest.fixture
def operator(person: Callable[..., Person]) -> Person:
    return person(Role.OPERATOR)


@pytest.fixture
def admin(person: Callable[..., Person]) -> Person:
    return person(Role.ADMIN)


@pytest.fixture
def play(database: Database, clock: FakeClock) -> Callable[[int], Play]:
    """Takes the part of the workers for one job."""
    return lambda job_id: Play(database, clock, job_id)
