"""Workers and web are restarted one after the other in the middle of a job: every host is accounted for, none twice."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import KEY
from tests.support.console import Console, Worker, marks, until
from tests.support.web_process import running_web

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]


def replace(console: Console, worker: Worker) -> None:
    """Starts a new worker and asks an old one to stop, as a rolling update does."""
    console.start_workers(1)
    worker.stop(60)
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    ("hosts", "policy"), [(60, "cancel"), (60, "wait"), pytest.param(500, "wait", marks=pytest.mark.faults)]
)
def test_a_rolling_restart_accounts_for_every_host(
    make_console: MakeConsole, tmp_path: Path, hosts: int, policy: str
) -> None:
    console = make_console(2, outage=True, shutdown_policy=policy, drain_seconds=0.5)
    started = tmp_path / "started"
    first, second = console.workers
    with running_web(console) as web:
        command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 2; echo done"
        answer = web.launch(f"127.0.[0-1].[1-{hosts // 2}]", command, concurrency=20, confirm=str(hosts), **KEY)
        assert answer.is_success, answer.text
        job_id = int(answer.json()["id"])
        console.until_counts(job_id, 60, r=10)
        replace(console, first)
        web.process.send_signal(signal.SIGTERM)
        web.process.wait(30)
    with running_web(console) as web:
        replace(console, second)
        assert web.status(job_id)["counts"]
        body = console.follow(job_id, 240)
    starts = Counter(marks(started))
    assert set(starts.values()) == {1}, starts
    runs = console.runs(job_id)
    # No operator did anything; what was cut short says why, and only what was started is marked as started.
    ended = Counter((run.state, run.reason) for run in runs)
    allowed = {("succeeded", None)} | ({("cancelled", "worker_shutdown")} if policy == "cancel" else set())
    assert set(ended) <= allowed, ended
    assert len(starts) == hosts
    assert sum(body["counts"].values()) == hosts


def test_a_patient_worker_waits_for_its_commands(make_console: MakeConsole) -> None:
    console = make_console(shutdown_policy="wait", drain_seconds=0.2)
    job_id = console.launch("127.0.0.[1-3]", "sleep 5; echo done", **KEY)
    console.until_counts(job_id, r=3)
    began = time.monotonic()
    console.workers[0].stop(60)
    assert time.monotonic() - began > 1
    assert console.status(job_id)["counts"]["o"] == 3


def test_a_heartbeat_that_cannot_be_written_costs_no_result(make_console: MakeConsole, tmp_path: Path) -> None:
    # One worker's data base connection is slow for longer than the others' patience: it is given up by mistake.
    console, started = make_console(1, worker_dead_seconds=3.0), tmp_path / "started"
    job_id = console.launch("127.0.0.[1-4]", f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 6; echo done", **KEY)
    console.until_counts(job_id, r=4)
    console.mark_gone(console.workers[0])
    console.until_counts(job_id, 20, l=4)
    body = console.until_counts(job_id, 30, o=4)
    assert body["state"] == "succeeded"
    assert all(run.late and run.last_line == "done" for run in console.runs(job_id))
    assert set(Counter(marks(started)).values()) == {1}
    until(lambda: "goes on under a new id" in console.logs(), 10, "the worker goes on under a new id")
