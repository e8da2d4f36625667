"""The search without SSH: in every shell that may be /bin/sh, behind every login shell, on processes that live."""

import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from opsconsole.jobs.ports import Sight
from opsconsole.ssh import search

_SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "ash"]}
_LOGIN_SHELLS = ["dash", "bash", "tcsh", "fish", "zsh"]


@pytest.fixture(params=[name for name, words in _SHELLS.items() if shutil.which(words[0])])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A shell of this machine that may be /bin/sh."""
    return _SHELLS[request.param]


@pytest.fixture
def mark() -> str:
    """A mark that nothing else on this machine carries."""
    return f"1-1.{secrets.token_hex(4)}"


@contextmanager
def marked(mark: str, script: str, **options: object) -> Iterator[psutil.Process]:
    """Runs a script with the mark in its environment once it has said that it runs; ends it and its children."""
    words = ["sh", "-c", f"{script}\n:"]
    environment = {**os.environ, "OPSC_RUN": mark}
    started = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    running = psutil.Process(started.pid)
    family = [running, *running.children(recursive=True)]
    try:
        yield running
    finally:
        for process in family:
            if process.is_running():
                process.kill()
        started.wait(10)
        started.stdout.close()


def ask(shell: list[str], mark: str, *, end: float | None = None, group: int = 0) -> Sight:
    """Returns what a search says that ``shell`` carries out."""
    words = shlex.split(search.line(mark, end=end, group=group))
    assert words[:3] == ["exec", "/bin/sh", "-c"]
    ended = subprocess.run([*shell, *words[2:]], capture_output=True, check=False, timeout=30)
    assert ended.stderr == b""
    return search.read(ended.stdout, ended.returncode)


def test_nothing_is_found_where_nothing_is(shell: list[str], mark: str) -> None:
    assert ask(shell, mark) == Sight()
    assert ask(shell, mark, end=1.0) == Sight()


def test_what_runs_is_told_and_left_alone(shell: list[str], mark: str) -> None:
    with marked(mark, "sleep 611 & sleep 612 & echo ready; wait") as running:
        sight = ask(shell, mark)
        assert sight.alive == 3
        assert {process.pid for process in sight.processes} == {running.pid, *(p.pid for p in running.children())}
        assert {process.command for process in sight.processes} > {"sleep 611", "sleep 612"}
        assert all(process.age_seconds < 60 for process in sight.processes)
        assert running.is_running()


def test_another_mark_is_not_met(shell: list[str], mark: str) -> None:
    with marked(mark, "echo ready; sleep 600") as running:
        for other in (mark[:-1], mark + "0", "1" + mark, mark.replace(".", "x")):
            assert ask(shell, other, end=0.0) == Sight()
        assert running.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ("echo ready; exec sleep 600", 0.0),
        ("setsid sleep 600 & sleep 600 & echo ready; wait", 0.0),
        ("trap '' TERM; sleep 600 & echo ready; wait; sleep 600", 0.5),
        ("setsid sh -c 'trap \"\" TERM; kill -STOP $$; :' & sleep 0.2; echo ready; wait", 0.5),
    ],
    ids=["plain", "another session", "ignores TERM", "stopped"],
)
def test_what_is_found_is_ended(shell: list[str], mark: str, script: str, seconds: float) -> None:
    with marked(mark, script) as running:
        family = [running, *running.children(recursive=True)]
        began = time.monotonic()
        sight = ask(shell, mark, end=0.5)
        assert sight.clear
        assert sight.ended == len(family)
        assert time.monotonic() - began >= seconds
        gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        assert not [process for process in family if process.is_running() and process.status() not in gone]


def test_the_group_that_was_told_is_not_told_twice(shell: list[str], mark: str) -> None:
    script = "trap 'echo told' TERM; echo ready; n=0; while [ $n -lt 8 ]; do sleep 0.1; n=$((n+1)); done"
    with marked(mark, script) as running:
        assert ask(shell, mark, end=5.0, group=running.pid).clear
    with marked(mark, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"):
        began = time.monotonic()
        assert ask(shell, mark, end=20.0).clear
        assert time.monotonic() - began < 10


def test_a_host_that_cannot_be_searched_says_so(mark: str, tmp_path: object) -> None:
    words = shlex.split(search.line(mark, end=0.0))
    ended = subprocess.run(words[1:], env={"PATH": str(tmp_path)}, capture_output=True, check=False, timeout=30)
    assert ended.returncode == 3
    assert "cannot be searched" in (search.read(ended.stdout, ended.returncode).problem or "")


@pytest.mark.parametrize("login_shell", [name for name in _LOGIN_SHELLS if shutil.which(name)])
def test_behind_a_login_shell(login_shell: str, mark: str) -> None:
    with marked(mark, "echo ready; sleep 600"):
        line = search.line(mark, end=None)
        ended = subprocess.run([login_shell, "-c", line], capture_output=True, check=False, timeout=30)
        assert search.read(ended.stdout, ended.returncode).alive == 2
