"""Steps with a barrier and a worker that is killed: no step starts twice, and a host that is lost goes no further."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsconsole.crash import CrashPoint
from opsconsole.jobs import queries
from opsconsole.jobs.models import Job
from tests.faults.conftest import KEY
from tests.support.console import Console, until

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]


def _order(started: Path, then: str = "") -> dict[str, Any]:
    """Each step leaves a line of its host when it starts."""
    said = {step: f"echo {step} {{host.name}} >> {started}" for step in ("check", "act", "verify")}
    return {
        **KEY,
        "check": said["check"],
        "command": f"{said['act']}; {then}",
        "verify": said["verify"],
        "step_barrier": "wave",
    }


def _starts(started: Path) -> Counter[str]:
    return Counter(started.read_text().splitlines()) if started.exists() else Counter()


@pytest.mark.parametrize("point", [CrashPoint.AFTER_CLAIM, CrashPoint.AFTER_GATE, CrashPoint.BEFORE_FINISH])
def test_a_worker_dies_in_the_check(make_console: MakeConsole, tmp_path: Path, point: CrashPoint) -> None:
    console, started = make_console(workers=0), tmp_path / "started"
    (worker,) = console.start_workers(1, crash_at=point)
    job_id = console.launch("127.0.0.1", **_order(started))
    worker.process.wait(60)
    console.mark_gone(worker)
    console.start_workers(1)
    console.follow(job_id)
    (run,) = console.runs(job_id)
    if point is CrashPoint.AFTER_CLAIM:
        assert (run.state, sorted(_starts(started).values())) == ("succeeded", [1, 1, 1])
    else:
        assert (run.state, run.reason, run.step) == ("lost", "worker_lost", "check")
        assert not [line for line in _starts(started) if not line.startswith("check")]
        assert max(_starts(started).values(), default=0) <= 1


def test_a_worker_is_killed_while_its_host_acts(make_console: MakeConsole, tmp_path: Path) -> None:
    console, started = make_console(workers=0), tmp_path / "started"
    (worker,) = console.start_workers(1)
    order = _order(started, "case {n} in 1) sleep 3;; esac")
    job_id = console.launch("127.0.0.[1-2]", **order)

    def acting() -> bool:
        with console.database.read() as session:
            told = queries.steps_of(session, session.get_one(Job, job_id))
        assert told is not None
        return told["now"] == "act" and _starts(started).total() == 4 and told["list"][2]["counts"]["q"] == 1

    until(acting, 60.0, "the one host has acted, the other is at it")
    worker.kill()
    console.mark_gone(worker)
    console.start_workers(1)
    console.follow(job_id)
    one, two = console.runs(job_id)
    assert (one.state, one.reason, one.step) == ("lost", "worker_lost", "act")
    # The other had passed and waited: it goes on, and nothing of it has started twice.
    assert (two.state, two.step) == ("succeeded", "verify")
    assert _starts(started) == Counter(
        {f"{step} 127.0.0.{n}": 1 for n in (1, 2) for step in ("check", "act", "verify") if (n, step) != (1, "verify")}
    )
