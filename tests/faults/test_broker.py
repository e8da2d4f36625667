"""The broker is killed and comes back empty in the middle of a job: every host ends, none starts twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.launcher.folder import broker_dir
from opsconsole.settings import Settings
from tests.faults.conftest import KEY
from tests.support.console import Console, marks, running_console, start_broker

pytestmark = pytest.mark.slow


class Broker:
    """An embedded broker that can be killed and started without what it held."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = start_broker(settings)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start_empty(self) -> None:
        for path in sorted(broker_dir(self._settings).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self._process = start_broker(self._settings)


@pytest.fixture
def settings(options: dict[str, object]) -> Settings:
    return Settings.load(**options)


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


def test_a_broker_that_loses_everything_costs_no_host(console: Console, broker: Broker, tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 1"
    job_id = console.launch("127.0.0.[1-60]", command, concurrency=20, **KEY)
    console.until_counts(job_id, r=10)
    broker.kill()
    # What runs goes on to its end without a broker.
    console.until_counts(job_id, o=10)
    broker.start_empty()
    # Nobody waits for the back-off of messages that are gone.
    body = console.follow(job_id, 25)
    starts = Counter(marks(started))
    assert (body["state"], body["counts"]["o"]) == ("succeeded", 60)
    assert set(starts.values()) == {1}
    assert len(starts) == 60
