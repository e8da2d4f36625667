"""A program, not a test: the connector under gevent's patches, as a worker process runs it. Prints what it saw.

Arguments: port, host key line, client key file, faulty port.
"""

# ruff: noqa: E402 - the patches come first.
from gevent import monkey

monkey.patch_all()

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.pool import Pool

from opsconsole.jobs.ports import Auth, Exited, KnownKey, Limits, Started, Target, Unreached
from opsconsole.ssh import ParamikoConnector
from tests.support.runs import collect, command, connect, run


class Beat:
    """Measures the longest time in which no other greenlet got its turn, while this process had a processor."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._beating = gevent.spawn(self._run)

    def _run(self) -> None:
        last = _own_time()
        while True:
            gevent.sleep(0.005)
            now = _own_time()
            self.longest = max(self.longest, now - last)
            last = now

    def stop(self) -> float:
        self._beating.kill()
        return self.longest


def _own_time() -> float:
    """The clock without the time that this process waited for a processor, which a busy machine decides."""
    waited = int(Path("/proc/self/schedstat").read_text().split()[1])
    return time.monotonic() - waited / 1e9


def main() -> None:
    port, faulty = int(sys.argv[1]), int(sys.argv[4])
    algorithm, blob, *_ = sys.argv[2].split()
    known = (KnownKey(algorithm, blob),)
    auth = Auth("test key", key_files=(sys.argv[3],))
    connector = ParamikoConnector(allow_loopback=True, home=Path("/nonexistent"))

    def target(number: int) -> Target:
        address = f"127.0.{number // 250}.{number % 250 + 1}"
        return Target(address, address, port, Path(sys.argv[3]).owner(), known)

    seen: dict[str, object] = {}
    seen["cold"] = _fleet(lambda number: _echo(connector, target(number), auth), 60)
    seen["warm"] = _fleet(lambda number: _echo(connector, target(number), auth), 60)
    seen["sleepers"] = _fleet(lambda number: run(connector, target(number), auth, "sleep 1").end == Exited(0), 40)
    seen["faulty"] = _fleet(lambda number: _refused(connector, faulty, known, auth), 40)
    seen["idle_cpu"] = _idle_cpu(connector, target(200), auth)
    seen["flood_gap"] = _flood(connector, target(201), auth)
    seen["ordered"] = _ordered(connector, target(202), auth)
    connector.close()
    gevent.sleep(0.3)
    seen["readers"] = len([thread for thread in threading.enumerate() if type(thread).__name__ == "ClientTransport"])
    sys.stdout.write(json.dumps(seen))


def _fleet(work: Callable[[int], bool], size: int) -> dict[str, object]:
    began = time.monotonic()
    results = Pool(size).map(work, range(size))
    return {"ok": sum(results), "seconds": time.monotonic() - began}


def _echo(connector: ParamikoConnector, target: Target, auth: Auth) -> bool:
    result = run(connector, target, auth, f"echo {target.host}", keep=True)
    return (result.stdout, result.end) == (target.host.encode() + b"\n", Exited(0))


def _refused(connector: ParamikoConnector, port: int, known: tuple[KnownKey, ...], auth: Auth) -> bool:
    answer = connector.connect(Target("f", "127.0.0.1", port, "root", known), auth, Limits(connect=1.0))
    return isinstance(answer, Unreached)


def _idle_cpu(connector: ParamikoConnector, target: Target, auth: Auth) -> float:
    """Returns the CPU seconds a second that a hundred connections cost, one running silently and the others kept."""
    session = connect(connector, target, auth)
    events = session.start(command("sleep 2")).events(1.0)
    began, cpu = time.monotonic(), time.process_time()
    collect(events)
    used = (time.process_time() - cpu) / (time.monotonic() - began)
    session.close(keep=False)
    return used


def _flood(connector: ParamikoConnector, target: Target, auth: Auth) -> float:
    """Returns the longest gap for others while one host sends 50 MB as fast as it can."""
    beat = Beat()
    result = run(connector, target, auth, "head -c 50000000 /dev/zero")
    gap = beat.stop()
    assert len(result.stdout) == 50_000_000
    return gap


def _ordered(connector: ParamikoConnector, target: Target, auth: Auth) -> bool:
    session = connect(connector, target, auth)
    running = session.start(command("sleep 300", grace=1))
    result = None
    for event in running.events(0.2):
        if isinstance(event, Started):
            gevent.spawn_later(0.05, running.signal, "TERM")
        result = event
    session.close(keep=True)
    return result == Exited(143)


main()
