"""One worker at a time leads: when it dies or freezes another takes over, and two beats are as good as one."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from opsconsole.jobs.models import LeaderLease, WorkerProcess
from opsconsole.launcher import folder
from opsconsole.launcher.commands import beat_command
from opsconsole.launcher.orphans import end_with_parent
from tests.faults.conftest import KEY, frozen
from tests.support.console import Console, Worker, environment_of, marks, until

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
_TAKEOVER_SECONDS = 40.0


def leader(console: Console) -> Worker | None:
    """Returns the worker that holds the lease, if any of the living does."""
    query = select(WorkerProcess.pid).join(LeaderLease, LeaderLease.owner == WorkerProcess.id)
    with console.database.read() as session:
        pid = session.scalar(query)
    return next((worker for worker in console.workers if worker.pid == pid), None)


def another(console: Console, former: Worker) -> Worker | None:
    now = leader(console)
    return now if now is not None and now is not former else None


def long_job(console: Console, started: Path) -> int:
    """Returns a job that needs somebody to dispatch and to look after it all the time."""
    command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 1"
    return console.launch("127.0.0.[1-60]", command, concurrency=6, **KEY)


def test_a_killed_leader_is_replaced(make_console: MakeConsole, tmp_path: Path) -> None:
    console, started = make_console(workers=3), tmp_path / "started"
    job_id = long_job(console, started)
    console.until_counts(job_id, o=3)
    former = until(partial(leader, console), 20, "somebody leads")
    # Nobody notes its end: the others have to find out.
    former.kill()
    began = time.monotonic()
    until(partial(another, console, former), _TAKEOVER_SECONDS, "another leads")
    took = time.monotonic() - began
    body = console.follow(job_id)
    starts = Counter(marks(started))
    assert set(starts.values()) == {1}
    assert body["counts"]["o"] + body["counts"]["l"] == 60
    assert body["counts"]["l"] <= 6
    assert took < console.settings.worker_dead_seconds + 10


def test_a_leader_that_was_frozen_leads_no_more_when_it_wakes(make_console: MakeConsole, tmp_path: Path) -> None:
    console, started = make_console(workers=2), tmp_path / "started"
    former = until(partial(leader, console), 20, "somebody leads")
    with frozen(console, former):
        new = until(partial(another, console, former), _TAKEOVER_SECONDS, "another leads")
        job_id = long_job(console, started)
        console.until_counts(job_id, o=3)
    body = console.follow(job_id)
    assert leader(console) is new
    starts = Counter(marks(started))
    assert (body["state"], set(starts.values()), len(starts)) == ("succeeded", {1}, 60)


@contextmanager
def beats(console: Console, count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Runs ``count`` beats of one console."""
    log = folder.logs_dir(console.settings) / "beat.log"
    with log.open("ab") as handle:
        running = [
            subprocess.Popen(
                beat_command(),
                env=environment_of(console.settings, {}),
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
            for _ in range(count)
        ]
    try:
        yield running
    finally:
        for beat in running:
            beat.kill()
            beat.wait()


def test_two_beats_do_no_harm_and_one_may_die(make_console: MakeConsole, tmp_path: Path) -> None:
    console, started = make_console(workers=2), tmp_path / "started"
    with beats(console, 2) as running:
        job_id = long_job(console, started)
        console.until_counts(job_id, o=10)
        running[0].kill()
        body = console.follow(job_id)
        # Its schedule file is shared; the other goes on, or ends and is started again by its supervisor.
        starts = Counter(marks(started))
    assert (body["state"], set(starts.values()), len(starts)) == ("succeeded", {1}, 60)
