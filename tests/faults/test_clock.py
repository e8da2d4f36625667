"""Wall clocks that jump by an hour, on a worker or on the web, in the middle of a job: nobody is given up, nothing is
ended early, nothing is sent twice."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.architecture.project import ROOT
from tests.faults.conftest import KEY
from tests.support.console import Console, marks, until
from tests.support.web_process import running_web

pytestmark = pytest.mark.slow
_HOUR = 3600


# Read by Python at its start, before any other module. The product's only reader of the wall clock is opsconsole.clock
# (a lint rule); the libraries it stands on read time.time.
_SITE = """
import datetime, pathlib, time
from opsconsole.clock import SystemClock

shift = lambda: int(pathlib.Path({path!r}).read_text())
real, now = time.time, SystemClock.now
time.time = lambda: real() + shift()
SystemClock.now = lambda self: now(self) + datetime.timedelta(seconds=shift())
"""


class ShiftedClock:
    """The wall clock of processes that are started within ``shifting``; their monotonic clock is left alone."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "shift"
        self._site = folder / "site"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE.format(path=str(self._file)))
        self._monkeypatch = monkeypatch
        self.by(0)

    def by(self, seconds: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds}\n")
        draft.replace(self._file)

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": f"{self._site}{os.pathsep}{ROOT}"}

    @contextmanager
    def shifting(self) -> Iterator[None]:
        with self._monkeypatch.context() as patch:
            for name, value in self.environment().items():
                patch.setenv(name, value)
            yield


@pytest.mark.parametrize("hours", [1, -1])
def test_a_worker_whose_clock_jumps(
    make_console: Callable[..., Console], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    console, clock, started = make_console(1), ShiftedClock(tmp_path, monkeypatch), tmp_path / "started"
    with clock.shifting():
        console.start_workers(1)
    shifted = console.workers[-1]
    command = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 4; echo done"
    job_id = console.launch("127.0.0.[1-20]", command, concurrency=10, command_timeout=60.0, job_timeout=120.0, **KEY)
    console.until_counts(job_id, r=10)

    def takes_part() -> bool:
        # What it has only claimed would begin and end after the jump, and tell nothing of it.
        runs = (run for run in console.runs(job_id) if run.state == "running")
        return any(f":{shifted.pid}" in (run.worker or "") for run in runs)

    until(takes_part, 10, "it takes part")
    clock.by(hours * _HOUR)
    body = console.follow(job_id, 60)
    assert (body["state"], body["counts"]["o"]) == ("succeeded", 20)
    starts = Counter(marks(started))
    assert (len(starts), set(starts.values())) == (20, {1})
    runs = console.runs(job_id)
    # It did jump: what it wrote since says so.
    spread = [abs((run.finished_at - run.started_at).total_seconds()) for run in runs]  # type: ignore[operator]
    assert max(spread) > _HOUR / 2, spread
    assert {run.attempt for run in runs} == {1}
    assert not any(run.late for run in runs)
    assert all(3500 < (run.duration_ms or 0) < 30_000 for run in runs), [run.duration_ms for run in runs]
    assert "worker is gone" not in console.logs()
    assert shifted.process.poll() is None
    assert "declared gone" not in console.logs()
    timed, (run,) = console.run("127.0.0.50", "sleep 600", command_timeout=2.0, **KEY)
    assert run.state == "timed_out"
    assert 2000 <= (run.duration_ms or 0) < 15_000
    assert timed["counts"]["k"] == 1


@pytest.mark.parametrize("hours", [1, -1])
def test_a_web_server_whose_clock_is_wrong(
    make_console: Callable[..., Console], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    console, clock, started = make_console(1), ShiftedClock(tmp_path, monkeypatch), tmp_path / "started"
    clock.by(hours * _HOUR)
    with ExitStack() as stack:
        with clock.shifting():
            web = stack.enter_context(running_web(console))
        answer = web.launch("127.0.0.[1-5]", f"echo x >> {started}; sleep 1", **KEY)
        assert answer.is_success, answer.text
        job_id = int(answer.json()["id"])
        assert console.follow(job_id, 60)["counts"]["o"] == 5
        assert len(marks(started)) == 5
        assert web.status(job_id)["state"] == "succeeded"
        assert {run.attempt for run in console.runs(job_id)} == {1}


def test_the_clock_of_a_process_is_shifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ShiftedClock(tmp_path, monkeypatch)
    clock.by(_HOUR)
    code = "import time; from opsconsole.clock import SystemClock as C; c = C(); "
    code += "print(time.time(), c.now().timestamp(), c.monotonic())"
    environment = {**os.environ, **clock.environment()}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    first, second, monotonic = map(float, said.stdout.split())
    assert abs(first - time.time() - _HOUR) < 60
    assert abs(second - time.time() - _HOUR) < 60
    assert abs(monotonic - time.monotonic()) < 60
