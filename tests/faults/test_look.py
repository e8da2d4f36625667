"""What a worker that died left on its hosts is found by a look, and ended by one."""

from collections.abc import Callable

import pytest

from opsconsole.jobs import look
from opsconsole.jobs.models import HostRun, Job
from tests.faults.conftest import KEY
from tests.support.console import Console, processes_of_runs, until

pytestmark = pytest.mark.slow


def asked(console: Console, job_id: int, *, kill: bool = False) -> list[HostRun]:
    """Returns the rows once every host that was asked about has been looked at."""
    with console.database.transaction() as session:
        job = session.get_one(Job, job_id)
        look.ask(session, job, console.actor, now=console.clock.now(), kill=kill)
    console.dispatcher.nudge()

    def answered() -> list[HostRun] | None:
        runs = console.runs(job_id)
        return runs if all(run.look != look.Look.ASKED for run in runs) else None

    return until(answered, 60, "the hosts were looked at")


def test_a_look_tells_what_a_dead_worker_left_and_ends_it(make_console: Callable[..., Console]) -> None:
    console = make_console(workers=1)
    job_id = console.launch("127.0.0.[1-4]", "setsid sleep 600 & sleep 600", command_timeout=0, **KEY)
    console.until_counts(job_id, r=4)
    runs = console.runs(job_id)
    until(lambda: len(processes_of_runs(runs)) >= 8, 30, "the commands are seen")
    victim = console.workers[0]
    victim.kill()
    console.mark_gone(victim)
    console.start_workers(1)
    assert console.follow(job_id)["counts"]["l"] == 4
    until(lambda: len(processes_of_runs(runs)) == 4, 30, "the guard has ended all but what escaped it")

    runs = asked(console, job_id)
    assert [run.look for run in runs] == ["running"] * 4
    assert all("sleep 600" in (run.look_detail or "") for run in runs)
    assert len(processes_of_runs(runs)) == 4

    runs = asked(console, job_id, kill=True)
    assert [(run.look, run.state, run.reason) for run in runs] == [("gone", "lost", "worker_lost")] * 4
    assert processes_of_runs(runs) == []
    assert all("were ended" in (run.look_detail or "") or "was ended" in (run.look_detail or "") for run in runs)
    assert {run.attempt for run in runs} == {1}
