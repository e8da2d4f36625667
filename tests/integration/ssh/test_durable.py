"""Durable mode without SSH: every way a kept command can be started, left, found again and ended, in every shell.

The process that plays the connection leads its session and group, as a shell started by sshd does. The file is
longer than 400 lines because the host that all these tests share is part of them and of no others.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from opsconsole.jobs.ports import Exited, NotStarted, Output, RemoteCommand, Skipped, Spool, Started, Stream, Vanished
from opsconsole.ssh import durable, lease
from tests.support.console import until
from tests.support.requirements import not_run

_SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "ash"]}
_NOBODY = 65534
_KEPT = Spool(head=1 << 20, tail=1 << 20)


@dataclass
class Host:
    """A home folder and a user of a host, and the shell that is its /bin/sh."""

    home: Path
    shell: list[str]
    user: int
    marks: list[str] = field(default_factory=list)

    def command(self, script: str | bytes, *, grace: int = 1, limit: int = 60) -> RemoteCommand:
        """Returns a command with a mark of its own."""
        self.marks.append(f"1-1.{secrets.token_hex(4)}")
        text = script.encode() if isinstance(script, str) else script
        return RemoteCommand(self.marks[-1], text, limit, grace, _KEPT)

    def folder(self, command: RemoteCommand) -> Path:
        """Returns where the host keeps the command."""
        return self.home / ".cache" / "opsconsole" / command.mark

    def start(self, command: RemoteCommand, *, script: bytes | None = None) -> "Connection":
        """Returns a connection that starts the command; ``script`` is what it sends instead of all of it."""
        asked = durable.request(command, command.spool or _KEPT)
        return Connection(self, asked.line, asked.stdin if script is None else script, command, attach=False)

    def attach(self, command: RemoteCommand, *, out: int = 0, err: int = 0) -> "Connection":
        """Returns a connection that follows the command behind so many bytes."""
        asked = durable.request(command, replace(command.spool or _KEPT, attach=True, stdout=out, stderr=err))
        return Connection(self, asked.line, asked.stdin, command, attach=True)

    def spawn(self, line: str) -> "subprocess.Popen[bytes]":
        """Returns the process of an exec request."""
        words = shlex.split(line)
        assert words[:3] == ["exec", "/bin/sh", "-c"]
        plain = {"user": self.user, "group": self.user, "extra_groups": []} if self.user != os.geteuid() else {}
        return subprocess.Popen(
            [*self.shell, *words[2:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
            **plain,  # type: ignore[call-overload]
        )

    def carriers(self, command: RemoteCommand) -> list[psutil.Process]:
        """Returns the processes of the command and its keeper."""
        words = {f"{name}={command.mark}".encode() for name in ("OPSC_RUN", "OPSC_KEEPER")}
        found = []
        for process in psutil.process_iter():
            try:
                environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if words & set(environment) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (OSError, psutil.NoSuchProcess):
                continue
        return found

    def none_left(self, command: RemoteCommand, seconds: float = 15.0) -> bool:
        """Returns true once no process of the command is left; fails when there still is one."""
        return until(lambda: not self.carriers(command), seconds, "no process of the command is left")


class Connection:
    """One connection that follows a command; leaving the block ends it."""

    def __init__(self, host: Host, line: str, stdin: bytes, command: RemoteCommand, *, attach: bool) -> None:
        self.process = host.spawn(line)
        self._filter = lease.StartedFilter(command.mark)
        self.frames = durable.Frames(attach=attach)
        self.opened = False
        self.started: Started | None = None
        self.out = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self.skipped = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self.say(stdin)

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> bool:
        """Takes in what has come; returns false at the end."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 65536)
        if not self.opened:
            _, header, data_after = self._filter.feed(data)
            self.opened = header is not None
            said = data_after
        else:
            said = data
        for event in self.frames.feed(said):
            match event:
                case Output(stream, piece):
                    self.out[stream] += piece
                case Skipped(stream, size):
                    self.skipped[stream] += size
                case Started():
                    self.started = event
        return bool(data)

    def until(self, text: bytes, stream: Stream = Stream.STDOUT) -> None:
        """Reads until the stream holds ``text``."""
        while text not in self.out[stream]:
            assert self.read(), (self.out, self.frames.end)

    def begun(self) -> int:
        """Reads until the command runs; returns its process group."""
        while self.started is None:
            assert self.read(), self.frames.end
        return self.started.pid

    def end(self) -> Exited | Vanished | NotStarted | None:
        """Reads to the end; returns what the host said of the command."""
        while self.read():
            pass
        assert self.process.wait(10) == 0
        assert self.process.stderr is not None
        assert self.process.stderr.read() == b""
        return self.frames.end

    def hang_up(self) -> None:
        """Ends the connection as a lost one ends: the stream of orders closes."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture(params=[name for name, words in _SHELLS.items() if shutil.which(words[0])])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A shell of this machine that may be /bin/sh."""
    return _SHELLS[request.param]


@pytest.fixture(params=["own user", "plain user"])
def host(request: pytest.FixtureRequest, shell: list[str]) -> Iterator[Host]:
    """A host with nothing on it; whatever a test left there is ended."""
    if request.param == "plain user" and os.geteuid() != 0:
        pytest.skip("the tests' own user is a plain one")
    if request.param == "plain user" and shell == _SHELLS["busybox"]:
        pytest.skip("what the user changes, two shells show")
    home = Path(tempfile.mkdtemp(prefix="opsconsole-durable-"))
    user = os.geteuid() if request.param == "own user" else _NOBODY
    os.chown(home, user, user)
    made = Host(home, shell, user)
    try:
        yield made
    finally:
        for mark in made.marks:
            for process in made.carriers(RemoteCommand(mark, b"", 1, 1)):
                process.kill()
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize(
    ("script", "status", "out", "err"),
    [
        ("echo hi; echo trouble >&2; exit 7", 7, b"hi\n", b"trouble\n"),
        ('printf \'%s|\' "$#" "$0" "$s"; umask', 0, b"0|opsc||0022\n", b""),
        ("true\nprintf '%s|' \\a 'b\\c'\t\\\\ ", 0, b"a|b\\c|\\|", b""),
        ("cat; head -c 300000 /dev/zero | tr '\\0' x", 0, b"x" * 300000, b""),
        ("printf 'a\\0b'; kill -s KILL $$", 137, b"a\0b", b""),
        ("", 0, b"", b""),
    ],
)
def test_a_command_ends_as_it_is_and_may_be_asked_again(
    host: Host, script: str, status: int, out: bytes, err: bytes
) -> None:
    command = host.command(script)
    with host.start(command) as first:
        assert first.end() == Exited(status)
        assert first.out == {Stream.STDOUT: out, Stream.STDERR: err}
    with host.attach(command) as second:
        assert second.end() == Exited(status)
        assert second.out == first.out
        assert second.started is not None
        assert second.started.age is not None
    with host.attach(command, out=len(out), err=len(err)) as third:
        assert third.end() == Exited(status)
        assert third.out == {Stream.STDOUT: b"", Stream.STDERR: b""}
    assert host.none_left(command)
    assert (host.folder(command).stat().st_mode & 0o777, host.folder(command).stat().st_uid) == (0o700, host.user)
    assert not (host.folder(command) / "script").exists()
    host.spawn(durable.clean_line(command.mark)).communicate(timeout=10)
    assert not host.folder(command).exists()


def test_a_lost_connection_costs_no_byte(host: Host) -> None:
    lines = 300
    command = host.command(f"i=0; while [ $i -lt {lines} ]; do echo $i; i=$((i+1)); sleep 0.005; done")
    told = b""
    with host.start(command) as connection:
        connection.until(b"9\n")
        told += connection.out[Stream.STDOUT]
        connection.hang_up()
    for _ in range(50):
        with host.attach(command, out=len(told)) as connection:
            if connection.read() and connection.begun() and connection.read():
                told += connection.out[Stream.STDOUT]
            ended = connection.frames.end
        if ended is not None:
            break
    with host.attach(command, out=len(told)) as connection:
        assert connection.end() == Exited(0)
        told += connection.out[Stream.STDOUT]
    assert told == b"".join(b"%d\n" % i for i in range(lines))


def test_of_twelve_starts_one_runs(host: Host) -> None:
    command = host.command("echo started >> starts; sleep 1; echo done; exit 5")
    connections = [host.start(command) for _ in range(12)]
    try:
        assert [connection.end() for connection in connections] == [Exited(5)] * 12
        assert {connection.out[Stream.STDOUT] for connection in connections} == {b"done\n"}
    finally:
        for connection in connections:
            connection.__exit__()
    assert (host.home / "starts").read_text() == "started\n"


def test_who_finds_nothing_closes_the_door(host: Host) -> None:
    command = host.command("echo x >> starts")
    with host.attach(command) as early:
        assert isinstance(early.end(), Vanished)
    with host.start(command) as late:
        assert isinstance(late.end(), NotStarted)
    with host.attach(command) as again:
        assert isinstance(again.end(), Vanished)
    assert not (host.home / "starts").exists()


@pytest.mark.parametrize("script", ["echo x >> starts", "true\necho x >> starts"])
def test_half_a_script_does_not_run(host: Host, script: str) -> None:
    command = host.command(script)
    sent = durable.request(command, _KEPT).stdin
    with host.start(command, script=sent[:-4]) as cut:
        cut.hang_up()
        assert cut.process.returncode == 125
    assert not host.folder(command).exists()
    assert not (host.home / "starts").exists()


@pytest.mark.parametrize(
    ("script", "order", "status"),
    [
        ("sleep 300", b"TERM\n", 143),
        ("sleep 300 & sleep 300", b"TERM\n", 143),
        ("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done", b"TERM\n", 3),
        ("trap '' TERM; echo ready; sleep 300", b"KILL\n", 137),
    ],
)
def test_orders_come_over_any_connection(host: Host, script: str, order: bytes, status: int) -> None:
    command = host.command(script)
    with host.start(command) as first:
        first.begun()
        if "ready" in script:
            first.until(b"ready\n")
        first.hang_up()
    with host.attach(command) as second:
        second.begun()
        second.say(order)
        assert second.end() == Exited(status)
    assert host.none_left(command)


def test_an_order_meets_no_number_that_was_used_again(host: Host) -> None:
    command = host.command("sleep 300")
    with host.start(command) as first, subprocess.Popen(["sleep", "300"], start_new_session=True) as bystander:
        first.begun()
        record = host.folder(command) / "pid"
        words = record.read_text().split()
        record.write_text(" ".join([str(bystander.pid), *words[1:]]) + "\n")
        with host.attach(command) as second:
            assert second.begun() == bystander.pid
            second.say(b"KILL\n")
            second.say(b"KILL\n")
            with pytest.raises(subprocess.TimeoutExpired):
                bystander.wait(1)
        bystander.kill()
        first.say(b"KILL\n")
        assert first.end() == Exited(137)


def test_the_hosts_own_limit_ends_it_and_what_escaped(host: Host) -> None:
    command = host.command("trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300' & echo on; sleep 300", limit=1)
    with host.start(command) as first:
        first.begun()
        first.hang_up()
    assert host.none_left(command, 30)
    with host.attach(command) as second:
        ended = second.end()
        assert isinstance(ended, Exited)
        assert (ended.status, ended.by_limit) == (137, True)
        assert second.out[Stream.STDOUT] == b"on\n"


def test_children_left_behind_are_told(host: Host) -> None:
    command = host.command("sleep 300 & echo started")
    with host.start(command) as connection:
        assert connection.end() == Exited(0, left_children=True)
        assert connection.out[Stream.STDOUT] == b"started\n"


def test_head_and_tail_of_a_flood_are_kept_and_all_of_it_is_counted(host: Host) -> None:
    size = 60_000_000
    command = host.command(f"yes abcdefg | head -c {size}; echo END")
    with host.start(command) as first:
        first.begun()
        first.hang_up()
    assert host.none_left(command, 60)
    assert sum(path.stat().st_size for path in host.folder(command).glob("[oe].[0-9]*")) < 40_000_000
    with host.attach(command) as second:
        assert second.end() == Exited(0)
        out = second.out[Stream.STDOUT]
        assert len(out) + second.skipped[Stream.STDOUT] == size + 4
        assert second.skipped[Stream.STDOUT] > 0
        assert out.startswith(b"abcdefg\n" * 131072)
        assert out.endswith(b"abcdefg\n" * 131071 + b"END\n")
    middle = size // 2
    with host.attach(command, out=middle) as third:
        assert third.end() == Exited(0)
        assert middle + third.skipped[Stream.STDOUT] + len(third.out[Stream.STDOUT]) == size + 4
        assert out.endswith(third.out[Stream.STDOUT])


def test_a_restarted_host_says_that_it_does_not_know(host: Host) -> None:
    command = host.command("echo before; sleep 300")
    with host.start(command) as first:
        first.until(b"before\n")
        first.hang_up()
    for process in host.carriers(command):
        process.kill()
    assert host.none_left(command)
    record = host.folder(command) / "pid"
    record.write_text(" ".join([*record.read_text().split()[:3], "another-boot"]) + "\n")
    with host.attach(command) as second:
        assert isinstance(second.end(), Vanished)
        assert second.out[Stream.STDOUT] == b"before\n"


def test_a_killed_keeper_says_that_it_does_not_know(host: Host) -> None:
    command = host.command("echo before; sleep 300")
    with host.start(command) as first:
        first.until(b"before\n")
        keeper = int((host.folder(command) / "pid").read_text().split()[1])
        psutil.Process(keeper).kill()
        assert isinstance(first.end(), Vanished)


def test_a_folder_that_went_away_says_that_it_does_not_know(host: Host) -> None:
    command = host.command("echo before; sleep 300")
    with host.start(command) as first:
        first.until(b"before\n")
        shutil.rmtree(host.folder(command))
        assert isinstance(first.end(), Vanished)


@pytest.mark.parametrize("fault", ["link", "open", "another's", "file"])
def test_a_base_folder_that_is_not_ours_alone_is_refused(host: Host, fault: str) -> None:
    base = host.home / ".cache" / "opsconsole"
    elsewhere = host.home / "elsewhere"
    for folder in (base.parent, elsewhere):
        folder.mkdir(mode=0o700)
        os.chown(folder, host.user, host.user)
    if fault == "link":
        base.symlink_to(elsewhere)
    elif fault == "file":
        base.write_text("")
    else:
        base.mkdir()
        base.chmod(0o755 if fault == "open" else 0o700)
        if fault == "open" or os.geteuid() != 0:
            os.chown(base, host.user, host.user)
        else:
            os.chown(base, 1, 1)
    if fault == "another's" and os.geteuid() != 0:
        not_run("the right to give a folder away", "run these tests as root")
    command = host.command("echo x >> starts")
    with host.start(command) as connection:
        assert isinstance(connection.end(), NotStarted)
    assert not (host.home / "starts").exists()
    assert not list(elsewhere.iterdir())


def test_without_a_home_the_folder_is_in_tmp(host: Host) -> None:
    command = host.command("echo ok")
    missing = replace_home(host, Path("/nonexistent"))
    kept = Path(f"/tmp/opsconsole-{host.user}") / command.mark
    with missing.start(command) as connection:
        assert connection.end() == Exited(0)
        assert kept.is_dir()
    missing.spawn(durable.clean_line(command.mark)).communicate(timeout=10)
    assert not kept.exists()


def test_a_full_disk_costs_output_and_nothing_else(host: Host) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", host.home], check=False).returncode:
        not_run("the right to mount a small file system", "run these tests as root")
    try:
        os.chown(host.home, host.user, host.user)
        command = host.command("echo first; head -c 5000000 /dev/zero; exit 4")
        with host.start(command) as first:
            assert first.end() == Exited(4, cut=True)
            assert first.out[Stream.STDOUT].startswith(b"first\n\0")
        assert host.none_left(command)
        other = host.command("echo x >> starts")
        with host.start(other) as second:
            assert isinstance(second.end(), NotStarted)
        assert not (host.home / "starts").exists()
        host.spawn(durable.clean_line(command.mark)).communicate(timeout=10)
        with host.start(host.command("echo again")) as third:
            assert third.end() == Exited(0)
    finally:
        subprocess.run(["umount", "-l", host.home], check=True)


def replace_home(host: Host, home: Path) -> Host:
    """Returns the host as a user with another home sees it."""

    class Elsewhere(Host):
        def spawn(self, line: str) -> "subprocess.Popen[bytes]":
            return super().spawn(line.replace("exec /bin/sh -c '", f"exec /bin/sh -c 'HOME={home}; ", 1))

    return Elsewhere(host.home, host.shell, host.user, host.marks)


def test_what_nobody_came_back_for_is_removed_after_two_weeks(host: Host) -> None:
    old, young = host.command("true"), host.command("true")
    for command in (old, young):
        with host.start(command) as connection:
            assert connection.end() == Exited(0)
        assert host.none_left(command)
    two_weeks_ago = time.time() - 15 * 86400
    os.utime(host.folder(old), (two_weeks_ago, two_weeks_ago))
    with host.start(host.command("true")) as connection:
        assert connection.end() == Exited(0)
    assert not host.folder(old).exists()
    assert host.folder(young).exists()
