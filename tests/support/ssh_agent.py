"""A real ssh-agent for a test."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 10.0


class Agent:
    """A running agent at ``socket``."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)

    def add(self, key: Path) -> None:
        """Hands it a key file, with the certificate beside it when there is one."""
        environment = {"SSH_AUTH_SOCK": str(self.socket)}
        subprocess.run(["/usr/bin/env", "ssh-add", "-q", str(key)], check=True, env=environment, capture_output=True)

    def stop(self) -> None:
        """Ends it; what it held is gone."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running_agent(folder: Path) -> Iterator[Agent]:
    """Runs an agent whose socket is in ``folder``."""
    agent = Agent(folder / "agent.sock")
    try:
        give_up_at = time.monotonic() + _START_SECONDS
        while not agent.socket.exists():
            assert time.monotonic() < give_up_at, "ssh-agent did not start"
            time.sleep(0.01)
        yield agent
    finally:
        agent.stop()
