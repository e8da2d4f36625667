"""One sshd for the tests of a process, and a console on SQLite and the embedded broker for each module."""

from collections.abc import Iterator
from typing import Any

import pytest

from opsconsole.settings import Settings
from tests.support.console import Console, embedded_broker, running_console
from tests.support.sshd import Sshd, running_sshd


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """An OpenSSH server on every loopback address that no test may change."""
    with running_sshd(options={"MaxStartups": "2000:30:2000"}) as server:
        yield server


def options(sshd: Sshd, **chosen: Any) -> dict[str, Any]:
    """Returns the settings that all consoles of these tests share, with ``chosen`` ones winning."""
    usual = {
        "allow_loopback": True,
        "allow_unlisted_hosts": True,
        "host_key_policy": "accept_new",
        "key_files": {"test": sshd.client_key},
        "ssh_port": sshd.port,
        "sweep_seconds": 0.3,
        "log_level": "INFO",
    }
    return {**usual, **chosen}


@pytest.fixture(scope="module")
def console(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console with two workers."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("console"), **options(sshd))
    with embedded_broker(settings), running_console(settings) as running:
        running.start_workers(2)
        yield running
