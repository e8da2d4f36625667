"""``opsconsole bench load``: what the product itself costs for a large job, on hosts that are only played."""

import json
import os
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from opsconsole.cli import bench_product
from opsconsole.cli.board import Board
from opsconsole.cli.client import Body, ConsoleClient
from opsconsole.cli.feed import EventFeed
from opsconsole.errors import Unavailable
from opsconsole.jobs.simulation import Simulation
from opsconsole.launcher import simulated
from opsconsole.launcher.process_tree import cpu_by_part

_LIMIT_SECONDS = 900.0
# Of the concurrency, what counts as full: hosts end while others start.
_FULL = 0.9


@dataclass(frozen=True, slots=True)
class Course:
    """One job: so many hosts, so many at once, which command."""

    hosts: int
    concurrency: int
    command: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a job took. Seconds by the clock: until the order was answered, from then until the first host had started,
    until nearly as many as may were in flight (``None``: never), until the end. CPU is in milliseconds a host."""

    launch_s: float
    first_s: float | None
    full_s: float | None
    wall_s: float
    hosts_per_s: float
    cpu_ms: float
    cpu_parts_ms: dict[str, float]
    ok: int
    most_in_flight: int


@click.command()
@click.option("--hosts", type=click.IntRange(1, 20_000), default=5000, show_default=True)
@click.option("-f", "concurrency", type=click.IntRange(1, 5000), default=500, show_default=True, help="Hosts at once.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. [default: one per core]")
@click.option("--command", "text", default="echo ok", show_default=True)
@click.option("--simulation", default="connect_seconds=0 median_seconds=0", show_default=True, help="How hosts behave.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Each is told.")
@click.option("--json", "as_json", is_flag=True)
def load(
    *, hosts: int, concurrency: int, workers: int | None, text: str, simulation: str, rounds: int, as_json: bool
) -> None:
    """Run a command on simulated hosts: the console's own cost, without SSH."""
    Simulation.parse(simulation)
    workers = workers or len(os.sched_getaffinity(0))
    course = Course(hosts, concurrency, text)
    with tempfile.TemporaryDirectory(prefix="opsconsole-bench-") as name:
        chosen = {
            "data_dir": Path(name),
            "port": 0,
            "workers": workers,
            # Room for all at each: with no slot to spare a message may wait at one worker while another has one free.
            "worker_slots": max(concurrency, bench_product.default_slots(concurrency, workers)),
            "max_concurrency": 5000,
            "simulation": simulation,
            "log_level": "WARNING",
        }
        with bench_product.console(Path(name), chosen, "--simulate", str(hosts)) as (_, client, pid):
            laps = [_lap(client, pid, course) for _ in range(rounds)]
    if as_json:
        click.echo(json.dumps({**asdict(course), "workers": workers, "rounds": [asdict(lap) for lap in laps]}))
        return
    click.echo(f"{hosts} simulated hosts, {concurrency} at once, `{text}`, {workers} worker processes ({simulation})")
    for number, lap in enumerate(laps, start=1):
        parts = ", ".join(
            f"{name} {ms:.2f}" for name, ms in sorted(lap.cpu_parts_ms.items(), key=lambda item: -item[1])
        )
        click.echo(
            f"round {number}: launched in {lap.launch_s:.2f} s, first host started {_told(lap.first_s)} later, "
            f"most in flight {lap.most_in_flight}, full after {_told(lap.full_s)}; "
            f"{lap.wall_s:.2f} s in all, {lap.hosts_per_s:.0f} hosts/s; {lap.ok} ok; "
            f"CPU {lap.cpu_ms:.2f} ms a host ({parts})"
        )


def _told(seconds: float | None) -> str:
    return "never seen" if seconds is None else f"{seconds:.2f} s"


def _lap(client: ConsoleClient, pid: int, course: Course) -> Figures:
    target = f"@{simulated.GROUP}"
    preview = client.post("resolve", {"targets": target, "command": course.command})
    order: Body = {
        "targets": target,
        "command": course.command,
        "concurrency": course.concurrency,
        "confirm": preview["risk"]["confirm"],
        "reason": "bench",
    }
    before, start = cpu_by_part(pid), time.perf_counter()
    job = int(client.launch(order, key=str(uuid.uuid4()))["id"])
    launched = time.perf_counter()
    first, full, most = _follow(client, job, round(course.concurrency * _FULL))
    ended = time.perf_counter()
    after = cpu_by_part(pid)
    parts = {name: (spent - before.get(name, 0.0)) / course.hosts * 1000 for name, spent in after.items()}
    status: dict[str, Any] = client.status(job)
    return Figures(
        launch_s=launched - start,
        first_s=None if first is None else max(first - launched, 0.0),
        full_s=None if full is None else max(full - launched, 0.0),
        wall_s=ended - start,
        hosts_per_s=course.hosts / (ended - launched),
        cpu_ms=sum(parts.values()),
        cpu_parts_ms=parts,
        ok=int(status["counts"]["o"]),
        most_in_flight=most,
    )


def _follow(client: ConsoleClient, job: int, full_from: int) -> tuple[float | None, float | None, int]:
    """Returns when the first host had started and when so many were in flight, as the live stream tells it, and the
    most that were in flight."""
    board = Board(job)
    first = full = None
    most = 0
    deadline = time.monotonic() + _LIMIT_SECONDS
    with EventFeed(client, job) as feed:
        while time.monotonic() < deadline:
            event = feed.next(1.0)
            if event is None:
                continue
            board.apply(event)
            now = time.perf_counter()
            most = max(most, board.in_flight)
            if first is None and (board.counts.get("r") or board.done):
                first = now
            if full is None and board.in_flight >= full_from:
                full = now
            if event.name == "done":
                return first, full, most
    raise Unavailable(f"The job did not end within {_LIMIT_SECONDS:.0f} s.")
