"""The database is locked, stopped or cut off under running commands: no result is lost, and none is doubled."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from opsconsole.settings import Settings
from tests.faults.conftest import KEY
from tests.support.console import Console, embedded_broker, marks, running_console, until
from tests.support.postgres import PostgresServer
from tests.support.web_process import Web, running_web

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
LONG = pytest.mark.faults


@contextmanager
def locked(console: Console) -> Iterator[None]:
    """Holds SQLite's write lock, as a backup or a hung process does."""
    path = console.settings.data_dir / "opsconsole.db"
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def in_spool(console: Console) -> list[Path]:
    return sorted(console.settings.spool_dir.glob("*.result"))


def counting(started: Path, then: str) -> str:
    return f"echo ${{OPSC_RUN%-*}} >> {started}; {then}"


def all_ran_once(console: Console, job_id: int, started: Path, hosts: int) -> None:
    starts = Counter(marks(started))
    assert set(starts.values()) <= {1}, starts
    assert len(starts) == hosts
    runs = console.runs(job_id)
    assert {run.state for run in runs} == {"succeeded"}, Counter((run.state, run.reason) for run in runs)
    assert {run.last_line for run in runs} == {"done"}


@pytest.mark.parametrize("seconds", [6.0, pytest.param(20.0, marks=LONG)])
def test_a_locked_database_loses_nothing_and_stops_no_deadline(
    make_console: MakeConsole, tmp_path: Path, seconds: float
) -> None:
    console = make_console(2, spool_seconds=1.0)
    started, ended = tmp_path / "started", tmp_path / "ended"
    job_id = console.launch("127.0.0.[1-20]", counting(started, "sleep 2; echo done"), concurrency=10, **KEY)
    slow = f"trap 'echo x >> {ended}' TERM; sleep 600 & wait; wait"
    timed = console.launch("127.0.1.1", slow, command_timeout=2.0, **KEY)
    console.until_counts(timed, r=1)
    console.until_counts(job_id, r=5)
    with locked(console):
        began = time.monotonic()
        until(lambda: marks(ended), seconds, "the command's time is over, whatever the database does")
        until(lambda: in_spool(console), seconds, "results wait on disk")
        assert {path.stat().st_mode & 0o777 for path in in_spool(console)} == {0o600}
        time.sleep(max(seconds - (time.monotonic() - began), 0.0))
    console.follow(job_id)
    all_ran_once(console, job_id, started, 20)
    console.follow(timed)
    (run,) = console.runs(timed)
    assert run.state == "timed_out"
    assert (run.duration_ms or 0) < 2000 + 5000
    until(lambda: not in_spool(console), 30, "the spool is empty again")


def test_what_a_killed_worker_had_in_the_spool_is_stored_by_the_next(make_console: MakeConsole, tmp_path: Path) -> None:
    console, started = make_console(spool_seconds=0.5), tmp_path / "started"
    job_id = console.launch("127.0.0.[1-5]", counting(started, "sleep 1; echo done"), **KEY)
    console.until_counts(job_id, r=5)
    (worker,) = console.workers
    with locked(console):
        until(lambda: len(in_spool(console)) == 5, 30, "all results wait on disk")
        worker.kill()
    console.mark_gone(worker)
    # One was torn by the same power cut.
    torn = in_spool(console)[0]
    torn.write_bytes(torn.read_bytes()[:-20])
    console.start_workers(1)
    body = console.until_counts(job_id, 30, o=4, l=1)
    assert body["state"] == "partial"
    runs = console.runs(job_id)
    assert {(run.state, run.last_line) for run in runs if run.state != "lost"} == {("succeeded", "done")}
    assert len(marks(started)) == 5
    assert len(list((console.settings.spool_dir / "aside").iterdir())) == 1
    assert console.logs().count("was set aside") == 1


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that only these tests stop."""
    made = PostgresServer.start()
    yield made
    made.stop()


@pytest.fixture
def console(server: PostgresServer, options: dict[str, object]) -> Iterator[Console]:
    settings = Settings.load(**{**options, "database_url": server.migrated_database(), "spool_seconds": 1.0})
    with embedded_broker(settings), running_console(settings, migrate=False, outage=True) as running:
        running.start_workers(2)
        yield running


class Visitor:
    """A person who looks at a job again and again; keeps the slowest answer and what kinds there were."""

    def __init__(self, web: Web, job_id: int) -> None:
        self._web, self._job_id = web, job_id
        self.slowest = 0.0
        self.answers: Counter[int] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            began = time.monotonic()
            try:
                self.answers[self._web.api.get(f"/jobs/{self._job_id}").status_code] += 1
            except httpx.TransportError:
                self.answers[0] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)


@pytest.mark.parametrize(("seconds", "hosts"), [(5.0, 30), pytest.param(30.0, 200, marks=LONG)])
def test_a_stopped_server_loses_nothing_and_doubles_nothing(
    server: PostgresServer, console: Console, tmp_path: Path, seconds: float, hosts: int
) -> None:
    started = tmp_path / "started"
    with running_web(console) as web:
        command = counting(started, "sleep 1; echo done")
        order = {"concurrency": 10, "confirm": str(hosts), "retry_pause": 0.5, **KEY}
        job_id = console.launch(f"127.0.0.[1-{hosts}]", command, **order)
        console.until_counts(job_id, r=5)
        with Visitor(web, job_id) as visitor:
            server.halt()
            try:
                time.sleep(seconds)
            finally:
                server.resume()
            until(lambda: visitor.answers[200] > 0 and web.api.get(f"/jobs/{job_id}").is_success, 30, "the page again")
            console.follow(job_id, 120)
        # An error that says so, never a hanging page or a fault.
        assert visitor.answers[503] > 0
        assert set(visitor.answers) == {200, 503}, visitor.answers
        assert visitor.slowest < 10
    all_ran_once(console, job_id, started, hosts)
    until(lambda: not in_spool(console), 30, "the spool is empty again")
