"""The command line on a terminal: progress, questions, Ctrl-C, and hosts that try to do harm there."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.functional.cli.fake_console import FakeConsole, preview

_SECONDS = 20


@dataclass
class Screen:
    """A process on a terminal of its own, and all it has written there."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while text not in self.seen:
            assert self._read(deadline), f"{text!r} did not come: {self.seen!r}"

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        deadline = time.monotonic() + _SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(timeout=_SECONDS)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # What Linux says once nobody has the other end open.
            return False
        self.seen += piece.decode()
        return bool(piece)


Start = Callable[..., Screen]


@contextmanager
def _screen(args: tuple[str, ...]) -> Iterator[Screen]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "opsconsole", *args]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm"})
    os.close(slave)
    try:
        yield Screen(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_ctrl_c_asks_and_c_cancels_and_output_is_still_printed(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    console.story.groups = [
        {"g": 1, "count": 2, "state": "x", "exit": None, "folded": "web[1-2]", "hosts": [], "i": 0, "reason": "killed"}
    ]
    console.story.outputs = {0: [(1, "so far")]}
    with _screen(("run", "-w", "web[1-2]", "--", "sleep", "600")) as screen:
        screen.wait_for("* 2")
        screen.interrupt()
        screen.wait_for("[c]ancel, [p]ause, [d]etach, Enter to go on: ")
        screen.type("c\n")
        assert screen.end() == 130
    assert console.cancelled.is_set()
    assert "so far" in screen.seen
    assert "opsconsole: web[1-2] (2): cancelled: killed" in screen.seen


def test_ctrl_c_twice_cancels(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    with _screen(("run", "-w", "web[1-2]", "--", "sleep", "600")) as screen:
        screen.wait_for("* 2")
        screen.interrupt()
        screen.wait_for("Enter to go on: ")
        screen.interrupt()
        assert screen.end() == 130
    assert console.cancelled.is_set()


def test_p_pauses_and_then_r_resumes(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    with _screen(("attach", "7")) as screen:
        screen.wait_for("* 2")
        screen.interrupt()
        screen.wait_for("[p]ause")
        screen.type("p\n")
        screen.wait_for("#7 waits: Paused by li.wei. Go on with: opsconsole resume 7")
        screen.interrupt()
        screen.wait_for("[c]ancel, [r]esume, [d]etach")
        screen.type("r\n")
        console.wait_for("POST", "jobs/7/resume")
        screen.seen = ""
        screen.interrupt()
        screen.wait_for("[d]etach, Enter to go on: ")
        screen.type("c\n")
        assert screen.end() == 130
    assert [asked.path for asked in console.asked if asked.method == "POST"] == [
        "jobs/7/pause",
        "jobs/7/resume",
        "jobs/7/cancel",
    ]


def test_d_detaches_and_the_job_goes_on(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    with _screen(("attach", "7")) as screen:
        screen.wait_for("* 2")
        screen.interrupt()
        screen.wait_for("Enter to go on: ")
        screen.type("d\n")
        assert screen.end() == 0
    assert "opsconsole attach 7" in screen.seen
    assert not console.cancelled.is_set()


def test_enter_goes_on_and_enter_later_names_who_runs(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    with _screen(("attach", "7")) as screen:
        screen.wait_for("* 2")
        screen.interrupt()
        screen.wait_for("Enter to go on: ")
        screen.type("\n")
        screen.type("\n")
        screen.wait_for("running: web[1-2] (2)")
        console.cancelled.set()
        assert screen.end() == 130


def test_without_a_terminal_ctrl_c_cancels_at_once(console: FakeConsole) -> None:
    console.story.waits_for_cancel = True
    command = [sys.executable, "-m", "opsconsole", "run", "--json", "-w", "web[1-2]", "--", "sleep", "600"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"snapshot" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_SECONDS)
    assert process.returncode == 130
    assert console.cancelled.is_set()


def test_the_number_of_hosts_is_typed(console: FakeConsole) -> None:
    console.story.preview = preview(412, tier=2, worst_case=70, by={"env": {"prod": 412}})
    with _screen(("run", "-w", "@web", "--", "uptime")) as screen:
        screen.wait_for("412 hosts (412 prod), worst case 70 fail before it stops. Type 412 to go on: ")
        screen.type("412\n")
        assert screen.end() == 0
    assert console.to("POST", "jobs")[0].body["confirm"] == "412"


def test_the_most_dangerous_orders_are_typed_out_and_explained(console: FakeConsole) -> None:
    console.story.preview = preview(1240, tier=3)
    with _screen(("run", "-w", "@web", "--", "uptime")) as screen:
        screen.wait_for("Type RUN 1240 to go on: ")
        screen.type("RUN 1240\n")
        screen.wait_for("Reason (kept with the job): ")
        screen.type("change 17\n")
        assert screen.end() == 0
    body = console.to("POST", "jobs")[0].body
    assert (body["confirm"], body["reason"]) == ("RUN 1240", "change 17")


@pytest.mark.parametrize("typed", ["41\n", "\n", "y\n"])
def test_another_number_starts_nothing(console: FakeConsole, typed: str) -> None:
    console.story.preview = preview(412, tier=2)
    with _screen(("run", "-w", "@web", "--", "uptime")) as screen:
        screen.wait_for("to go on: ")
        screen.type(typed)
        assert screen.end() == 2
    assert console.to("POST", "jobs") == []


def test_ctrl_c_at_the_question_starts_nothing(console: FakeConsole) -> None:
    console.story.preview = preview(412, tier=2)
    with _screen(("run", "-w", "@web", "--", "uptime")) as screen:
        screen.wait_for("to go on: ")
        # The interpreter looks at signals before it reads; one that comes between the two waits for a key, so a person
        # presses again, and so do we.
        deadline = time.monotonic() + _SECONDS
        while screen.process.poll() is None and time.monotonic() < deadline:
            screen.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                screen.process.wait(1)
        assert screen.end() == 130
    assert console.to("POST", "jobs") == []


def test_a_middling_number_of_hosts_starts_after_a_countdown(console: FakeConsole) -> None:
    console.story.preview = preview(12, tier=1)
    with _screen(("run", "-w", "@web", "--", "uptime")) as screen:
        screen.wait_for("12 hosts. Starting in 1, Ctrl-C to stop")
        assert screen.end() == 0


def test_hosts_cannot_reach_into_the_terminal(console: FakeConsole) -> None:
    hostile = "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31mred\x1b[0m \u202eevil\x00\x9b5n"
    console.story.outputs = {0: [(1, hostile)]}
    console.story.groups = [{"g": 1, "count": 2, "state": "o", "exit": 0, "folded": "web[1-2]", "hosts": [], "i": 0}]
    with _screen(("run", "--no-color", "-w", "web[1-2]", "--", "cat", "x")) as screen:
        assert screen.end() == 0
    shown = screen.seen.replace("\r\x1b[K", "")
    assert "red ‹U+202E›evil‹U+0000›" in shown
    assert not re.search("[\x1b\x9b\x07\x00]", shown)
