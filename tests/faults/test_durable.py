"""Durable runs: the command goes on whatever becomes of the console, starts once, and its whole output arrives."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from opsconsole.jobs import results
from tests.faults.conftest import KEY
from tests.support.console import Console, Worker, marks, until
from tests.support.sshd import Sshd

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
DURABLE = {**KEY, "durable": True}


def said(console: Console, job_id: int, stream: str = "both") -> dict[str, bytes]:
    """Returns the stored output of each host of a job."""
    with console.database.read() as session:
        return {run.host: b"".join(results.raw(session, run, stream)) for run in console.runs(job_id)}


def counting(started: Path, lines: int, pause: float) -> str:
    """Returns a command that says when it starts, counts on both streams, and exits with a status of its own."""
    return (
        f"echo ${{OPSC_RUN%%-*}} >> {started}; i=0; while [ $i -lt {lines} ]; do echo line $i; echo error $i >&2; "
        f"i=$((i+1)); sleep {pause}; done; exit $((${{OPSC_RUN%%-*}} % 7))"
    )


def owner(console: Console, job_id: int) -> Worker:
    """Returns a worker that has a running run of the job in hand."""
    return until(
        lambda: next(
            (
                worker
                for worker in console.workers
                if worker.process.poll() is None
                and any(run.owner and f":{worker.pid}" in (run.worker or "") for run in console.runs(job_id))
            ),
            None,
        ),
        30,
        "a worker follows the job",
    )


def nothing_left(console: Console, sshd: Sshd, job_id: int) -> bool:
    """Returns whether neither a process of the job's runs nor anything of their folders is left."""
    known = {run.mark for run in console.runs(job_id) if run.mark is not None}
    folders = {path.name for path in (sshd.folder / ".cache" / "opsconsole").glob("*")}
    return not known & folders and not carriers(known)


def carriers(known: set[str]) -> list[int]:
    """Returns the processes of commands with these marks and of their keepers."""
    words = {f"{name}={mark}".encode() for mark in known for name in ("OPSC_RUN", "OPSC_KEEPER")}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if words & set((entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_workers_killed_twice_cost_no_byte_and_no_second_start(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path
) -> None:
    console = make_console(workers=2)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.[1-20]", counting(started, 120, 0.1), concurrency=20, **DURABLE)
    console.until_counts(job_id, 60, r=20)
    for _ in range(2):
        victim = owner(console, job_id)
        victim.kill()
        console.mark_gone(victim)
        console.start_workers(1)
    console.follow(job_id, 120)
    runs = console.runs(job_id)
    assert Counter(marks(started)) == {str(run.id): 1 for run in runs}
    assert {run.id: run.exit_status for run in runs} == {run.id: run.id % 7 for run in runs}
    out, err = said(console, job_id, "stdout"), said(console, job_id, "stderr")
    assert out == {run.host: b"".join(b"line %d\n" % i for i in range(120)) for run in runs}
    assert err == {run.host: b"".join(b"error %d\n" % i for i in range(120)) for run in runs}
    assert max(run.fence for run in runs) >= 2
    until(lambda: nothing_left(console, sshd, job_id), 30, "the hosts keep nothing of it")
