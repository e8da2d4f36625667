"""An OpenSSH server and an odd one for the tests of the connector; every test has a connector of its own."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.ssh import ParamikoConnector
from opsconsole.ssh.transport import ClientTransport
from tests.support.odd_ssh import OddServer, running_odd_ssh
from tests.support.ssh_agent import Agent, running_agent
from tests.support.sshd import Sshd, running_sshd


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """An OpenSSH server that every test may use and none may change."""
    with running_sshd(host_key_types=("ed25519", "ecdsa", "rsa")) as server:
        yield server


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddServer]:
    """An asyncssh server whose behaviour the user name chooses."""
    with running_odd_ssh(tmp_path_factory.mktemp("odd")) as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """A real ssh-agent that this process asks."""
    with running_agent(tmp_path) as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(running.socket))
        yield running


@pytest.fixture
def connector(tmp_path: Path) -> Iterator[ParamikoConnector]:
    """A connector with an empty home."""
    made = ParamikoConnector(allow_loopback=True, home=tmp_path)
    yield made
    made.close()
    give_up_at = time.monotonic() + 5
    while readers() and time.monotonic() < give_up_at:
        time.sleep(0.01)
    left = readers()
    for reader in left:
        # Told once: the tests that follow are not to blame.
        reader.abort()
        reader.join(5)
    assert left == []


def readers() -> list[ClientTransport]:
    """Returns the threads that read connections; a session that was not closed leaves one."""
    return [thread for thread in threading.enumerate() if isinstance(thread, ClientTransport)]


@pytest.fixture(autouse=True)
def _remote_failures_are_no_log_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a host does, no traceback and no words of its own reach a log."""
    caplog.set_level(logging.INFO)
    yield
    noisy = [record for record in caplog.get_records("call") if not record.name.startswith(("asyncssh", "asyncio"))]
    assert [record.getMessage() for record in noisy] == []
