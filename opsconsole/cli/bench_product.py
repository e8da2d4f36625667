"""The product as a racer: a console of its own in an empty folder, all its processes, every row committed."""

import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.feed import EventFeed
from opsconsole.cli.render import trouble_line
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.errors import Invalid, Unavailable
from opsconsole.hostset import fold
from opsconsole.inventory import hostkeys
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.launcher.bench_fleet import FleetFacts
from opsconsole.launcher.bench_race import Lap
from opsconsole.launcher.commands import cli_command
from opsconsole.launcher.process_tree import cpu_by_part
from opsconsole.settings import Settings, child_environment

CREDENTIAL = "bench"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LIMIT_SECONDS = 300.0
_SLOTS = 100


@dataclass(frozen=True, slots=True)
class Product:
    """A running console that trusts the fleet."""

    client: ConsoleClient
    pid: int
    fleet: FleetFacts
    settings: Settings

    def race(self, command: str, concurrency: int) -> Lap:
        """Returns the lap from the order to the end of the stream that a page would follow.

        Raises ``Invalid`` unless every host succeeded.
        """
        expression = fold(self.fleet.addresses)
        count = len(self.fleet.addresses)
        preview = self.client.post("resolve", {"targets": expression, "command": command})
        order: Body = {
            "targets": expression,
            "command": command,
            "credential": f"key:{CREDENTIAL}",
            "concurrency": concurrency,
            "confirm": preview["risk"]["confirm"],
            "reason": "bench",
        }
        before = cpu_by_part(self.pid)
        start = time.perf_counter()
        job = int(self.client.launch(order, key=str(uuid.uuid4()))["id"])
        self._follow(job)
        wall = time.perf_counter() - start
        after = cpu_by_part(self.pid)
        parts = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
        counts = self.client.status(job)["counts"]
        if counts["o"] != count:
            first = self.client.groups(job)[0]
            raise Invalid(f"opsconsole: {counts['o']} of {count} hosts succeeded. {trouble_line(first)}")
        return Lap(wall, sum(parts.values()), parts)

    def _follow(self, job: int) -> None:
        deadline = time.monotonic() + _LIMIT_SECONDS
        with EventFeed(self.client, job) as feed:
            while time.monotonic() < deadline:
                event = feed.next(1.0)
                if event is not None and event.name == "done":
                    return
        raise Unavailable(f"The job did not end within {_LIMIT_SECONDS:.0f} s.")


@contextmanager
def running(
    folder: Path, fleet: FleetFacts, *, workers: int, slots: int, keep: int, **more: object
) -> Iterator[Product]:
    """Runs a console in ``folder`` with ``workers`` processes of ``slots`` hosts each; ``keep`` connections are kept.

    ``more`` are further settings.

    Raises ``Unavailable`` when it does not come up.
    """
    chosen = {
        "data_dir": folder,
        "port": 0,
        "workers": workers,
        "worker_slots": slots,
        "keep_connections": keep,
        "key_files": {CREDENTIAL: fleet.key},
        "ssh_user": fleet.user,
        "ssh_port": fleet.port,
        "max_concurrency": 5000,
        "log_level": "WARNING",
        **more,
    }
    with console(folder, chosen) as (settings, client, pid):
        _trust(settings, fleet)
        yield Product(client, pid, fleet, settings)


@contextmanager
def console(folder: Path, chosen: Mapping[str, object], *options: str) -> Iterator[tuple[Settings, ConsoleClient, int]]:
    """Runs ``opsconsole up`` with ``options`` and the settings ``chosen`` in ``folder``; yields its settings, a client
    of it and the number of its process. Raises ``Unavailable`` when it does not come up."""
    settings = Settings.load(**chosen)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        log = stack.enter_context((folder / "up.log").open("wb"))
        process = subprocess.Popen(
            cli_command("up", *options), env=child_environment(chosen), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        stack.callback(_stop, process)
        _wait_until_up(process, settings, folder / "up.log")
        yield settings, stack.enter_context(open_client(settings)), process.pid


def default_slots(concurrency: int, workers: int) -> int:
    """Returns how many slots each worker needs for ``concurrency`` hosts at once; not fewer than the product's own."""
    return max(_SLOTS, -(-concurrency // workers))


def _wait_until_up(process: "subprocess.Popen[bytes]", settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not settings.console_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip()[-2000:]
            raise Unavailable(f"The console for the bench did not start: {said}", code="bench")
        time.sleep(0.05)


def _trust(settings: Settings, fleet: FleetFacts) -> None:
    now = SystemClock().now()
    with closing(Database(settings.database)) as database, database.transaction() as session:
        for address in fleet.addresses:
            key = KnownKey(*fleet.host_key)
            hostkeys.remember(session, address, fleet.port, key, source=hostkeys.Source.KNOWN_HOSTS, now=now)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
