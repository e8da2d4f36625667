"""``opsconsole bench``: how fast the fan-out is, and what it costs, beside raw paramiko and the peers that we find."""

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from opsconsole.cli import bench_product
from opsconsole.cli.bench_kill import kill_loop
from opsconsole.cli.bench_simulated import load
from opsconsole.cli.bench_targets import served
from opsconsole.launcher.bench_fleet import FleetFacts
from opsconsole.launcher.bench_race import Course, Lap, race, racers
from opsconsole.launcher.process_tree import cpu_of_tree

_COMMAND = "echo ok"
_SLOW_COMMAND = "sleep 1; echo ok"
_SLOW_SECONDS = 1.0
_PRODUCT = "opsconsole"
_RAW = "raw paramiko"


@dataclass
class Score:
    """The laps of one racer, and the CPU seconds the servers spent on each."""

    name: str
    laps: list[Lap] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Median seconds by the clock."""
        return statistics.median(lap.wall for lap in self.laps)

    def cpu_ms(self, hosts: int) -> float:
        """Median milliseconds of client CPU a host."""
        return statistics.median(lap.cpu for lap in self.laps) / hosts * 1000

    def server_ms(self, hosts: int) -> float:
        """Median milliseconds of server CPU a host."""
        return statistics.median(self.server) / hosts * 1000


@click.group()
def bench() -> None:
    """Measure this installation on this machine."""


bench.add_command(kill_loop)
bench.add_command(load)


@bench.command()
@click.option("--hosts", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Medians are shown.")
@click.option("-f", "concurrency", type=click.IntRange(1, 5000), default=100, show_default=True, help="Hosts at once.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. [default: one per core]")
@click.option("--latency", is_flag=True, help="Also commands of 1 s at 100, 200 and 500 hosts at once.")
@click.option("--no-peers", is_flag=True, help="Leave out pdsh, clush and asyncssh.")
@click.option("--peer", "more", multiple=True, metavar="NAME=COMMAND", help="One more racer; see docs/performance.md.")
@click.option("--port", type=int, help="Race on an sshd at this port of the loopback addresses instead.")
@click.option("--user", help="Its user.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its user's private key.")
@click.option("--json", "as_json", is_flag=True)
def fanout(
    *,
    hosts: int,
    rounds: int,
    concurrency: int,
    workers: int | None,
    latency: bool,
    no_peers: bool,
    more: tuple[str, ...],
    port: int | None,
    user: str | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Run a short command on many hosts, cold, and compare."""
    workers = workers or len(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="opsconsole-bench-") as name,
        served(Path(name), hosts, port, user, key) as (
            fleet,
            server_pid,
        ),
    ):
        course = Course.lay(Path(name), fleet, _COMMAND)
        field_ = [racer for racer in racers(course, more) if not no_peers or racer.name.startswith(_RAW)]
        slots = bench_product.default_slots(concurrency, workers)
        with bench_product.running(Path(name) / "console", fleet, workers=workers, slots=slots, keep=0) as product:
            runners: list[tuple[str, Callable[[], Lap]]] = [
                (f"{_PRODUCT} -f {concurrency}", lambda: product.race(_COMMAND, concurrency))
            ]
            runners += [(racer.name, lambda racer=racer: race(racer, hosts)) for racer in field_]  # type: ignore[misc]
            scores = _measure(runners, rounds, server_pid, quiet=as_json)
        slow = _slow(Path(name), fleet, workers, rounds) if latency else []
    if as_json:
        click.echo(json.dumps(_as_json(scores, slow, hosts)))
        return
    _print_table(scores, hosts, rounds, workers)
    _print_ratios(scores, hosts)
    _print_slow(slow, hosts)


def _measure(
    runners: Sequence[tuple[str, Callable[[], Lap]]], rounds: int, server_pid: int | None, *, quiet: bool
) -> list[Score]:
    """Runs all racers in turn, round by round, so that what else the machine does falls on all alike."""
    scores = [Score(name) for name, _ in runners]
    for number in range(1, rounds + 1):
        for score, (name, run) in zip(scores, runners, strict=True):
            before = cpu_of_tree(server_pid) if server_pid else 0.0
            score.laps.append(run())
            score.server.append(cpu_of_tree(server_pid) - before if server_pid else 0.0)
            if not quiet:
                click.echo(f"round {number}: {name}: {score.laps[-1].wall:.2f} s", err=True)
    return scores


def _slow(folder: Path, fleet: FleetFacts, workers: int, rounds: int) -> list[tuple[int, float]]:
    """Commands that take 1 s: what counts is whether all slots are always in use."""
    found = []
    for concurrency in (100, 200, 500):
        slots = bench_product.default_slots(concurrency, workers)
        place = folder / f"console-{concurrency}"
        with bench_product.running(place, fleet, workers=workers, slots=slots, keep=0) as product:
            walls = [product.race(_SLOW_COMMAND, concurrency).wall for _ in range(rounds)]
        found.append((concurrency, statistics.median(walls)))
    return found


def _print_table(scores: list[Score], hosts: int, rounds: int, workers: int) -> None:
    click.echo(f"{hosts} hosts, cold, `{_COMMAND}`, median of {rounds}; {workers} worker processes")
    click.echo(f"{'':<26}{'wall s':>8}{'hosts/s':>9}{'CPU ms/host':>13}{'server ms/host':>16}")
    for score in sorted(scores, key=lambda score: score.wall):
        figures = f"{score.wall:>8.2f}{hosts / score.wall:>9.0f}{score.cpu_ms(hosts):>13.2f}"
        click.echo(f"{score.name:<26}{figures}{score.server_ms(hosts):>16.2f}")
    click.echo("A peer's start is in its wall; our workers are up already, as they are when they are used.")
    ours = scores[0]
    parts = {
        name: statistics.median(lap.parts[name] for lap in ours.laps) / hosts * 1000 for name in ours.laps[0].parts
    }
    split = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(parts.items(), key=lambda item: -item[1]))
    click.echo(f"Our CPU is that of all our processes, with a stream open: {split}")


def _print_ratios(scores: list[Score], hosts: int) -> None:
    ours = scores[0]
    for score in scores[1:]:
        aim = next((text for start, text in _AIMS if score.name.startswith(start)), "")
        more = f", {ours.cpu_ms(hosts) - score.cpu_ms(hosts):+.2f} ms CPU a host" if score.name.startswith(_RAW) else ""
        click.echo(f"wall against {score.name:<24} {ours.wall / score.wall:5.2f}{more}   {aim}")


_AIMS = (
    (_RAW, "M4: at most 1.40 and +1.20 ms"),
    ("pdsh", "M1: at most 0.40"),
    ("clush", "M1: at most 0.40"),
    ("asyncssh", "M2: at most 1.00"),
    ("parallel-ssh", "M2: at most 0.85"),
)


def _ideal(hosts: int, concurrency: int) -> float:
    return hosts / concurrency * _SLOW_SECONDS


def _print_slow(slow: list[tuple[int, float]], hosts: int) -> None:
    for concurrency, wall in slow:
        ideal = _ideal(hosts, concurrency)
        aim = 1.10 * ideal + 1.0
        click.echo(f"1 s commands, {concurrency} at once: {wall:.2f} s, ideal {ideal:.2f} s   M5: at most {aim:.2f} s")


def _as_json(scores: list[Score], slow: list[tuple[int, float]], hosts: int) -> dict[str, object]:
    return {
        "hosts": hosts,
        "racers": [
            {
                "name": score.name,
                "wall_s": round(score.wall, 3),
                "walls_s": [round(lap.wall, 3) for lap in score.laps],
                "cpu_ms_per_host": round(score.cpu_ms(hosts), 3),
                "server_ms_per_host": round(score.server_ms(hosts), 3),
            }
            for score in scores
        ],
        "latency": [
            {"concurrency": concurrency, "wall_s": round(wall, 3), "ideal_s": _ideal(hosts, concurrency)}
            for concurrency, wall in slow
        ],
    }
