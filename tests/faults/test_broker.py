"""The broker is killed, frozen, full, or throws messages away in the middle of a job: the web answers as ever, every
host ends, none starts twice, and the console says what is wrong for as long as it is."""

import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from opsconsole.launcher.folder import broker_dir
from opsconsole.settings import Settings
from tests.faults.conftest import KEY
from tests.support.console import Console, marks, running_console, start_broker, until
from tests.support.web_process import Web, running_web

pytestmark = pytest.mark.slow
_HOSTS = "127.0.0.[1-60]"
_UNREACHABLE = {"broker_unreachable"}


class Broker:
    """An embedded broker that a test may break."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = start_broker(settings)

    @property
    def client(self) -> "redis.Redis":
        """A connection of the test's own."""
        return redis.Redis(unix_socket_path=str(self._settings.broker_socket), socket_timeout=10)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start_empty(self) -> None:
        for path in sorted(broker_dir(self._settings).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self._process = start_broker(self._settings)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its connections and takes new ones, and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        """It has no memory left for another message."""
        with self.client as client:
            client.config_set("maxmemory", "1mb")
            try:
                yield
            finally:
                client.config_set("maxmemory", "0")

    def throw_away(self) -> int:
        """Loses all messages that wait and returns how many those were."""
        with self.client as client:
            waiting = int(client.llen("opsc:runs"))  # type: ignore[arg-type]
            client.delete("opsc:runs")
            return waiting


@pytest.fixture
def settings(options: dict[str, object]) -> Settings:
    # No worker dies here. A start must be confirmed within half of this, and a minute's orders come in one burst.
    return Settings.load(**{**options, "worker_dead_seconds": 30.0})


@pytest.fixture
def broker(settings: Settings) -> Iterator[Broker]:
    started = Broker(settings)
    yield started
    started.kill()


@pytest.fixture
def console(settings: Settings, broker: Broker) -> Iterator[Console]:
    with running_console(settings, outage=True) as running:
        running.start_workers(2)
        yield running


@pytest.fixture
def web(console: Console) -> Iterator[Web]:
    with running_web(console) as started:
        yield started


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Where commands leave a line when they start."""
    return tmp_path / "started"


class Visitor:
    """Somebody who looks at pages and gives orders all the time, and remembers how long each answer took."""

    def __init__(self, web: Web, job_id: int) -> None:
        self._web = web
        self._job_id = job_id
        self._over = threading.Event()
        self.seconds: list[float] = []
        self.faults: list[str] = []
        self.ordered: list[int] = []
        self._thread = threading.Thread(target=self._visit)

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20)[-1]

    def _visit(self) -> None:
        asks: list[Callable[[], Any]] = [
            lambda: self._web.api.get(f"/jobs/{self._job_id}"),
            lambda: self._web.api.get("/jobs"),
            lambda: self._web.api.get(f"{self._web.url}/readyz"),
            lambda: self._web.launch("127.0.0.99", "true", **KEY),
        ]
        while not self._over.wait(0.05):
            for ask in asks:
                began = time.monotonic()
                answer = ask()
                self.seconds.append(time.monotonic() - began)
                if answer.is_error:
                    self.faults.append(answer.text)
            self.ordered.append(answer.json()["id"])


def warnings(web: Web) -> set[str]:
    """Returns the codes of what the console warns of."""
    return {notice["code"] for notice in web.api.get("/notices").json()["notices"]}


def began(console: Console, started: Path, seconds: float = 2.0) -> int:
    """Returns a job of sixty hosts of which some run and most wait."""
    command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep {seconds}"
    job_id = console.launch(_HOSTS, command, concurrency=20, **KEY)
    console.until_counts(job_id, r=10)
    return job_id


def all_ran_once(console: Console, job_id: int, started: Path, body: Mapping[str, Any]) -> None:
    starts = Counter(marks(started))
    assert (body["state"], body["counts"]["o"]) == ("succeeded", 60)
    assert set(starts.values()) == {1}
    assert len(starts) == 60


def test_a_broker_that_loses_everything_costs_no_host(
    console: Console, web: Web, broker: Broker, started: Path
) -> None:
    job_id = began(console, started, 1)
    with Visitor(web, job_id) as visitor:
        broker.kill()
        until(lambda: warnings(web) >= _UNREACHABLE, 15, "it says that the broker is away")
        # What runs goes on to its end without a broker.
        console.until_counts(job_id, o=10)
        broker.start_empty()
        # Nobody waits for the back-off of messages that are gone.
        body = console.follow(job_id, 25)
    all_ran_once(console, job_id, started, body)
    until(lambda: not warnings(web), 15, "it is silent again")
    assert visitor.faults == []
    assert visitor.p95 < 1.0
    for ordered in visitor.ordered:
        assert console.follow(ordered)["state"] == "succeeded"


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=[pytest.mark.faults, pytest.mark.timeout(600)])])
def test_a_frozen_broker_holds_up_nobody(
    console: Console, web: Web, broker: Broker, started: Path, seconds: int
) -> None:
    job_id = began(console, started)
    doomed = console.launch("127.0.0.[101-105]", "sleep 600", **KEY)
    console.until_counts(doomed, r=5)
    with Visitor(web, job_id) as visitor:
        with broker.frozen():
            over = time.monotonic() + seconds
            until(lambda: warnings(web) >= _UNREACHABLE, 15, "it says that the broker does not answer")
            # What runs goes on to its end, and an order to end it is obeyed as fast as ever.
            console.until_counts(job_id, o=10)
            asked = time.monotonic()
            console.cancel(doomed)
            console.follow(doomed, 30)
            assert time.monotonic() - asked < 6
            while time.monotonic() < over:
                time.sleep(0.1)
        body = console.follow(job_id, 60)
        until(lambda: not warnings(web), 15, "it is silent again")
    all_ran_once(console, job_id, started, body)
    assert visitor.faults == []
    assert visitor.p95 < 1.0
    for ordered in visitor.ordered:
        assert console.follow(ordered)["state"] == "succeeded"


def test_a_full_broker_costs_no_host(console: Console, web: Web, broker: Broker, started: Path) -> None:
    job_id = began(console, started)
    with Visitor(web, job_id) as visitor:
        with broker.full():
            until(lambda: warnings(web) >= {"broker_full"}, 15, "it says that the broker is full")
            console.until_counts(job_id, o=10)
        body = console.follow(job_id, 30)
    all_ran_once(console, job_id, started, body)
    until(lambda: not warnings(web), 15, "it is silent again")
    assert visitor.faults == []
    assert visitor.p95 < 1.0
    for ordered in visitor.ordered:
        assert console.follow(ordered)["state"] == "succeeded"


def test_a_worker_starts_on_a_full_broker(console: Console, broker: Broker, started: Path) -> None:
    with broker.full():
        job_id = console.launch("127.0.0.1", f"echo x >> {started}", **KEY)
        for worker in console.workers:
            worker.kill()
            console.mark_gone(worker)
        console.start_workers(1)
    assert console.follow(job_id)["state"] == "succeeded"
    assert len(marks(started)) == 1


def test_a_broker_that_may_throw_messages_away_is_told_of(web: Web, broker: Broker) -> None:
    with broker.client as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        until(lambda: warnings(web) >= {"broker_evicts"}, 15, "it says that messages may get lost")
        client.config_set("maxmemory-policy", "noeviction")
    until(lambda: not warnings(web), 15, "it is silent again")


@pytest.mark.faults
def test_messages_that_were_thrown_away_are_sent_again(settings: Settings, broker: Broker, started: Path) -> None:
    with running_console(settings, outage=True) as console:
        # So few slots that messages wait in the broker.
        console.start_workers(2, worker_slots=4)
        command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 2"
        job_id = console.launch(_HOSTS, command, concurrency=60, **KEY)
        console.until_counts(job_id, r=4)
        until(broker.throw_away, 10, "messages wait and are lost")
        body = console.follow(job_id, 120)
        all_ran_once(console, job_id, started, body)
