"""Running a command on a real OpenSSH server: streams, exits, orders, and that nothing is left behind."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from opsconsole.executors.local import LocalConnector
from opsconsole.inventory.executor import Executor
from opsconsole.jobs.ports import Auth, Dropped, Exited, NotStarted, Output, Session, Stream, Target
from opsconsole.ssh import ParamikoConnector, pulse
from opsconsole.ssh.wire import Packets
from tests.support.odd_ssh import OddServer
from tests.support.runs import Result, collect, command, connect, run, until_started
from tests.support.sshd import Sshd, running_sshd

MIB = 1024 * 1024
Runner = Callable[..., Result]
Reach = Callable[[], Session]


@pytest.fixture(params=["ssh", "local"])
def reach(request: pytest.FixtureRequest, connector: ParamikoConnector) -> Reach:
    """Gives sessions on the shared server, and on this machine without one: what a command is promised is the same."""
    if request.param == "local":
        local = LocalConnector(allowed=True)
        return lambda: connect(local, Target("here", "here", 22, "me", executor=Executor.LOCAL), Auth(identity="local"))
    sshd: Sshd = request.getfixturevalue("sshd")
    return lambda: connect(connector, sshd.target(), sshd.auth())


@pytest.fixture
def run_here(reach: Reach) -> Runner:
    """Runs a script."""

    def run_it(script: bytes | str, *, keep: bool = False, **limits: Any) -> Result:
        session = reach()
        try:
            return collect(session.start(command(script, **limits)).events(0.5))
        finally:
            session.close(keep=keep)

    return run_it


class TestStreamsAndExits:
    def test_both_streams_and_the_status(self, run_here: Runner) -> None:
        result = run_here("echo one; echo two >&2; exit 7")
        assert (result.stdout, result.stderr, result.end) == (b"one\n", b"two\n", Exited(7))
        assert result.pid is not None

    @pytest.mark.parametrize("status", [0, 1, 125, 126, 127, 255])
    def test_exit_statuses_are_exact(self, run_here: Runner, status: int) -> None:
        assert run_here(f"exit {status}").end == Exited(status)

    def test_a_command_killed_by_a_signal(self, run_here: Runner) -> None:
        end = run_here("kill -SEGV $$; sleep 5").end
        assert isinstance(end, Exited)
        assert (end.status, end.signal) in {(139, None), (None, "SEGV")}

    def test_the_order_of_arrival_is_kept(self, run_here: Runner) -> None:
        result = run_here("for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done")
        assert result.order == [Stream.STDOUT, Stream.STDERR] * 3

    def test_bytes_stay_bytes(self, run_here: Runner) -> None:
        wanted = bytes(range(256)) + b"\xff\xfe" + "ä€😀".encode()
        octal = "".join(f"\\{byte:03o}" for byte in wanted)
        assert run_here(f"printf '{octal}'").stdout == wanted

    def test_no_output_and_no_final_newline(self, run_here: Runner) -> None:
        assert run_here("true").stdout == b""
        assert run_here("printf x").stdout == b"x"

    def test_five_megabytes_on_both_streams(self, run_here: Runner) -> None:
        size = 5 * MIB
        result = run_here(f"head -c {size} /dev/zero; head -c {size} /dev/zero >&2")
        assert (len(result.stdout), len(result.stderr), result.end) == (size, size, Exited(0))
        result = run_here(f"head -c {size} /dev/zero >&2 & head -c {size} /dev/zero; wait")
        assert (len(result.stdout), len(result.stderr), result.end) == (size, size, Exited(0))

    def test_much_output_costs_little_memory(self, reach: Reach) -> None:
        session = reach()
        size = 200 * MIB
        before = psutil.Process().memory_info().rss
        total, most = 0, 0
        for event in session.start(command(f"head -c {size} /dev/zero")).events(0.5):
            if isinstance(event, Output):
                total += len(event.data)
                if total % (10 * MIB) < 65536:
                    most = max(most, psutil.Process().memory_info().rss)
        session.close(keep=False)
        assert total == size
        assert most - before < 20 * MIB

    def test_a_reader_that_stops_does_not_grow_memory(self, reach: Reach) -> None:
        session = reach()
        events = session.start(command("head -c 50000000 /dev/zero; echo done >&2")).events(0.5)
        until_started(events)
        before = psutil.Process().memory_info().rss
        time.sleep(0.5)
        assert psutil.Process().memory_info().rss - before < 5 * MIB
        assert collect(events).stderr == b"done\n"
        session.close(keep=False)

    def test_a_large_script_runs(self, run_here: Runner) -> None:
        script = "".join(f": {number:04d} {'x' * 90}\n" for number in range(2500)) + "echo end $#\n"
        assert len(script) > 240_000
        assert run_here(script).stdout == b"end 0\n"

    def test_the_script_is_not_in_the_process_list(self, run_here: Runner) -> None:
        result = run_here("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; : hidden-word-in-the-script")
        assert b"opsc" in result.stdout
        assert b"hidden-word-in-the-script" not in result.stdout

    def test_the_mark_is_in_the_environment(self, run_here: Runner) -> None:
        assert run_here("echo $OPSC_RUN", mark="job-7").stdout.startswith(b"job-7.")

    @pytest.mark.parametrize("reader", ["cat", "read line", "sudo -n true 2>/dev/null || cat"])
    def test_what_reads_stdin_meets_its_end(self, run_here: Runner, reader: str) -> None:
        began = time.monotonic()
        result = run_here(f"{reader}; echo after")
        assert result.stdout == b"after\n"
        assert time.monotonic() - began < 5

    def test_a_background_child_is_told_of(self, run_here: Runner) -> None:
        began = time.monotonic()
        result = run_here("sleep 30 & echo ok")
        assert (result.stdout, result.end) == (b"ok\n", Exited(0, left_children=True))
        assert 1.5 < time.monotonic() - began < 6

    def test_a_background_child_that_writes_for_ever(self, run_here: Runner) -> None:
        began = time.monotonic()
        result = run_here("yes & echo $! >&2")
        assert result.end == Exited(0, left_children=True)
        assert time.monotonic() - began < 8
        # A closed pipe may have ended it already.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(result.stderr), signal.SIGKILL)

    def test_waiting_uses_no_processor(self, reach: Reach) -> None:
        session = reach()
        before = time.process_time()
        collect(session.start(command("sleep 30 & sleep 1")).events(1.0))
        assert time.process_time() - before < 0.3
        session.close(keep=False)

    def test_output_that_looks_like_the_guards_line_passes(self, run_here: Runner) -> None:
        result = run_here("printf '\\036opsc %s 1\\n' \"$OPSC_RUN\"; printf '\\036opsc'")
        assert result.stdout.startswith(b"\x1eopsc 1-1.")
        assert result.stdout.endswith(b" 1\n\x1eopsc")

    def test_idle_is_told_in_time(self, reach: Reach) -> None:
        session = reach()
        began = time.monotonic()
        kinds = [type(event).__name__ for event in session.start(command("sleep 1")).events(0.2)]
        session.close(keep=False)
        assert 3 <= kinds.count("Idle") <= 6
        assert time.monotonic() - began < 4


class TestOrders:
    @pytest.mark.parametrize(
        ("script", "order", "end"),
        [
            ("sleep 300", "TERM", Exited(143)),
            ("sleep 300; echo no", "TERM", Exited(143)),
            ("trap 'exit 3' TERM; echo set; while :; do sleep 0.1; done", "TERM", Exited(3)),
            ("trap '' TERM; echo set; sleep 300", "KILL", Exited(None, "KILL")),
            ("trap '' TERM HUP INT; echo set; while :; do sleep 1; done", "KILL", Exited(None, "KILL")),
            ("sleep 300 | cat", "HUP", Exited(129)),
        ],
    )
    def test_an_order_ends_the_command(self, reach: Reach, script: str, order: str, end: Exited) -> None:
        session = reach()
        running = session.start(command(script, grace=1))
        events = running.events(0.2)
        group = until_started(events)
        if "trap" in script:
            # The command runs before the first line of its script does.
            next(event for event in events if isinstance(event, Output))
        began = time.monotonic()
        running.signal(order)
        result = collect(events)
        assert result.end == end
        assert time.monotonic() - began < 3
        assert _gone(group)
        running.signal("KILL")
        session.close(keep=False)

    @pytest.mark.parametrize(
        "script",
        [
            "setsid sleep 301 >/dev/null 2>&1 & sleep 300",
            "setsid sh -c 'sleep 302; :' & sleep 300",
            "setsid sh -c 'trap \"\" TERM HUP; sleep 303; :' >/dev/null 2>&1 & sleep 300",
            "(trap '' TERM; sleep 304) & sleep 300",
        ],
        ids=["quiet child", "child with our output", "child that ignores TERM", "child in the group ignores TERM"],
    )
    def test_what_escaped_the_group_is_swept(self, reach: Reach, script: str) -> None:
        session = reach()
        running = session.start(command(f"{script}", mark="escape", grace=1))
        events = running.events(0.2)
        until_started(events)
        assert _await(lambda: len(_marked("escape")) >= 3)
        running.signal("TERM")
        result = collect(events)
        assert result.end == Exited(143)
        assert _await(lambda: not _marked("escape"), 2)
        session.close(keep=False)

    def test_an_unknown_order_is_a_fault_of_the_caller(self, reach: Reach) -> None:
        session = reach()
        running = session.start(command("true"))
        with pytest.raises(ValueError, match="no such order"):
            running.signal("STOP")
        session.close(keep=False)

    def test_the_hosts_own_limit_ends_it(self, run_here: Runner) -> None:
        began = time.monotonic()
        result = run_here("sleep 300", limit=1, grace=1)
        assert result.end == Exited(143)
        assert time.monotonic() - began < 5

    def test_the_lease_ends_it_when_we_are_gone(self, reach: Reach) -> None:
        session = reach()
        events = session.start(command("trap '' TERM; while :; do sleep 1; done", mark="leased", grace=1)).events(0.5)
        group = until_started(events)
        assert not _gone(group, 0)
        session.close(keep=False)
        assert _gone(group, 4)
        assert _await(lambda: not _marked("leased"), 7)

    def test_nothing_is_left_after_many_quick_runs(self, run_here: Runner) -> None:
        for _ in range(15):
            assert run_here("echo ok", mark="quick", keep=True).end == Exited(0)
        assert _await(lambda: not _marked("quick"), 7)


class TestBrokenEnds:
    def test_the_connection_ends_midway(self, connector: ParamikoConnector, odd: OddServer) -> None:
        result = run(connector, odd.target("drops-connection"), odd.key_auth(), "x")
        assert result.stdout == b"half"
        assert isinstance(result.end, Dropped)

    def test_the_session_is_killed_on_the_host(self, connector: ParamikoConnector) -> None:
        with running_sshd() as server:
            session = connect(connector, server.target(), server.auth())
            events = session.start(command("sleep 300")).events(0.5)
            until_started(events)
            for found in server.servers():
                # The first that is killed can take the next one with it.
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.kill()
            result = collect(events)
            assert isinstance(result.end, Dropped)
            session.close(keep=True)

    def test_a_session_closed_without_a_status(self, connector: ParamikoConnector, odd: OddServer) -> None:
        result = run(connector, odd.target("no-exit-status"), odd.key_auth(), "x")
        assert (result.stdout, result.end) == (
            b"ok\n",
            Dropped("The server closed the session without an exit status."),
        )

    def test_an_exit_signal_is_read(self, connector: ParamikoConnector, odd: OddServer) -> None:
        assert run(connector, odd.target("exit-signal"), odd.key_auth(), "x").end == Exited(None, "SEGV")
        assert run(connector, odd.target("odd-signal"), odd.key_auth(), "x").end == Exited(None, "UNKNOWN")

    def test_exec_refused_is_not_started(self, connector: ParamikoConnector, odd: OddServer) -> None:
        assert isinstance(run(connector, odd.target("exec-refused"), odd.key_auth(), "x").end, NotStarted)

    def test_open_refused_is_not_started(self, connector: ParamikoConnector, odd: OddServer) -> None:
        end = run(connector, odd.target("open-refused"), odd.key_auth(), "x").end
        assert isinstance(end, NotStarted)
        assert "refused to open a session" in end.detail

    @pytest.mark.parametrize(("user", "kind"), [("open-never-answers", NotStarted), ("exec-never-answers", Dropped)])
    def test_a_request_never_answered(
        self, connector: ParamikoConnector, odd: OddServer, user: str, kind: type
    ) -> None:
        session = connect(connector, odd.target(user), odd.key_auth(), seconds=1.0)
        began = time.monotonic()
        result = collect(session.start(command("x")).events(0.2))
        session.close(keep=True)
        assert isinstance(result.end, kind)
        assert 0.8 < time.monotonic() - began < 3

    def test_a_dead_peer_is_found(self, connector: ParamikoConnector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pulse, "_PROBE_AFTER_SECONDS", 0.5)
        monkeypatch.setattr(pulse, "_PROBE_LIMIT_SECONDS", 0.5)
        with running_sshd() as server:
            session = connect(connector, server.target(), server.auth())
            events = session.start(command("sleep 300")).events(0.1)
            until_started(events)
            # A living but silent command is not taken for a dead host.
            quiet_until = time.monotonic() + 2.5
            for event in events:
                assert not isinstance(event, Dropped)
                if time.monotonic() > quiet_until:
                    break
            stopped = server.servers()
            for found in stopped:
                found.suspend()
            began = time.monotonic()
            result = collect(events)
            for found in stopped:
                found.resume()
            assert isinstance(result.end, Dropped)
            assert time.monotonic() - began < 3
            session.close(keep=True)

    @pytest.mark.parametrize("side", ["server", "client"])
    def test_keys_are_renewed_midway(
        self, connector: ParamikoConnector, monkeypatch: pytest.MonkeyPatch, side: str
    ) -> None:
        if side == "client":
            monkeypatch.setattr(Packets, "REKEY_BYTES", 5 * MIB)
        with running_sshd(options={"RekeyLimit": "3M"} if side == "server" else {}) as server:
            result = run(
                connector, server.target(), server.auth(), "head -c 30000000 /dev/zero; echo end >&2", keep=True
            )
            assert (len(result.stdout), result.stderr, result.end) == (30_000_000, b"end\n", Exited(0))
            assert run(connector, server.target(), server.auth(), "echo again").stdout == b"again\n"

    @pytest.mark.parametrize("status", [0, 3])
    def test_a_forced_command_is_not_taken_for_ours(self, connector: ParamikoConnector, status: int) -> None:
        with running_sshd(options={"ForceCommand": f"echo not yours; exit {status}"}) as server:
            result = run(connector, server.target(), server.auth(), "echo ours")
            assert result.stdout == b"not yours\n"
            assert isinstance(result.end, NotStarted)
            assert f"exit status {status}" in result.end.detail

    def test_a_shell_that_greets_on_stdout(self, connector: ParamikoConnector, tmp_path: Path) -> None:
        with running_sshd() as server:
            (server.folder / ".bashrc").write_text("echo welcome\n")
            (server.folder / ".profile").write_text("echo welcome\n")
            result = run(connector, server.target(), server.auth(), "echo ok; exit 4")
            assert result.stdout in {b"welcome\nok\n", b"ok\n"}
            assert result.end == Exited(4)


def _marked(mark: str) -> list[int]:
    """Returns the processes on this machine whose environment has the mark."""
    return list(_find_marked(f"OPSC_RUN={mark}.".encode()))


def _find_marked(wanted: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes():
                yield int(folder.name)
        except OSError:
            continue


def _gone(group: int, seconds: float = 3.0) -> bool:
    """Returns whether nothing of a process group lives any more; a slow init may not have reaped it yet."""
    return _await(lambda: not any(_lives_in(group, found) for found in psutil.process_iter()), seconds)


def _lives_in(group: int, candidate: psutil.Process) -> bool:
    try:
        return os.getpgid(candidate.pid) == group and candidate.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def _await(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(0.02)
    return True
