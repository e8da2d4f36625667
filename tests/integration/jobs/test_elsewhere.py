"""One console by URL: PostgreSQL with RabbitMQ or Redis, and workers that share nothing but URLs and the secret key."""

import secrets
import subprocess
from collections.abc import Iterator
from functools import partial
from os import getpid
from pathlib import Path

import pytest
import redis

from opsconsole.jobs import results
from opsconsole.launcher import broker
from opsconsole.launcher.orphans import end_with_parent
from opsconsole.secret import Secret
from opsconsole.settings import Settings
from tests.integration.jobs.conftest import options
from tests.support.console import Console, running_console, until
from tests.support.rabbitmq import RabbitServer
from tests.support.sshd import Sshd, free_port


@pytest.fixture(scope="session")
def rabbit_url() -> Iterator[str]:
    """The URL of a RabbitMQ node of this test process."""
    server = RabbitServer.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis-compatible server on a TCP port with a password."""
    folder, port, password = tmp_path_factory.mktemp("redis"), free_port(), secrets.token_hex(16)
    config = folder / "redis.conf"
    config.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nmaxmemory-policy noeviction\n')
    process = subprocess.Popen(
        [broker.find_program().path, config],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=partial(end_with_parent, getpid()),
    )
    with redis.Redis(port=port, password=password) as client:
        until(lambda: _answers(client), 30, "the server answers")
    yield f"redis://:{password}@127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(params=["rabbit_url", "redis_url"])
def console(request: pytest.FixtureRequest, postgres_url: str, sshd: Sshd, tmp_path: Path) -> Iterator[Console]:
    """A console whose web side and whose worker have a data folder each."""
    settings = Settings.load(
        data_dir=tmp_path / "web",
        database_url=postgres_url,
        broker_url=request.getfixturevalue(request.param),
        secret_key=secrets.token_urlsafe(32),
        **options(sshd),
    )
    with running_console(settings, migrate=False) as running:
        running.start_workers(2, data_dir=tmp_path / "worker")
        yield running


@pytest.mark.slow
def test_the_main_job_on_servers_of_their_own(console: Console, tmp_path: Path) -> None:
    body, runs = console.run("127.0.0.[1-5]", "echo out; echo err >&2; exit 3", credential="key:test")
    assert (body["state"], body["counts"]["f"]) == ("failed", 5)
    assert {run.exit_status for run in runs} == {3}
    with console.database.read() as session:
        texts = {line[3] for run in runs for line in results.output(session, run)["lines"]}
    assert texts == {"out", "err"}
    # A password that the web side sealed is opened by a worker that has only the key in common with it.
    _, (run,) = console.run("127.0.0.1", "true", credential="password", password=Secret("wrong"))
    assert run.reason == "auth"
    again = console.launch("127.0.0.[1-4]", "sleep 600", credential="key:test", concurrency=2)
    console.until_counts(again, r=2)
    console.cancel(again)
    assert console.follow(again, 30)["counts"]["x"] == 4
    assert not (tmp_path / "worker" / "opsconsole.db").exists()
    assert not (tmp_path / "worker" / "secret.key").exists()
