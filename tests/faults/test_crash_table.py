"""Each row of the crash table in docs/safety.md: a process dies at just that point, and what is left is what it says.

On the hosts a file counts the starts; it never holds more than one line a run.
"""

import contextlib
import signal
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from opsconsole.crash import CrashPoint
from opsconsole.jobs.models import HostRun
from tests.faults.conftest import KEY, frozen
from tests.support.console import Console, Worker, marks, processes_of_runs, until
from tests.support.faulty_tcp import faulty_server
from tests.support.sshd import Sshd
from tests.support.web_process import running_web

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
_CRASH_SECONDS = 60.0


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Where commands leave a line when they start."""
    return tmp_path / "started"


def counting(started: Path, then: str = "") -> str:
    return f"echo ${{OPSC_RUN%-*}} >> {started}; {then}"


def crashed(console: Console, worker: Worker) -> None:
    """Waits until the worker has killed itself, and notes it as its supervisor does."""
    assert worker.process.wait(_CRASH_SECONDS) == -signal.SIGKILL
    console.mark_gone(worker)


def crash_at(make_console: MakeConsole, point: CrashPoint, command: str) -> tuple[Console, int]:
    """Returns a console whose only worker has crashed at ``point`` in a job of one host, and another took its place."""
    console = make_console(workers=0)
    (worker,) = console.start_workers(1, crash_at=point)
    job_id = console.launch("127.0.0.1", command, **KEY)
    crashed(console, worker)
    console.start_workers(1)
    return console, job_id


def only_run(console: Console, job_id: int) -> HostRun:
    (run,) = console.runs(job_id)
    return run


def test_web_dies_before_the_commit(make_console: MakeConsole, started: Path) -> None:
    console, key = make_console(), str(uuid.uuid4())
    with running_web(console, crash_at=CrashPoint.WEB_BEFORE_COMMIT) as web, pytest.raises(httpx.TransportError):
        web.launch("127.0.0.[1-5]", counting(started), key=key, **KEY)
    with running_web(console) as web:
        assert web.api.get("/jobs").json()["jobs"] == []
        answer = web.launch("127.0.0.[1-5]", counting(started), key=key, **KEY)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert console.follow(answer.json()["id"])["counts"]["o"] == 5
    assert len(marks(started)) == 5


def test_web_dies_after_the_commit(make_console: MakeConsole, started: Path) -> None:
    console, key = make_console(), str(uuid.uuid4())
    with running_web(console, crash_at=CrashPoint.WEB_AFTER_COMMIT) as web, pytest.raises(httpx.TransportError):
        web.launch("127.0.0.[1-5]", counting(started), key=key, **KEY)
    with running_web(console) as web:
        (job,) = web.api.get("/jobs").json()["jobs"]
        # It was never announced to any worker, and runs all the same.
        assert console.follow(job["id"])["counts"]["o"] == 5
        again = web.launch("127.0.0.[1-5]", counting(started), key=key, **KEY)
        assert (again.status_code, again.json()["id"]) == (httpx.codes.OK, job["id"])
        assert len(web.api.get("/jobs").json()["jobs"]) == 1
    assert len(marks(started)) == 5


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_PUBLISH, CrashPoint.AFTER_PUBLISH])
def test_dispatcher_dies_around_the_publish(make_console: MakeConsole, started: Path, point: CrashPoint) -> None:
    console, job_id = crash_at(make_console, point, counting(started))
    assert console.follow(job_id)["state"] == "succeeded"
    run = only_run(console, job_id)
    assert marks(started) == [str(run.id)]


def test_worker_dies_before_the_claim(make_console: MakeConsole, started: Path) -> None:
    console, job_id = crash_at(make_console, CrashPoint.BEFORE_CLAIM, counting(started))
    assert console.follow(job_id)["state"] == "succeeded"
    run = only_run(console, job_id)
    assert (run.attempt, marks(started)) == (1, [str(run.id)])


def test_worker_dies_between_claim_and_gate(make_console: MakeConsole, started: Path) -> None:
    console, job_id = crash_at(make_console, CrashPoint.AFTER_CLAIM, counting(started))
    assert console.follow(job_id)["state"] == "succeeded"
    run = only_run(console, job_id)
    assert (run.attempt, marks(started)) == (2, [str(run.id)])


def test_worker_dies_after_the_gate(make_console: MakeConsole, started: Path) -> None:
    console, job_id = crash_at(make_console, CrashPoint.AFTER_GATE, counting(started))
    assert console.follow(job_id)["counts"]["l"] == 1
    run = only_run(console, job_id)
    assert (run.state, run.reason, run.attempt) == ("lost", "worker_lost", 1)
    # Nothing had been sent, which nobody can know.
    assert marks(started) == []


def test_worker_dies_in_the_middle_of_the_command(make_console: MakeConsole, started: Path) -> None:
    console, job_id = crash_at(make_console, CrashPoint.MID_COMMAND, counting(started, "echo first; sleep 600"))
    assert console.follow(job_id)["counts"]["l"] == 1
    run = only_run(console, job_id)
    assert (run.state, run.reason) == ("lost", "worker_lost")
    until(lambda: not processes_of_runs([run]), 15, "the guard ends the command on the host")
    assert marks(started) == [str(run.id)]


def test_worker_dies_after_the_end_on_the_host_before_the_commit(make_console: MakeConsole, started: Path) -> None:
    console, job_id = crash_at(make_console, CrashPoint.BEFORE_FINISH, counting(started, "echo all"))
    assert console.follow(job_id)["counts"]["l"] == 1
    run = only_run(console, job_id)
    assert (run.state, run.reason) == ("lost", "worker_lost")
    assert marks(started) == [str(run.id)]
    assert not processes_of_runs([run])


def test_workers_that_die_again_and_again_before_the_gate_end_as_unreachable(
    make_console: MakeConsole, started: Path
) -> None:
    console = make_console(workers=0)
    (worker,) = console.start_workers(1, crash_at=CrashPoint.AFTER_CLAIM)
    job_id = console.launch("127.0.0.1", counting(started), **KEY)
    for _ in range(2):
        crashed(console, worker)
        (worker,) = console.start_workers(1, crash_at=CrashPoint.AFTER_CLAIM)
    crashed(console, worker)
    console.start_workers(1)
    assert console.follow(job_id)["counts"]["u"] == 1
    run = only_run(console, job_id)
    assert (run.reason, run.attempt, marks(started)) == ("worker_lost", 3, [])


@pytest.mark.parametrize("point", [CrashPoint.AFTER_CLAIM, CrashPoint.AFTER_GATE, CrashPoint.BEFORE_FINISH])
def test_a_crash_among_many_runs(make_console: MakeConsole, started: Path, point: CrashPoint) -> None:
    console = make_console(workers=1)
    (worker,) = console.start_workers(1, crash_at=point)
    job_id = console.launch("127.0.0.[1-40]", counting(started, "sleep 0.5"), **KEY)
    crashed(console, worker)
    body = console.follow(job_id)
    runs, starts = console.runs(job_id), Counter(marks(started))
    assert set(starts.values()) == {1}, starts
    assert {run.state for run in runs} <= {"succeeded", "lost"}
    assert all(starts[str(run.id)] == 1 for run in runs if run.state == "succeeded")
    assert body["counts"]["o"] + body["counts"]["l"] == 40
    if point is CrashPoint.AFTER_CLAIM:
        assert body["counts"]["l"] < 40


class Gate:
    """A way to a host that lets nobody through until it is opened, and can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = threading.Event()
        self._cut = threading.Event()
        self.waiting = 0

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        self.waiting += 1
        while not self._open.wait(0.05):
            if over.is_set():
                return
        with socket.create_connection(("127.0.0.1", self._port)) as host:
            back = threading.Thread(target=self._carry, args=(host, connection, over))
            back.start()
            self._carry(connection, host, over)
            back.join()

    def open(self) -> None:
        """Lets everybody through."""
        self._open.set()

    def cut(self) -> None:
        """Carries nothing any more, in either direction, and tells nobody."""
        self._cut.set()

    def _carry(self, source: socket.socket, target: socket.socket, over: threading.Event) -> None:
        source.settimeout(0.1)
        while not over.is_set():
            if self._cut.is_set():
                over.wait(0.1)
                continue
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not data:
                break
            target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def gate(sshd: Sshd) -> Iterator[tuple[Gate, str]]:
    """A gate before a host, and the target that goes through it."""
    made = Gate(sshd.port)
    with faulty_server(made) as port:
        yield made, f"127.0.0.1:{port}"


def test_worker_frozen_before_the_gate_starts_nothing_when_it_wakes(
    make_console: MakeConsole, started: Path, gate: tuple[Gate, str]
) -> None:
    way, target = gate
    console = make_console()
    job_id = console.launch(target, counting(started, "sleep 1"), connect_timeout=120.0, **KEY)
    until(lambda: way.waiting, 30, "the worker connects")
    with frozen(console, console.workers[0]):
        console.start_workers(1)
        until(lambda: way.waiting == 2, 40, "another worker connects for it")
        assert only_run(console, job_id).attempt == 2
    # Both go through at the same moment; the first has been given up and finds its gate shut.
    way.open()
    assert console.follow(job_id)["state"] == "succeeded"
    run = only_run(console, job_id)
    assert f":{console.workers[1].pid}" in (run.worker or "")
    # The first one still takes work, and by then has long been through.
    again, _ = console.run("127.0.0.[1-4]", "true", **KEY)
    assert (again["state"], marks(started)) == ("succeeded", [str(run.id)])


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.faults)])
def test_worker_frozen_in_the_middle_of_the_command(make_console: MakeConsole, started: Path, seconds: int) -> None:
    console = make_console(worker_dead_seconds=4.0)
    job_id = console.launch("127.0.0.1", counting(started, "sleep 5; echo finished"), **KEY)
    # Frozen between the gate and the command, it would find on waking that its time to send it is over.
    until(lambda: marks(started), 30, "the command has begun")
    with frozen(console, console.workers[0]):
        over = time.monotonic() + seconds
        console.start_workers(1)
        console.until_counts(job_id, 40, l=1)
        while time.monotonic() < over:
            time.sleep(0.1)
    console.until_counts(job_id, 40, o=1)
    run = only_run(console, job_id)
    assert (run.late, run.last_line, marks(started)) == (True, "finished", [str(run.id)])


@pytest.mark.faults
def test_the_network_is_cut_in_the_middle_of_the_command(
    make_console: MakeConsole, started: Path, gate: tuple[Gate, str]
) -> None:
    way, target = gate
    way.open()
    console = make_console()
    job_id = console.launch(target, counting(started, "sleep 600"), **KEY)
    console.until_counts(job_id, r=1)
    until(lambda: marks(started), 20, "the command has begun")
    way.cut()
    began = time.monotonic()
    assert console.follow(job_id, 60)["counts"]["l"] == 1
    assert time.monotonic() - began < 45
    run = only_run(console, job_id)
    assert (run.reason, marks(started)) == ("connection_lost", [str(run.id)])
