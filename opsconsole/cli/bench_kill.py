"""``opsconsole bench kill-loop``: random processes of a console under load are killed, and its word is checked."""

import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from opsconsole.cli import bench_product
from opsconsole.cli.bench_load import Load
from opsconsole.cli.bench_product import Product
from opsconsole.cli.bench_targets import served
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.launcher.bench_kill import Killer, Marks, Verdict, unfinished, verify

# After the last kill everything has to be at its end within this long.
_SETTLE_SECONDS = 300.0
_PATIENCE_SECONDS = 2.0
_SLOTS = 100
_TOLD_EVERY = 50
_SHOWN = 50


@click.command("kill-loop")
@click.option("--kills", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("--pause", type=click.FloatRange(0.05, 60), default=1.0, show_default=True, help="Mean seconds apart.")
@click.option("--seed", type=int, help="Of what is killed when; printed. [default: by the clock]")
@click.option("--hosts", type=click.IntRange(1, 500), default=25, show_default=True, help="Hosts of each job.")
@click.option("--jobs", type=click.IntRange(1, 50), default=4, show_default=True, help="Jobs under way at a time.")
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Worker processes.")
@click.option("--port", type=int, help="Work on an sshd at this port of the loopback addresses instead.")
@click.option("--user", help="Its user.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its user's private key.")
@click.option("--json", "as_json", is_flag=True)
def kill_loop(
    *,
    kills: int,
    pause: float,
    seed: int | None,
    hosts: int,
    jobs: int,
    workers: int,
    port: int | None,
    user: str | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Kill workers, web, beat and broker at random under load, then check every word of the console."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    click.echo(f"seed {seed}", err=True)
    with _folder() as (folder, keep), served(folder, hosts, port, user, key, real=True) as (fleet, _):
        (folder / "marks").mkdir()
        # The seconds after which a process that ended is started again must not grow here: each ends again and again.
        more = {"restart_most_seconds": 0.2, "log_level": "INFO"}
        with bench_product.running(
            folder / "console", fleet, workers=workers, slots=_SLOTS, keep=_SLOTS, **more
        ) as product:
            figures, verdict = _loop(product, folder / "marks", kills, pause, jobs, seed)
        if verdict.violations:
            keep()
    _print(figures, verdict, as_json=as_json)
    if verdict.violations:
        sys.exit(1)


@contextmanager
def _folder() -> Iterator[tuple[Path, "_Keep"]]:
    """Yields a new folder and what makes it stay: after a violation its logs and database are the evidence."""
    folder = Path(tempfile.mkdtemp(prefix="opsconsole-kill-"))
    keep = _Keep(folder)
    try:
        yield folder, keep
    except BaseException:
        keep()
        raise
    finally:
        if not keep.kept:
            shutil.rmtree(folder)


class _Keep:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kept = False

    def __call__(self) -> None:
        self.kept = True
        click.echo(f"Database, logs and marks stay in {self._folder}", err=True)


def _loop(
    product: Product, marks: Path, kills: int, pause: float, jobs: int, seed: int
) -> tuple[dict[str, object], Verdict]:
    """Returns the figures of the loop and the verdict on what it left behind."""
    # Repeatable is what it has to be, not hard to guess.
    choice, of_load = random.Random(seed), random.Random(seed + 1)  # noqa: S311
    killer = Killer(product.pid, choice)
    began = time.monotonic()
    with Load(product, marks, jobs, of_load) as load:
        while killer.kills.total() < kills:
            _let_it_work(marks)
            time.sleep(choice.uniform(0, 2 * pause))
            if killer.strike() and killer.kills.total() % _TOLD_EVERY == 0:
                told = f"{killer.kills.total()} kills, {len(load.keys)} jobs, {time.monotonic() - began:.0f} s"
                click.echo(told, err=True)
    last = time.monotonic()
    with closing(Database(product.settings.database)) as database:
        settled = _settle(database, last)
        verdict = verify(database, Marks.read(marks), load.keys)
    figures: dict[str, object] = {
        "kills": dict(killer.kills),
        "seconds": round(last - began, 1),
        "settled_seconds": round(settled - last, 1),
        "cut_off_requests": load.cut_off,
    }
    return figures, verdict


def _let_it_work(marks: Path) -> None:
    """Waits a little until a host has something new to tell: on a busy machine processes would only ever be starting,
    and nothing would be at stake."""
    before, deadline = _written(marks), time.monotonic() + _PATIENCE_SECONDS
    while _written(marks) == before and time.monotonic() < deadline:
        time.sleep(0.05)


def _written(marks: Path) -> int:
    return sum(path.stat().st_size for path in marks.iterdir())


def _settle(database: Database, last: float) -> float:
    """Returns when nothing was under way any more, or when the time for that was over."""
    while time.monotonic() - last < _SETTLE_SECONDS:
        try:
            if not unfinished(database):
                break
        except Unavailable:
            # Locked for a moment by a process that was just killed.
            pass
        time.sleep(0.2)
    return time.monotonic()


def _print(figures: dict[str, object], verdict: Verdict, *, as_json: bool) -> None:
    found = {
        **figures,
        "jobs": dict(verdict.jobs),
        "runs": dict(verdict.runs),
        "most_attempts": verdict.attempts,
        "lost_after_end": verdict.lost_after_end,
        "most_starts_of_a_run": verdict.most_starts,
        "violations": verdict.violations[:_SHOWN],
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    names = (
        ("kills", "killed"),
        ("seconds", "seconds of killing"),
        ("settled_seconds", "seconds from the last kill until all had ended"),
        ("cut_off_requests", "requests cut off by a kill, given again"),
        ("jobs", "jobs"),
        ("runs", "runs"),
        ("most_attempts", "most attempts of a run"),
        ("lost_after_end", "lost although the command had come to its end"),
        ("most_starts_of_a_run", "most starts of a run"),
    )
    for key, name in names:
        click.echo(f"{name:<48}{_shown(found[key])}")
    click.echo(f"{'violations':<48}{len(verdict.violations)}")
    for line in verdict.violations[:_SHOWN]:
        click.echo(f"  {line}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        parts = ", ".join(f"{name} {count}" for name, count in sorted(value.items(), key=lambda item: -item[1]))
        return f"{sum(value.values())} ({parts})"
    return str(value)
