"""Consoles that a test may break: each has its own broker, database and workers."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.support.console import Console, Worker, embedded_broker, running_console, until
from tests.support.sshd import Sshd, running_sshd

KEY = {"credential": "key:test"}


@contextmanager
def frozen(console: Console, worker: Worker) -> Iterator[None]:
    """Stops a worker process, as a machine that sleeps does, and lets it go on afterwards.

    Not while it holds a lock of SQLite: then all others would wait for it, the test too. A signal is taken at the
    end of a system call, which may be the one that takes the lock; so the test holds it until every thread stands.
    """
    with closing(Database(console.settings.database, wait_seconds=5)) as database, database.transaction() as session:
        session.connection()
        worker.process.send_signal(signal.SIGSTOP)
        until(lambda: _stands(worker.pid), 30, f"{worker.name} stands still")
    try:
        yield
    finally:
        worker.process.send_signal(signal.SIGCONT)


def _stands(pid: int) -> bool:
    # The state comes after the name in parentheses: proc_pid_stat(5).
    try:
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # A thread ended meanwhile.
        return False
    return set(states) == {"T"}


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """An OpenSSH server on every loopback address that no test may change."""
    with running_sshd(options={"MaxStartups": "2000:30:2000"}) as server:
        yield server


@pytest.fixture
def options(sshd: Sshd, tmp_path: Path) -> dict[str, object]:
    """Settings of a console that notices within seconds what takes half a minute by default."""
    return {
        "data_dir": tmp_path / "console",
        "allow_loopback": True,
        "allow_unlisted_hosts": True,
        "host_key_policy": "accept_new",
        "key_files": {"test": sshd.client_key},
        "ssh_port": sshd.port,
        "sweep_seconds": 0.2,
        "heartbeat_seconds": 0.5,
        "worker_dead_seconds": 6.0,
        "drain_seconds": 2.0,
        "kill_grace": 1.0,
    }


@pytest.fixture
def make_console(options: dict[str, object]) -> Iterator[Callable[..., Console]]:
    """Makes a console with the embedded broker; it and its workers end with the test."""
    with ExitStack() as stack:

        def make(workers: int = 1, *, outage: bool = False, **chosen: object) -> Console:
            settings = Settings.load(**{**options, **chosen})
            stack.enter_context(embedded_broker(settings))
            console = stack.enter_context(running_console(settings, outage=outage))
            console.start_workers(workers)
            return console

        yield make
