"""A checkout is served by the usual programs: ``celery -A worker worker`` and ``gunicorn wsgi:app``."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.vault import Vault
from opsconsole.db.database import Database
from opsconsole.jobs.models import WorkerProcess
from opsconsole.launcher import broker, folder
from opsconsole.settings import Settings
from tests.support.clock import START
from tests.support.sshd import free_port

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
Running = subprocess.Popen[bytes]


def _until(look: Callable[[], bool], process: Running, log: Path, seconds: float = 30.0) -> None:
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not look():
        ready_in_time = process.poll() is None and time.monotonic() < end
        assert ready_in_time, log.read_text(encoding="utf-8", errors="replace")
        pause.wait(0.05)


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[Running]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {"OPSCONSOLE_DATA_DIR": str(settings.data_dir), "OPSCONSOLE_ALLOW_LOOPBACK": "true"}


@pytest.fixture
def embedded_broker(settings: Settings, database: Database, tmp_path: Path) -> Iterator[None]:
    before = os.umask(0o077)
    try:
        folder.prepare(settings)
    finally:
        os.umask(before)
    log = tmp_path / "broker.log"
    with _running(list(broker.command(settings, broker.find_program())), log, {}) as process:
        _until(lambda: broker.answers(settings), process, log)
        yield


def _ping(environment: dict[str, str]) -> str:
    return subprocess.run(
        [BIN / "celery", "-A", "worker", "inspect", "ping", "--timeout", "3"],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip


@pytest.mark.usefixtures("embedded_broker")
def test_a_plain_celery_worker_gets_the_pool_of_the_product(
    database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"

    def reported() -> bool:
        with database.read() as session:
            return session.scalar(select(WorkerProcess).where(WorkerProcess.pid == process.pid)) is not None

    with _running([str(BIN / "celery"), "-A", "worker", "worker"], log, environment) as process:
        _until(reported, process, log)
        assert "--pool=gevent" in psutil.Process(process.pid).cmdline()
        # Its row stands before it listens to remote control.
        _until(lambda: "1 node online" in _ping(environment), process, log)
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.usefixtures("embedded_broker")
def test_gunicorn_serves_the_console(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    port = free_port()

    def healthy() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "8", "wsgi:app"]
    with _running(command, log, environment) as process:
        _until(healthy, process, log)
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.usefixtures("embedded_broker")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["gunicorn", "--bind", "127.0.0.1:0", "wsgi:app"], 3),
        (["celery", "-A", "worker", "worker"], 5),
        (["celery", "-A", "worker", "beat"], 5),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_another_secret_key_is_told_in_one_sentence(
    database: Database, settings: Settings, environment: dict[str, str], command: list[str], status: int
) -> None:
    with database.transaction() as session:
        Vault(Cipher(settings.secret())).make_key(session, now=START)
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        env=os.environ | environment | {"OPSCONSOLE_SECRET_KEY": "x" * 40},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert said.count("another secret key than the one that sealed") == 1
    assert "put it back from a backup (OPSCONSOLE_SECRET_KEY or OPSCONSOLE_SECRET_KEY_FILE)" in said
    assert "Traceback" not in said
    assert "x" * 40 not in said
