"""Durable runs: the command goes on whatever becomes of the console, starts once, and its whole output arrives."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from opsconsole.crash import CrashPoint
from opsconsole.jobs import results
from opsconsole.jobs.models import HostRun
from tests.faults.conftest import KEY, frozen
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


def ending(run: HostRun) -> tuple[object, ...]:
    """Returns exit status and reason, and what else there is to say when that is strange."""
    return (run.exit_status, run.reason, *([run.detail] if run.exit_status is None else []))


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
    until(lambda: len(marks(started)) == 20, 60, "all have started")
    for _ in range(2):
        victim = owner(console, job_id)
        victim.kill()
        console.mark_gone(victim)
        console.start_workers(1)
    console.follow(job_id, 120)
    runs = console.runs(job_id)
    assert Counter(marks(started)) == {str(run.id): 1 for run in runs}
    assert [ending(run) for run in runs] == [(run.id % 7, None if run.id % 7 == 0 else "exit_status") for run in runs]
    out, err = said(console, job_id, "stdout"), said(console, job_id, "stderr")
    assert out == {run.host: b"".join(b"line %d\n" % i for i in range(120)) for run in runs}
    assert err == {run.host: b"".join(b"error %d\n" % i for i in range(120)) for run in runs}
    assert max(run.fence for run in runs) >= 2
    until(lambda: nothing_left(console, sshd, job_id), 30, "the hosts keep nothing of it")


def one(console: Console, job_id: int) -> HostRun:
    """Returns the only run of a job."""
    (run,) = console.runs(job_id)
    return run


def succeeded_once(console: Console, sshd: Sshd, job_id: int, started: Path, lines: int) -> HostRun:
    """Waits for the end of a job of one host that counts to ``lines``; returns its run, which is as it should be."""
    console.follow(job_id, 120)
    run = one(console, job_id)
    assert marks(started) == [str(run.id)]
    assert ending(run) == (run.id % 7, None if run.id % 7 == 0 else "exit_status")
    assert said(console, job_id, "stdout") == {run.host: b"".join(b"line %d\n" % i for i in range(lines))}
    until(lambda: nothing_left(console, sshd, job_id), 30, "the host keeps nothing of it")
    return run


def test_a_stopping_worker_hands_over_at_once(make_console: MakeConsole, sshd: Sshd, tmp_path: Path) -> None:
    console = make_console(drain_seconds=600.0)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", counting(started, 100, 0.1), **DURABLE)
    console.until_counts(job_id, r=1)
    until(lambda: marks(started), 30, "the command runs")
    assert console.workers[0].stop(60) < 30
    run = one(console, job_id)
    assert (run.state, run.owner) == ("running", None)
    # Nobody follows it for a while; then the whole console is there again.
    console.start_workers(1)
    assert succeeded_once(console, sshd, job_id, started, 100).fence == 2


def test_a_lost_connection_is_made_anew_by_the_same_worker(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path
) -> None:
    console = make_console()
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", counting(started, 100, 0.1), **DURABLE)
    for _ in range(3):
        # The keeper and the command are children of a session, too, until it ends.
        servers = until(lambda: marks(started) and sshd.servers(), 30, "the command is followed")
        for process in servers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert succeeded_once(console, sshd, job_id, started, 100).fence == 1


@pytest.mark.parametrize("point", [CrashPoint.MID_COMMAND, CrashPoint.BEFORE_FINISH])
def test_a_worker_that_dies_costs_no_result(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path, point: CrashPoint
) -> None:
    console = make_console(workers=0)
    (worker,) = console.start_workers(1, crash_at=point)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", counting(started, 10, 0.1), **DURABLE)
    worker.process.wait(60)
    console.mark_gone(worker)
    console.start_workers(1)
    assert succeeded_once(console, sshd, job_id, started, 10).fence == 2


def test_what_was_never_sent_is_lost_and_cannot_begin_later(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console(workers=0)
    (worker,) = console.start_workers(1, crash_at=CrashPoint.AFTER_GATE)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", counting(started, 10, 0.1), **DURABLE)
    worker.process.wait(60)
    console.mark_gone(worker)
    console.start_workers(1)
    console.follow(job_id)
    run = one(console, job_id)
    assert (run.state, run.reason) == ("lost", "vanished")
    assert marks(started) == []


def test_a_host_that_was_restarted_meanwhile_is_lost(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.1", "echo before; sleep 600", **DURABLE)
    until(lambda: one(console, job_id).last_line == "before", 30, "output is stored")
    victim = console.workers[0]
    victim.kill()
    mark = one(console, job_id).mark
    assert mark is not None
    for pid in carriers({mark}):
        os.kill(pid, signal.SIGKILL)
    console.mark_gone(victim)
    console.start_workers(1)
    console.follow(job_id)
    run = one(console, job_id)
    assert (run.state, run.reason) == ("lost", "vanished")
    assert said(console, job_id) == {run.host: b"before\n"}


@pytest.mark.parametrize("followed", [True, False])
def test_a_cancel_ends_the_command_and_what_escaped(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path, followed: bool
) -> None:
    console = make_console()
    ready = tmp_path / "ready"
    command = f"setsid sh -c 'trap \"\" TERM; echo x >> {ready}; sleep 600' & sleep 600 & sleep 600"
    job_id = console.launch("127.0.0.1", command, **DURABLE)
    until(lambda: marks(ready), 30, "the command runs")
    if not followed:
        console.workers[0].stop(60)
    console.cancel(job_id)
    if not followed:
        console.start_workers(1)
    assert console.follow(job_id)["state"] == "cancelled"
    run = one(console, job_id)
    assert (run.state, run.reason) == ("cancelled", "killed"), run.detail
    until(lambda: nothing_left(console, sshd, job_id), 30, "nothing of it is left")


def test_the_command_timeout_holds(make_console: MakeConsole, sshd: Sshd) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.1", "echo on; sleep 600", command_timeout=2.0, **DURABLE)
    console.follow(job_id)
    run = one(console, job_id)
    assert (run.state, run.reason, run.last_line) == ("timed_out", "command_timeout", "on")
    until(lambda: nothing_left(console, sshd, job_id), 30, "nothing of it is left")


def test_a_worker_that_wakes_up_disturbs_nobody(make_console: MakeConsole, sshd: Sshd, tmp_path: Path) -> None:
    console = make_console(worker_dead_seconds=3.0)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", counting(started, 200, 0.1), **DURABLE)
    until(lambda: marks(started), 30, "the command runs")
    with frozen(console, console.workers[0]):
        console.start_workers(1)
        until(lambda: one(console, job_id).fence == 2, 60, "another worker follows it")
    run = succeeded_once(console, sshd, job_id, started, 200)
    assert f":{console.workers[1].pid}" in (run.worker or "")
