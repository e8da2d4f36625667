"""Servers that stall, lie or freeze: each run ends in its named state in time, its slot is free, and nothing grows."""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from opsconsole.jobs import results
from opsconsole.jobs.models import HostRun
from tests.faults.conftest import KEY
from tests.support import faulty_tcp
from tests.support.accounts import accounts
from tests.support.console import Console, Worker, processes_of_runs, until
from tests.support.faulty_tcp import faulty_server
from tests.support.odd_ssh import OddServer, running_odd_ssh
from tests.support.requirements import not_run
from tests.support.sshd import Sshd, running_sshd

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
Behaviour = Callable[[socket.socket, threading.Event], None]
MIB = 1024 * 1024
_log = logging.getLogger(__name__)

# Phase by phase: what the server does before the login, and what the run is then called.
BEFORE_LOGIN: dict[Behaviour, tuple[str, str]] = {
    faulty_tcp.silent: ("banner_timeout", "no SSH greeting"),
    faulty_tcp.drip: ("banner_timeout", "no SSH greeting"),
    faulty_tcp.hang_up: ("protocol", "closed the connection before its SSH greeting"),
    faulty_tcp.reset: ("protocol", "closed the connection before its SSH greeting"),
    faulty_tcp.http: ("protocol", "speaks HTTP"),
    faulty_tcp.endless_line: ("protocol", "does not speak SSH"),
    faulty_tcp.endless_lines: ("protocol", "does not speak SSH"),
    faulty_tcp.hostile_greeting: ("protocol", "does not speak SSH"),
    faulty_tcp.no_key_exchange: ("connect_timeout", "key exchange was not finished"),
    faulty_tcp.hang_up_after_greeting: ("protocol", "during the key exchange"),
    faulty_tcp.huge_packet: ("protocol", "broke the SSH protocol"),
    faulty_tcp.garbage: ("protocol", "broke the SSH protocol"),
}
# The user name asks the odd server for a behaviour; nothing is lost that was not sent.
AFTER_CONNECT = {
    "no-keys": ("unreachable", "auth"),
    "two-factors": ("unreachable", "auth"),
    "drop-at-auth": ("unreachable", "auth"),
    "auth-never-answers": ("unreachable", "auth"),
    "open-refused": ("failed", "exec_refused"),
    "open-never-answers": ("failed", "exec_refused"),
    "exec-refused": ("failed", "exec_refused"),
    "exec-never-answers": ("lost", "connection_lost"),
    "drops-connection": ("lost", "connection_lost"),
    "no-exit-status": ("lost", "connection_lost"),
    "no-guard": ("failed", "exec_refused"),
    "exit-signal": ("failed", "exit_signal"),
    "odd-signal": ("failed", "exit_signal"),
    "run": ("succeeded", None),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddServer]:
    """An SSH server on every loopback address, whose behaviour the user name chooses."""
    with running_odd_ssh(tmp_path_factory.mktemp("odd")) as server:
        yield server


@pytest.fixture
def console(make_console: MakeConsole) -> Console:
    """A console with one worker that has many slots, so that one process meets all of it."""
    return make_console(workers=1, worker_slots=220, keep_connections=0)


def free_again(console: Console) -> None:
    """Waits until no slot is taken, and shows that the worker still does its work."""
    body, _ = console.run("127.0.0.250", "echo alive", **KEY)
    assert body["counts"]["o"] == 1


def told(runs: list[HostRun]) -> dict[str, tuple[str, str | None]]:
    return {run.user: (run.state, run.reason) for run in runs}


def test_every_fault_before_the_login_has_its_reason_in_time(console: Console) -> None:
    with ExitStack() as stack:
        ports = {stack.enter_context(faulty_server(behave)): behave for behave in BEFORE_LOGIN}
        began = time.monotonic()
        body, runs = console.run(",".join(f"127.0.0.1:{port}" for port in ports), "true", connect_timeout=3, **KEY)
        took = time.monotonic() - began
    assert body["counts"]["u"] == len(BEFORE_LOGIN)
    for run in runs:
        reason, words = BEFORE_LOGIN[ports[run.port]]
        assert (run.reason, words in (run.detail or "")) == (reason, True), (ports[run.port].__name__, run.detail)
        assert run.started_at is None
        assert (run.detail or "").isprintable()
    assert took < 30
    free_again(console)


def test_every_fault_after_the_connect_has_its_state_in_time(console: Console, odd: OddServer) -> None:
    targets = ",".join(f"{user}@127.0.1.{n}:{odd.port}" for n, user in enumerate(AFTER_CONNECT, start=1))
    began = time.monotonic()
    _, runs = console.run(targets, "true", connect_timeout=3, command_timeout=20, **KEY)
    assert told(runs) == AFTER_CONNECT
    assert time.monotonic() - began < 30
    # One delivery, one login: what was refused is not stormed.
    assert {run.attempt for run in runs} == {1}
    assert odd.seen.count("no-keys") == 1
    free_again(console)


def test_a_changed_host_key_gets_no_credential(make_console: MakeConsole) -> None:
    with running_sshd() as server:
        console = make_console(ssh_port=server.port, key_files={"test": server.client_key})
        assert console.run("127.0.0.7", "true", **KEY)[0]["counts"]["o"] == 1
        server.change_host_keys()
        server.log.write_text("")
        for _ in range(2):
            _, (run,) = console.run("127.0.0.7", "true", **KEY)
            assert (run.state, run.reason) == ("unreachable", "host_key_changed")
        said = server.log_text()
        assert "Connection from 127.0.0.1" in said
        assert "publickey" not in said


def frozen(server: Sshd) -> list[psutil.Process]:
    """Stops the server's sessions, not their commands, and returns them."""
    found = []
    for process in server.sessions():
        # The guards' own short sleeps come and go meanwhile.
        with suppress(psutil.NoSuchProcess):
            if "sshd" in process.name():
                process.suspend()
                found.append(process)
    return found


def test_a_session_that_freezes_is_noticed_and_what_ran_there_is_found(make_console: MakeConsole) -> None:
    with running_sshd() as server:
        console = make_console(ssh_port=server.port, key_files={"test": server.client_key}, kill_grace=1.0)
        silent = console.launch("127.0.0.1", "sleep 600", command_timeout=0, **KEY)
        cancelled = console.launch("127.0.0.2", "sleep 600 & sleep 600", command_timeout=0, **KEY)
        for job_id in (silent, cancelled):
            console.until_counts(job_id, r=1)
        runs = console.runs(cancelled)
        until(lambda: len(processes_of_runs(runs)) >= 2, 30, "the command is seen")
        stopped = frozen(server)
        began = time.monotonic()
        console.cancel(cancelled)
        console.follow(cancelled, 60)
        (run,) = console.runs(cancelled)
        assert (run.reason, processes_of_runs([run])) == ("killed", []), run.detail
        assert "over a new connection" in (run.detail or "")
        console.follow(silent, 60)
        took = time.monotonic() - began
        for process in stopped:
            process.resume()
        (run,) = console.runs(silent)
        assert (run.state, run.reason) == ("lost", "connection_lost")
        assert 20 < took < 40


def test_a_command_that_drips_is_timed_out_and_gone(console: Console) -> None:
    _, runs = console.run("127.0.0.[1-3]", "while :; do printf x; sleep 0.5; done", command_timeout=3, **KEY)
    assert [(run.state, run.reason) for run in runs] == [("timed_out", "command_timeout")] * 3
    assert all(4 <= run.stdout_bytes <= 10 for run in runs)
    assert processes_of_runs(runs) == []


@pytest.mark.parametrize("mib", [60, pytest.param(1024, marks=[pytest.mark.faults, pytest.mark.timeout(1800)])])
def test_floods_cost_no_memory_and_hold_up_nobody(console: Console, mib: int) -> None:
    (worker,) = console.workers
    floods = [
        f"head -c {mib}M /dev/zero | tr '\\0' 'x' | fold -w 100",
        f"head -c {mib}M /dev/zero | tr '\\0' 'x' | fold -w 100 >&2",
        f"head -c {max(mib // 10, 20)}M /dev/zero",
        f"head -c {mib}M /dev/zero >&2 & head -c {mib}M /dev/zero; wait",
    ]
    console.run("127.0.0.9", "head -c 8M /dev/zero", **KEY)
    before = most = worker.rss
    jobs = [console.launch(f"127.0.0.{n}", flood, command_timeout=0, **KEY) for n, flood in enumerate(floods, start=1)]
    quick: list[float] = []
    while not all(console.status(job_id)["finished_at"] for job_id in jobs):
        began = time.monotonic()
        assert console.run("127.0.0.100", "echo quick", **KEY)[0]["counts"]["o"] == 1
        quick.append(time.monotonic() - began)
        most = max(most, worker.rss)
    _log.info(f"{mib} MiB: RSS grew {(most - before) / MIB:.1f} MiB, quick runs {max(quick):.1f} s at most")
    runs = [console.runs(job_id)[0] for job_id in jobs]
    assert [run.state for run in runs] == ["succeeded"] * 4, [run.detail for run in runs]
    assert runs[2].stdout_bytes == max(mib // 10, 20) * MIB
    assert (runs[3].stdout_bytes, runs[3].stderr_bytes) == (mib * MIB, mib * MIB)
    assert all(run.gap_bytes > 0 for run in runs)
    assert most - before < 50 * MIB


def test_bytes_are_stored_as_they_were_and_ends_are_told_apart(console: Console) -> None:
    cases = {
        r"printf '\377\376\000\033[31m</script>\342\200\256\303'": ("succeeded", None, 0),
        "kill -SEGV $$": ("failed", {"exit_status", "exit_signal"}, {139, None}),
        "sh -c 'kill -KILL $$'": ("failed", {"exit_status"}, {137}),
        "exit 255": ("failed", {"exit_status"}, {255}),
        'cat; read x; echo "$? $x"': ("succeeded", None, 0),
        "sudo -n true || exit 3": ("failed", {"exit_status"}, {3}),
    }
    jobs = {console.launch("127.0.0.1", command, command_timeout=20, **KEY): command for command in cases}
    for job_id, command in jobs.items():
        console.follow(job_id)
        (run,) = console.runs(job_id)
        state, reasons, statuses = cases[command]
        if command.startswith("sudo") and run.state == "succeeded":
            continue
        assert run.state == state, (command, run.state, run.detail)
        assert reasons is None or run.reason in reasons
        assert statuses == 0 or run.exit_status in statuses
    with console.database.read() as session:
        run = session.get_one(HostRun, console.runs(min(jobs))[0].id)
        assert b"".join(results.raw(session, run)) == b"\xff\xfe\x00\x1b[31m</script>\xe2\x80\xae\xc3"


def footprint(worker: Worker) -> tuple[int, int, int]:
    return worker.threads, worker.descriptors, worker.rss


def settled(worker: Worker) -> tuple[int, int, int]:
    """Returns threads, descriptors and memory once connections that were given up are closed."""
    seen = [footprint(worker)]

    def steady() -> bool:
        seen.append(footprint(worker))
        return len(seen) > 10 and len({entry[:2] for entry in seen[-10:]}) == 1

    until(steady, 60, "the worker is at rest")
    return seen[-1]


def flat(console: Console, once: Callable[[], None], rounds: int, *, warm_up: int = 2) -> None:
    """Does the same again and again, and compares what the worker holds after each time with the time before."""
    (worker,) = console.workers
    # Pools, caches and the allocator take some rounds to find their size.
    for _ in range(warm_up):
        once()
    before = settled(worker)
    for _ in range(rounds):
        once()
    after = settled(worker)
    grown = [late - early for early, late in zip(before, after, strict=True)]
    words = f"threads {before[0]} -> {after[0]}, descriptors {before[1]} -> {after[1]}, "
    _log.info(f"{words}RSS {before[2] / MIB:.1f} -> {after[2] / MIB:.1f} MiB after {rounds} more rounds")
    assert grown[0] <= 2, words
    assert grown[1] <= 4, words
    assert grown[2] < 8 * MIB, (before, after)
    free_again(console)


MANY = [pytest.param(30, 1), pytest.param(200, 3, marks=[pytest.mark.faults, pytest.mark.timeout(1200)])]


@pytest.mark.parametrize(("hosts", "rounds"), MANY)
@pytest.mark.parametrize("fault", ["login", "silent", "half-open", "drip"])
def test_many_bad_hosts_leave_nothing_in_the_worker(
    console: Console, odd: OddServer, fault: str, hosts: int, rounds: int
) -> None:
    order = {"concurrency": 200, "connect_timeout": 3, "confirm": str(hosts), "reason": "faults", **KEY}
    behave = {"silent": faulty_tcp.silent, "half-open": faulty_tcp.no_key_exchange, "drip": faulty_tcp.drip}.get(fault)
    with ExitStack() as stack:
        port = stack.enter_context(faulty_server(behave, "0.0.0.0")) if behave else odd.port
        user = "no-keys@" if fault == "login" else ""
        target = f"{user}127.0.2.[1-{hosts}]:{port}"

        def once() -> None:
            body, _ = console.run(target, "true", **order)
            assert body["counts"]["u"] == hosts

        flat(console, once, rounds, warm_up=2 * rounds)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_two_hundred_sessions_that_freeze_leave_nothing(make_console: MakeConsole) -> None:
    with running_sshd() as server:
        console = make_console(
            ssh_port=server.port,
            key_files={"test": server.client_key},
            worker_slots=220,
            keep_connections=0,
            worker_dead_seconds=120.0,
        )
        order = {
            "concurrency": 200,
            "confirm": "200",
            "reason": "faults",
            "command_timeout": 0,
            "connect_timeout": 90,
            **KEY,
        }

        def once() -> None:
            job_id = console.launch("127.0.3.[1-200]", "sleep 600", **order)
            console.until_counts(job_id, 120, r=200)
            stopped = frozen(server)
            body = console.follow(job_id, 120)
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
            assert body["counts"]["l"] == 200
            until(lambda: not processes_of_runs(console.runs(job_id)), 120, "the guards end what they hold")

        flat(console, once, 1)


def test_an_account_whose_password_has_expired_runs_nothing(make_console: MakeConsole) -> None:
    if os.geteuid() != 0:
        not_run("root, to make accounts", "run the tests as root")
    # Who logs in with a key is only asked by PAM how old the password is.
    with accounts(("dash",)) as logins, running_sshd(options={"UsePAM": "yes"}) as server:
        plain = next(login for login in logins if "-user-" in login)
        subprocess.run(["chage", "--lastday", "0", plain], check=True, capture_output=True)
        console = make_console(ssh_port=server.port, key_files={"test": server.client_key})
        _, (run,) = console.run(f"{plain}@127.0.0.1", "echo ran", connect_timeout=5, command_timeout=20, **KEY)
        assert run.state in {"failed", "unreachable"}, (run.state, run.detail)
        assert run.reason in {"exec_refused", "auth"}
        assert run.last_line != "ran"
