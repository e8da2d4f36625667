"""Starts a real RabbitMQ node for tests: own folder, own ports, loopback only, nothing left behind.

Debian's server runs as anybody on the folders it is given. Erlang's port mapper is started by the test on a free port,
so that neither a system's node nor another test process's is met; the cookie lies in a home of the node's own.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Self

from kombu import Connection
from kombu.exceptions import KombuError

from opsconsole.launcher.orphans import end_with_parent
from tests.support.requirements import need_rabbitmq, not_run
from tests.support.sshd import free_port

_START_SECONDS = 120.0
_STOP_SECONDS = 20.0


class RabbitServer:
    """One node with one user and one virtual host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self._password = secrets.token_hex(16)

    @classmethod
    def start(cls) -> Self:
        """Returns a running node that accepts connections; skips the test when there is no RabbitMQ."""
        program = need_rabbitmq()
        mapper = shutil.which("epmd")
        if mapper is None:
            not_run("Erlang's port mapper (epmd)", "apt-get install rabbitmq-server")
        server = cls(Path(tempfile.mkdtemp(prefix="opsconsole-rabbit-")))
        try:
            server._launch(program, mapper)
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """Where the node listens, as Celery writes it."""
        return f"amqp://console:{self._password}@127.0.0.1:{self.port}//"

    def stop(self) -> None:
        """Ends the node and the port mapper and removes their folder."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self, program: Path, mapper: str) -> None:
        self.port, mapper_port, distribution_port = free_port(), free_port(), free_port()
        environment = self._environment(mapper_port, distribution_port)
        self._spawn([mapper, "-address", "127.0.0.1", "-port", str(mapper_port)], environment)
        _await_port(mapper_port)
        self._configure()
        self._spawn([str(program)], environment)
        self._await_ready()

    def _environment(self, mapper_port: int, distribution_port: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_NODENAME": f"test{secrets.token_hex(4)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            # Two cores are shared with everything else of the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            # The Erlang machine takes the place of the script, so that a signal to the process reaches it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _configure(self) -> None:
        (self._folder / "plugins").write_text("[].\n")
        (self._folder / "rabbitmq.conf").write_text(
            f"default_user = console\ndefault_pass = {self._password}\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 512MB\n"
        )

    def _spawn(self, command: list[str], environment: dict[str, str]) -> None:
        with (self._folder / "output").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        self._processes.append(process)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with Connection(self.url, connect_timeout=5) as connection:
                    connection.ensure_connection(max_retries=1, timeout=5)
                    return
            except (OSError, KombuError):
                ended = self._processes[-1].poll() is not None
                if ended or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "output").read_text(errors="replace")[-3000:]) from None
                # It says nothing when it is ready; asking again is the only way.
                time.sleep(0.2)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
