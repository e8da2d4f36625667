"""Commands on the worker's own machine; what they are promised beside SSH is in tests/integration/ssh/test_run.py."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from opsconsole.executors.local import LocalConnector
from opsconsole.jobs.ports import (
    Auth,
    Become,
    Dropped,
    Event,
    Exited,
    Limits,
    NotStarted,
    Session,
    Spool,
    Target,
    Unreached,
)
from opsconsole.jobs.states import Reason
from tests.support.requirements import not_run
from tests.support.runs import Result, collect, command, until_started

_TARGET = Target("web1", "web1", 22, "me")
_AUTH = Auth(identity="local")
_SPOOL = Spool(head=1024 * 1024, tail=1024 * 1024)


def _session() -> Session:
    session = LocalConnector(allowed=True).connect(_TARGET, _AUTH, Limits())
    assert not isinstance(session, Unreached)
    return session


def _run(script: str, **limits: int) -> Result:
    return collect(_session().start(command(script, **limits)).events(0.5))


def test_it_lets_nobody_in_unless_it_is_allowed() -> None:
    answer = LocalConnector(allowed=False).connect(_TARGET, _AUTH, Limits())
    assert isinstance(answer, Unreached)
    assert (answer.reason, answer.retryable) == (Reason.NOT_PERMITTED, False)


def test_the_consoles_own_environment_is_not_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_SECRET_KEY", "not for commands")
    said = _run("env; pwd").stdout.decode()
    assert "not for commands" not in said
    assert "HOME=" in said
    assert "PATH=/usr/local/sbin:" in said


def test_no_process_and_no_pipe_is_left() -> None:
    me = psutil.Process()
    before, known = me.num_fds(), set(me.children())
    for _ in range(5):
        session = _session()
        assert collect(session.start(command("echo ok")).events(0.5)).end == Exited(0)
        session.close(keep=True)
    deadline = time.monotonic() + 20
    while (me.num_fds() > before or set(me.children()) - known) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert me.num_fds() <= before
    # A server that serves other tests may be a child of this process, too.
    assert set(me.children()) <= known


def test_a_worker_that_is_killed_takes_its_command_along(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = f"trap '' HUP; echo $$ >{told}; sleep 300"
    program = (
        "from opsconsole.executors.local import LocalConnector\n"
        "from opsconsole.jobs.ports import Auth, Limits, RemoteCommand, Target\n"
        "session = LocalConnector(allowed=True).connect(Target('a', 'a', 22, 'b'), Auth('local'), Limits())\n"
        f"for _ in session.start(RemoteCommand('killed-1', {script.encode()!r}, 60, 1)).events(0.2): pass\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[3])
    try:
        _await(lambda: told.exists() and told.read_text().strip() != "")
    finally:
        worker.kill()
        worker.wait()
    pid = int(told.read_text())
    _await(lambda: not psutil.pid_exists(pid))


def test_a_durable_command_outlives_who_follows_it() -> None:
    durable = replace(command("echo one; sleep 1; echo two", limit=60), spool=_SPOOL)
    session = _session()
    events = session.start(durable).events(0.2)
    until_started(events)
    session.close(keep=False)
    assert isinstance([*events][-1], Dropped)
    again = _session()
    result = collect(again.start(replace(durable, spool=replace(_SPOOL, attach=True))).events(0.5))
    assert (result.stdout, result.end) == (b"one\ntwo\n", Exited(0))
    again.forget(durable.mark)
    again.close(keep=False)


def test_a_search_finds_what_a_command_left_and_ends_it() -> None:
    wanted = command("setsid sleep 300 >/dev/null 2>&1 & echo left", mark="left")
    session = _session()
    assert isinstance(collect(session.start(wanted).events(0.5)).end, Exited)
    assert session.search(wanted.mark, end=None, seconds=20).alive == 1
    ended = session.search(wanted.mark, end=0.5, seconds=20)
    assert (ended.clear, ended.ended) == (True, 1)


def test_another_account_of_this_machine() -> None:
    if os.geteuid() != 0 or shutil.which("sudo") is None:
        not_run("root and sudo", "run the tests as root; apt-get install sudo")
    wanted = replace(command("id -un"), become=Become("nobody"))
    assert collect(_session().start(wanted).events(0.5)).stdout == b"nobody\n"
    refused = replace(command("id -un"), become=Become("no-such-user"))
    end: Event | None = collect(_session().start(refused).events(0.5)).end
    assert isinstance(end, NotStarted)
    assert end.reason is Reason.RUN_AS


def test_under_gevent_a_many_at_once_block_nobody() -> None:
    program = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import time, gevent, gevent.pool\n"
        "from opsconsole.executors.local import LocalConnector\n"
        "from opsconsole.jobs.ports import Auth, Exited, Limits, RemoteCommand, Target\n"
        "local = LocalConnector(allowed=True)\n"
        "longest = 0.0\n"
        "def tick():\n"
        "    global longest\n"
        "    while True:\n"
        "        began = time.monotonic(); gevent.sleep(0.01); longest = max(longest, time.monotonic() - began)\n"
        "def one(n):\n"
        "    session = local.connect(Target('a', 'a', 22, 'b'), Auth('local'), Limits())\n"
        "    *_, last = session.start(RemoteCommand(f'many-{n}', b'sleep 1; echo ok', 60, 1)).events(0.2)\n"
        "    session.close(keep=True)\n"
        "    return last == Exited(0)\n"
        "ticking = gevent.spawn(tick)\n"
        "done = gevent.pool.Pool(40).map(one, range(60))\n"
        "ticking.kill()\n"
        "print(sum(done), round(longest, 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=120
    )
    ended, longest = done.stdout.split()
    assert (ended, done.stderr) == ("60", "")
    # A command of a second that blocked would be seen at once.
    assert float(longest) < 0.9


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
