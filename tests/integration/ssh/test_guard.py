"""The guard itself, without SSH: in every shell that may be /bin/sh, every way a command can end or be ended.

The process that starts it leads its session and group, as a shell started by sshd does.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.ssh import lease
from tests.support.runs import command

_SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "ash"], "sh": ["/bin/sh"]}


@pytest.fixture(params=[name for name, words in _SHELLS.items() if shutil.which(words[0])])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A shell of this machine."""
    return _SHELLS[request.param]


class Guarded:
    """A guarded script; leaving the block ends whatever is left."""

    def __init__(
        self, shell: list[str], script: str | bytes, *, keep: str = "kill", grace: int = 1, limit: int = 60
    ) -> None:
        order = command(script)
        words = [*shell, "-c", lease.BOOT, "opsc", "guard-test", keep, str(grace), str(limit)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self.give(lease.stdin_bytes(order))

    def give(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def started(self) -> None:
        assert self.line() == b"\x1eopsc guard-test %d\n" % self.process.pid

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self, seconds: float = 10.0) -> tuple[int, bytes, bytes]:
        """Waits for the end of the wrapper without closing its stdin; returns status and what both streams hold."""
        status = self.process.wait(seconds)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return status, self.process.stdout.read(), self.process.stderr.read()

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in _group(self.process.pid):
            os.kill(pid, 9)
        self.process.wait(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.parametrize("status", [0, 1, 7, 127, 255])
def test_exit_statuses_are_exact(shell: list[str], status: int) -> None:
    with Guarded(shell, f"exit {status}") as guarded:
        guarded.started()
        assert guarded.end() == (status, b"", b"")
        assert _await_empty(guarded.process.pid, 7)


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("printf '%s' 'no final newline'", b"no final newline"),
        ("echo a\necho b\n\n", b"a\nb\n"),
        ("  printf '%s|' \\a 'b\\c'\t\\\\ ", b"a|b\\c|\\|"),
        ("true\n  printf '%s|' \\a 'b\\c'\t\\\\ ", b"a|b\\c|\\|"),
        ("cat; echo after", b"after\n"),
        ("echo $#,$0", b"0,opsc\n"),
        ("printf %s $OPSC_RUN", b"guard-test"),
        ("echo 'ä€'; echo \"q'q\"", "ä€\nq'q\n".encode()),
        ("", b""),
        ("# only a comment", b""),
        ("cat <<EOF\nhere\nEOF\n", b"here\n"),
    ],
)
def test_scripts_run_as_written(shell: list[str], script: str, out: bytes) -> None:
    with Guarded(shell, script) as guarded:
        guarded.started()
        assert guarded.end() == (0, out, b"")


@pytest.mark.parametrize("end", ["", "\n# of more than one line"])
def test_a_command_sees_no_variable_function_or_argument_of_the_guard(shell: list[str], end: str) -> None:
    script = 'echo "[$n$s$e$p$g$w$l$c$#]"; n=$((n+1)); echo "$n"; f 2>/dev/null || echo none' + end
    with Guarded(shell, script) as guarded:
        guarded.started()
        assert guarded.end()[:2] == (0, b"[0]\n1\nnone\n")


def test_a_syntax_error_is_an_exit(shell: list[str]) -> None:
    with Guarded(shell, "if then") as guarded:
        guarded.started()
        status, out, err = guarded.end()
        assert (status != 0, out, err != b"") == (True, b"", True)


def test_without_a_header_nothing_runs(shell: list[str]) -> None:
    with Guarded(shell, "echo no") as guarded:
        guarded.started()
        guarded.end()
    words = [*shell, "-c", lease.BOOT, "opsc", "guard-test", "kill", "1", "60"]
    whole = lease.fed(lease.GUARD)
    for sent in (b"", whole[:300], whole[:-1], whole, whole + b"line\n", whole + b"8\necho no"):
        ended = subprocess.run(words, input=sent, capture_output=True, start_new_session=True, check=False)
        assert (ended.returncode, ended.stdout) == (125, b"")


@pytest.mark.parametrize(
    ("script", "order", "status"),
    [
        ("sleep 300", b"TERM\n", 143),
        ("sleep 300; echo no", b"TERM\n", 143),
        # A TERM between the fork and the exec of a background command meets the shell's own handler and is lost on
        # that command; so this one says itself when it stands.
        ("trap 'exit 3' TERM; sh -c 'echo ready; exec sleep 300' & wait", b"TERM\n", 3),
        ("sleep 300", b"HUP\n", 129),
        ("trap '' TERM; sleep 300", b"KILL\n", -9),
        ("sleep 300 | sleep 300", b"TERM\n", 143),
        ("sleep 300", b"NONSENSE\nTERM\n", 143),
    ],
)
def test_orders_end_the_whole_group(shell: list[str], script: str, order: bytes, status: int) -> None:
    with Guarded(shell, script) as guarded:
        guarded.started()
        if "ready" in script:
            guarded.line()
        guarded.give(order)
        began = time.monotonic()
        assert guarded.end() == (status, b"", b"")
        assert time.monotonic() - began < 2
        assert _await_empty(guarded.process.pid)


@pytest.mark.parametrize("script", ["sleep 300", "trap '' TERM HUP; while :; do sleep 1; done"])
def test_the_end_of_the_lease_ends_it(shell: list[str], script: str) -> None:
    with Guarded(shell, script) as guarded:
        guarded.started()
        guarded.hang_up()
        guarded.end(4)
        assert _await_empty(guarded.process.pid)


def test_keep_lets_it_run_on(shell: list[str]) -> None:
    with Guarded(shell, "sleep 1; echo done", keep="keep") as guarded:
        guarded.started()
        guarded.hang_up()
        assert guarded.end() == (0, b"done\n", b"")


@pytest.mark.parametrize("script", ["sleep 300", "trap '' TERM; while :; do sleep 1; done"])
def test_the_limit_fires_by_itself(shell: list[str], script: str) -> None:
    with Guarded(shell, script, limit=1) as guarded:
        guarded.started()
        began = time.monotonic()
        guarded.end(8)
        assert 0.5 < time.monotonic() - began < 6
        assert _await_empty(guarded.process.pid)


def test_quick_commands_leave_nothing(shell: list[str]) -> None:
    for _ in range(30):
        with Guarded(shell, "true") as guarded:
            guarded.started()
            assert guarded.end()[0] == 0
            assert _await_empty(guarded.process.pid, 7)


def _group(group: int) -> list[int]:
    return list(_living(group))


def _living(group: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, pgid = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgid) == group and state != "Z":
            yield int(folder.name)


def _await_empty(group: int, seconds: float = 4.0) -> bool:
    give_up_at = time.monotonic() + seconds
    while _group(group):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True
