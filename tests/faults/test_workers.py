"""Workers that are killed, stopped, frozen or told the same thing again: no command starts twice, nothing hangs."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsconsole.jobs import drain
from opsconsole.secret import Secret
from tests.faults.conftest import KEY, frozen
from tests.support.console import Console, marks, processes_of_runs, until

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]


def nothing_left(console: Console, job_id: int) -> bool:
    """Returns whether no process of the job's runs lives on this machine."""
    return not processes_of_runs(console.runs(job_id))


@pytest.mark.parametrize("supervised", [True, False])
def test_a_killed_worker_starts_nothing_twice_and_leaves_nothing(
    make_console: MakeConsole, tmp_path: Path, supervised: bool
) -> None:
    console = make_console(workers=2)
    started = tmp_path / "started"
    command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 5; echo done"
    job_id = console.launch("127.0.0.[1-50]", command, concurrency=50, **KEY)
    console.until_counts(job_id, r=10)
    victim = next(
        worker
        for worker in console.workers
        if any(run.state == "running" and f":{worker.pid}" in (run.worker or "") for run in console.runs(job_id))
    )
    victim.kill()
    if supervised:
        console.mark_gone(victim)
    console.start_workers(1)
    body = console.follow(job_id, 60)
    runs = console.runs(job_id)
    starts = Counter(marks(started))
    assert set(starts.values()) <= {1}, starts
    by_state = Counter(run.state for run in runs)
    assert set(by_state) == {"succeeded", "lost"}, by_state
    assert body["state"] == "partial"
    for run in runs:
        mine = f":{victim.pid}" in (run.worker or "")
        assert (run.state == "lost") <= mine
        if run.state == "succeeded":
            assert starts[str(run.id)] == 1
        else:
            assert run.reason == "worker_lost"
    until(lambda: nothing_left(console, job_id), 15, "the commands of the lost runs end")


def test_a_worker_killed_before_the_gate_costs_only_time(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console()
    # Nobody greets there: the worker is connecting when it is killed.

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        job_id = console.launch(f"127.0.0.1:{port}", f"echo x >> {tmp_path / 'started'}", connect_timeout=60.0, **KEY)
        console.until_counts(job_id, c=1)
        console.workers[0].kill()
        console.mark_gone(console.workers[0])
        console.start_workers(1)

        def again() -> bool:
            (run,) = console.runs(job_id)
            return (run.state, run.attempt) == ("connecting", 2)

        until(again, 20, "another worker takes the run")
        console.cancel(job_id)
    assert console.follow(job_id, 20)["counts"]["x"] + console.status(job_id)["counts"]["u"] == 1
    assert not marks(tmp_path / "started")


def test_a_message_delivered_again_starts_nothing(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console(workers=2)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.[1-3]", f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 1", **KEY)
    ids = [run.id for run in console.runs(job_id)]
    # Before, while and after it runs, fifty times each, to both workers, and from the attempt that is not yet.
    for _ in range(3):
        console.dispatcher.publish([(run_id, attempt) for run_id in ids for attempt in (1, 2) for _ in range(25)])
        until(lambda: console.status(job_id)["counts"]["q"] == 0, 20, "all were taken")
    body = console.follow(job_id)
    console.dispatcher.publish([(run_id, 1) for run_id in ids] * 50)
    again, _ = console.run("127.0.0.4", "true", **KEY)
    assert (body["state"], again["state"]) == ("succeeded", "succeeded")
    assert sorted(marks(started)) == sorted(map(str, ids))
    assert {run.attempt for run in console.runs(job_id)} == {1}


def test_a_stopping_worker_drains_and_tells_the_truth(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console(drain_seconds=5.0)
    quick = console.launch("127.0.0.[1-3]", "sleep 1; echo done", **KEY)
    slow = console.launch("127.0.0.[11-13]", "trap '' TERM; sleep 600", **KEY)
    waiting = console.launch("127.0.0.[21-25]", f"echo x >> {tmp_path / 'started'}; sleep 600", concurrency=1, **KEY)
    console.until_counts(quick, r=3)
    console.until_counts(slow, r=3)
    console.until_counts(waiting, r=1)
    took = console.workers[0].stop()
    assert took < 10, took
    assert console.follow(quick, 1)["counts"]["o"] == 3
    assert console.follow(slow, 1)["counts"]["x"] == 3
    assert {run.reason for run in console.runs(slow)} == {"worker_shutdown"}
    counts = console.status(waiting)["counts"]
    assert (counts["x"], counts["q"]) == (1, 4)
    until(lambda: nothing_left(console, slow) and nothing_left(console, waiting), 5, "the commands end")
    assert len(marks(tmp_path / "started")) == 1
    # The rest goes on with the next worker.
    console.start_workers(1)
    console.until_counts(waiting, r=1)
    console.cancel(waiting)
    assert console.follow(waiting, 20)["counts"] == {**counts, "q": 0, "x": 5}


def test_a_drained_worker_keeps_what_it_runs_and_leaves_the_rest(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console(workers=1)

    def told(verb: Callable[..., dict[str, Any]], name: str) -> str:
        with console.database.transaction() as session:
            return str(verb(session, name, console.actor, now=console.clock.now())["state"])

    release = tmp_path / "release"
    kept = console.launch("127.0.0.[1-2]", f"until [ -e {release} ]; do sleep 0.1; done", **KEY)
    console.until_counts(kept, r=2)
    assert told(drain.drain, "worker-1") == "draining"
    waiting = console.launch("127.0.0.[3-4]", "echo done", **KEY)
    body = until(lambda: console.status(waiting)["waiting"], 10, "it says why it waits")
    assert body["text"] == "No worker takes runs: worker-1 is drained."
    log = console.workers[0].log
    until(lambda: "no message is taken" in log.read_text(), 20, "its consumer is shut")
    # Another worker is given all that waits.
    other = console.start_workers(1)[0]
    assert console.follow(waiting, 30)["counts"]["o"] == 2
    assert all(f":{other.pid}" in (run.worker or "") for run in console.runs(waiting))
    assert console.status(kept)["counts"]["r"] == 2
    release.touch()
    assert console.follow(kept, 20)["counts"]["o"] == 2
    # It takes runs again, and the other one does not.
    assert (told(drain.drain, "worker-2"), told(drain.resume, "worker-1")) == ("drained", "working")
    last = console.launch("127.0.0.[5-6]", "echo done", **KEY)
    assert console.follow(last, 30)["counts"]["o"] == 2
    assert all(f":{console.workers[0].pid}" in (run.worker or "") for run in console.runs(last))


def test_a_stopping_worker_waits_for_its_runs_however_long_they_are_given(make_console: MakeConsole) -> None:
    # Celery itself comes to an end after four or five seconds.
    console = make_console(drain_seconds=9.0)
    job_id = console.launch("127.0.0.1", "trap '' TERM; sleep 600", **KEY)
    console.until_counts(job_id, r=1)
    assert 9 <= console.workers[0].stop(30) < 16
    (run,) = console.runs(job_id)
    assert (run.state, run.reason) == ("cancelled", "worker_shutdown")


def test_an_idle_worker_stops_at_once(make_console: MakeConsole) -> None:
    console = make_console()
    assert console.workers[0].stop() < 6


def test_a_frozen_worker_is_given_up_and_its_late_result_is_taken(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console(worker_dead_seconds=3.0)
    started = tmp_path / "started"
    job_id = console.launch("127.0.0.1", f"echo x >> {started}; sleep 3; echo finished", **KEY)
    until(lambda: marks(started), 30, "the command has begun")
    with frozen(console, console.workers[0]):
        console.start_workers(1)
        console.until_counts(job_id, 30, l=1)
        (run,) = console.runs(job_id)
        assert (run.reason, run.late) == ("worker_lost", False)
    console.until_counts(job_id, 30, o=1)
    (run,) = console.runs(job_id)
    assert (run.late, run.last_line) == (True, "finished")
    assert console.status(job_id)["state"] == "succeeded"
    assert len(marks(started)) == 1
    # It goes on under a new id and takes work.
    body, _ = console.run("127.0.0.[1-4]", "true", **KEY)
    assert body["state"] == "succeeded"


def test_a_wrong_secret_key_is_named_on_the_host(make_console: MakeConsole) -> None:
    console = make_console(workers=0, outage=True)
    console.start_workers(1, secret_key="another-secret-key")
    _, (run,) = console.run("127.0.0.1", "true", credential="password", password=Secret("hunter2-canary"))
    assert (run.state, run.reason) == ("unreachable", "credential")
    assert "secret key" in (run.detail or "")
    assert "hunter2" not in console.logs()
    # Now that something is sealed, a process with another key does not even start.
    with pytest.raises(AssertionError, match="another secret key"):
        console.start_workers(1, secret_key="another-secret-key")


def test_a_fifty_megabyte_flood_is_bounded(make_console: MakeConsole) -> None:
    console = make_console()
    console.run("127.0.0.1", "echo warm", **KEY)
    (worker,) = console.workers
    before = most = worker.rss
    flood = "head -c 50000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo END"
    job_id = console.launch("127.0.0.1", flood, **KEY)
    deadline = time.monotonic() + 90
    while console.status(job_id)["state"] not in {"succeeded", "failed", "partial"}:
        most = max(most, worker.rss)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (run,) = console.runs(job_id)
    assert run.state == "succeeded"
    assert run.stdout_bytes == 50_000_000 + 50_000_000 // 99 + 5
    assert run.last_line == "END"
    head, tail = console.settings.output_head_bytes, console.settings.output_tail_bytes
    assert run.gap_from == head
    assert abs(run.gap_bytes - (run.stdout_bytes - head - tail)) <= 64 * 1024
    assert most - before < 50 * 1024 * 1024, (before, most)
