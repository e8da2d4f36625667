"""The hosts that a bench works on: a fleet of our own, or an sshd that the person names."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opsconsole.errors import Invalid, Unavailable
from opsconsole.launcher import bench_fleet
from opsconsole.launcher.bench_fleet import FleetFacts

_START_SECONDS = 20.0


@contextmanager
def served(
    folder: Path, hosts: int, port: int | None, user: str | None, key: Path | None, *, real: bool = False
) -> Iterator[tuple[FleetFacts, int | None]]:
    """Serves the cheap fleet, or describes the sshd that the options name, and yields it with its server's process.

    Commands are run when ``real``. Raises ``Invalid`` for options that do not go together, ``Unavailable`` when it
    does not come up.
    """
    if port is not None:
        if user is None or key is None:
            raise Invalid("--port goes with --user and --key.")
        yield _given(hosts, port, user, key.absolute()), None
        return
    command = (sys.executable, "-P", "-m", bench_fleet.__name__, str(folder), str(hosts), *(["real"] if real else []))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield _wait_for_fleet(process, folder, hosts), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _given(hosts: int, port: int, user: str, key: Path) -> FleetFacts:
    import asyncio

    import asyncssh

    addresses = bench_fleet.addresses(hosts)
    host_key = asyncio.run(asyncssh.get_server_host_key(addresses[0], port, server_host_key_algs=["ssh-ed25519"]))
    if host_key is None:
        raise Unavailable(f"{addresses[0]} port {port} shows no ed25519 host key.", code="bench")
    algorithm, text = host_key.export_public_key().decode().split()[:2]
    return FleetFacts(addresses, port, user, key, (algorithm, text))


def _wait_for_fleet(process: "subprocess.Popen[bytes]", folder: Path, hosts: int) -> FleetFacts:
    deadline = time.monotonic() + _START_SECONDS
    while (facts := bench_fleet.facts(folder, hosts)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable("The fleet for the bench did not start.", code="bench")
        time.sleep(0.05)
    return facts
