"""A started program whose lines a test waits for, and the ends of processes."""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Self

import psutil

from opsconsole.errors import Unavailable
from opsconsole.launcher.confinement import Confinement
from tests.support.console import until

ROOT = Path(__file__).parents[3]


@cache
def confinable() -> bool:
    """Whether this machine lets the demo hosts have a world of their own; some containers do not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Confinement(Path(folder), [], 1).close()
        except Unavailable:
            return False
    return True


def demo_options(option: str = "--demo-unconfined") -> list[str]:
    """What a demo has to be told here; root may not start one without a world of its own."""
    return [] if confinable() else [option]


def sleeping(seconds: str) -> list[int]:
    """The processes ``sleep SECONDS`` as this machine numbers them; demo hosts number theirs anew."""
    wanted = ["sleep", seconds]
    return [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == wanted]


def begun(seconds: str) -> int:
    """Waits until a process ``sleep SECONDS`` is there, and returns its number: a shell names it before it is."""
    return until(lambda: sleeping(seconds), 10, f"sleep {seconds} has begun")[0]


class Program:
    """A program whose stdout and stderr a test reads as they come. Leaving the context kills it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            # As strict as what it starts from may be.
            umask=0o077,
        )
        assert self.process.stdout
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def wait_for(self, pattern: str, seconds: float = 60, *, after: int = 0) -> re.Match[str]:
        """Returns the first match of ``pattern`` in what the program says from character ``after`` on."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            assert self.process.stdout
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                match = re.compile(pattern, re.MULTILINE).search(self.text, after)
                if match:
                    return match
                left = deadline - time.monotonic()
                assert left > 0, f"{pattern!r} was not said in {seconds} s; it said:\n{self.text}"
                if selector.select(left):
                    data = os.read(self.process.stdout.fileno(), 65536)
                    assert data, f"it ended before {pattern!r}; it said:\n{self.text}"
                    self.text += data.decode()

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Signals the program, reads the rest and returns its exit status."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 20) -> int:
        """Reads to the end and returns the exit status."""
        assert self.process.stdout
        os.set_blocking(self.process.stdout.fileno(), True)
        status = self.process.wait(seconds)
        self.text += self.process.stdout.read().decode()
        return status


def gone(pids: Sequence[int], seconds: float = 10) -> bool:
    """Waits until none of ``pids`` is a running process; a zombie that its adopter has not fetched counts as gone."""
    deadline = time.monotonic() + seconds
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    while processes:
        _, alive = psutil.wait_procs(processes, timeout=0.1)
        processes = [process for process in alive if process.is_running() and not _is_zombie(process)]
        if processes and time.monotonic() > deadline:
            return False
    return True


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
