"""The real web application on a loopback port, in a thread of the test process, for tests with a browser."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.accounts.service import find_user, issue_login_link
from opsconsole.clock import SystemClock
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.jobs import saved
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.survey import Survey
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings
from opsconsole.web.app import create_app
from opsconsole.web.sse import streams_of
from tests.support.factories import make_user

_ANSWER = "tests.answer"


class NoWorkers:
    """There is no broker: a test moves its jobs along by itself."""

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        raise AssertionError("the web never publishes")

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        raise AssertionError("the web never publishes")

    def publish_scans(self, scan_ids: Sequence[int]) -> None:
        raise AssertionError("the web never publishes")

    def publish_tests(self, test_ids: Sequence[int]) -> None:
        raise AssertionError("the web never publishes")

    def nudge(self) -> None:
        pass


class _ClosedOnce:
    """An answer whose ``close`` may be called by whoever comes first."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._answer = answer
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            getattr(self._answer, "close", lambda: None)()


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        # A browser that leaves in the middle can keep werkzeug from closing the answer, and a file would stay open.
        answer = (environ or {}).get(_ANSWER)
        if answer is not None:
            answer.close()

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's own name for it
        pass


@dataclass
class LiveServer:
    """A running console without workers. ``url`` has no slash at its end."""

    url: str
    app: Flask
    runtime: Runtime

    @property
    def database(self) -> Database:
        """The database behind the pages."""
        return self.runtime.database

    def person(self, name: str, role: Role) -> Actor:
        """Returns the person called ``name``, made when there is none."""
        with self.database.transaction() as session:
            user = find_user(session, name) or make_user(session, name, role, now=self.runtime.clock.now())
            return Actor(user.id, user.name, Role(user.role))

    def login_link(self, name: str = "admin", role: Role = Role.ADMIN) -> str:
        """Returns the address that signs ``name`` in once."""
        self.person(name, role)
        with self.database.transaction() as session:
            user = find_user(session, name)
            assert user is not None
            code = issue_login_link(session, user, now=self.runtime.clock.now())
        return f"{self.url}/login?once={code}"

    def launch(self, order: Order, *, by: str = "admin", role: Role = Role.ADMIN) -> int:
        """Returns the id of a job of that person, which nobody carries out."""
        actor = self.person(by, role)
        launcher = Launcher(self.runtime.settings, self.runtime.cipher)
        with self.database.transaction() as session:
            job, _ = launcher.launch(session, order, actor, now=self.runtime.clock.now())
            return int(job.id)

    def keep(self, name: str, order: Order) -> int:
        """Returns the id of a saved command of the administrator."""
        actor = self.person("admin", Role.ADMIN)
        survey = Survey(self.runtime.settings)
        with self.database.transaction() as session:
            made = saved.add(session, survey, order, {"name": name}, actor=actor, now=self.runtime.clock.now())
            return made.id


@contextmanager
def serve(settings: Settings, database: Database) -> Iterator[LiveServer]:
    """Serves the console over ``database`` until the block ends; then no thread and no socket of it is left."""
    runtime = Runtime(settings, database, SystemClock(), Cipher(settings.secret()), NoWorkers())
    app = create_app(runtime)

    def kept(environ: dict[str, Any], start_response: Any) -> _ClosedOnce:
        answer = environ[_ANSWER] = _ClosedOnce(app(environ, start_response))
        return answer

    server = make_server("127.0.0.1", 0, kept, threaded=True, request_handler=_Quiet)
    # A browser keeps connections open; without this the end of the test would wait for it to close them.
    server.daemon_threads = True
    server.block_on_close = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="liveserver")
    thread.start()
    try:
        yield LiveServer(f"http://127.0.0.1:{server.server_port}", app, runtime)
    finally:
        streams_of(app).stop()
        server.shutdown()
        thread.join()
        server.server_close()
