"""A cancel ends what runs on the hosts, whatever it has become there, whoever it runs as, and says what is proven."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from opsconsole.jobs import control
from opsconsole.jobs.models import HostRun, Job
from tests.faults.conftest import KEY, frozen
from tests.support.accounts import accounts
from tests.support.console import Console, processes_of_runs, until
from tests.support.sshd import running_sshd

pytestmark = pytest.mark.slow
_log = logging.getLogger(__name__)
MakeConsole = Callable[..., Console]
SLEEPERS = "sleep 600 & sleep 600"
ESCAPEE = "setsid sleep 600 & sleep 600"
OWN_GROUP = "set -m; (while :; do sleep 1; done) & sleep 600"
DEAF = "trap '' TERM HUP INT; while :; do sleep 1; done"
DEAF_ESCAPEE = "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & sleep 600"
STOPPED = "setsid sh -c 'kill -STOP $$; :' & kill -STOP 0; sleep 600"


@pytest.fixture(scope="module")
def logins() -> Iterator[list[str]]:
    """Accounts to log in as: root and a plain user, with dash and with bash; without root's rights one's own."""
    with accounts() as names:
        yield names


def running(console: Console, job_ids: list[int]) -> list[HostRun]:
    """Returns the rows of the jobs once every host runs its command."""

    def look() -> list[HostRun] | None:
        rows = [run for job_id in job_ids for run in console.runs(job_id)]
        early = [run for run in rows if run.finished_at is not None]
        assert not early, [(run.host, run.state, run.detail) for run in early]
        return rows if all(run.state == "running" for run in rows) else None

    return until(look, 120, "every host runs its command")


@pytest.mark.parametrize("command", [SLEEPERS, "trap '' TERM; sleep 600 & wait; sleep 600", "yes"])
def test_a_cancelled_command_is_gone_from_the_host(make_console: MakeConsole, command: str) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.[1-8]", command, concurrency=4, **KEY)
    console.until_counts(job_id, r=4)
    runs = console.runs(job_id)
    until(lambda: processes_of_runs(runs), 10, "the commands are seen")
    console.cancel(job_id)
    body = console.follow(job_id, 20)
    assert (body["state"], body["stop_reason"], body["counts"]["x"]) == ("cancelled", "operator", 8)
    runs = console.runs(job_id)
    assert [run.reason for run in runs] == ["killed"] * 4 + ["before_start"] * 4
    assert processes_of_runs(runs) == []


@pytest.mark.parametrize(
    ("each", "strict"), [(4, False), pytest.param(50, True, marks=[pytest.mark.faults, pytest.mark.timeout(900)])]
)
def test_two_hundred_are_gone_within_the_grace_and_five_seconds(
    make_console: MakeConsole, logins: list[str], each: int, strict: bool
) -> None:
    grace, few = 5.0, max(each // 25, 1)
    console = make_console(
        workers=2, worker_slots=150, kill_grace=grace, command_timeout=0.0, worker_dead_seconds=120.0
    )
    kinds = {SLEEPERS: each, ESCAPEE: few, OWN_GROUP: few, DEAF: few, DEAF_ESCAPEE: few}
    # The address that was dialled says which of the commands a host runs: one job, so one cancel.
    cases = [f'*" 127.0.{net}."*) {command} ;;' for net, command in enumerate(kinds)]
    targets = [f"{login}@127.0.{net}.[1-{count}]" for login in logins for net, count in enumerate(kinds.values())]
    size = len(logins) * sum(kinds.values())
    script = f'case "$SSH_CONNECTION" in\n{chr(10).join(cases)}\nesac'
    confirm = {"concurrency": 300, "confirm": str(size), "reason": "a test", "connect_timeout": 90}
    job_id = console.launch(",".join(targets), script, **confirm, **KEY)
    runs = running(console, [job_id])
    until(lambda: len(processes_of_runs(runs)) >= 2 * len(runs), 60, "the commands are seen")

    began = time.monotonic()
    console.cancel(job_id)
    until(lambda: not processes_of_runs(runs), 120, "nothing with a mark is alive")
    gone = time.monotonic() - began
    console.follow(job_id, 120)
    settled = time.monotonic() - began
    _log.info(f"{len(runs)} hosts: gone after {gone:.1f} s, settled after {settled:.1f} s")
    ended = console.runs(job_id)
    assert {(run.state, run.reason) for run in ended} == {("cancelled", "killed")}, [
        (run.host, run.state, run.reason, run.detail) for run in ended if run.reason != "killed"
    ][:5]
    assert {run.user for run in ended} == set(logins)
    # On a machine that does other work the short form shows that it ends, the long one how fast.
    assert gone < grace + (5 if strict else 60)


def test_a_command_that_stops_its_own_guard_is_ended_by_its_mark(make_console: MakeConsole) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.1", STOPPED, command_timeout=0, **KEY)
    runs = running(console, [job_id])
    until(lambda: len(processes_of_runs(runs)) >= 2, 30, "the commands are seen")
    console.cancel(job_id)
    console.follow(job_id, 60)
    (run,) = console.runs(job_id)
    assert (run.state, run.reason) == ("cancelled", "killed"), run.detail
    assert processes_of_runs([run]) == []


def test_a_server_that_allows_one_session_is_asked_over_a_new_connection(make_console: MakeConsole) -> None:
    with running_sshd(options={"MaxSessions": "1"}) as server:
        console = make_console(ssh_port=server.port, key_files={"test": server.client_key})
        # The first holds the session open by our output, the second does not.
        jobs = [
            console.launch("127.0.0.1", f"setsid sleep 600 {to} & sleep 600", **KEY) for to in ("", ">/dev/null 2>&1")
        ]
        running(console, jobs)
        for job_id in jobs:
            console.cancel(job_id)
            console.follow(job_id, 60)
        held, free = (console.runs(job_id)[0] for job_id in jobs)
        assert (held.reason, free.reason) == ("killed", "killed"), (held.detail, free.detail)
        assert "over a new connection" in (held.detail or "")
        assert processes_of_runs([held, free]) == []


def test_what_a_time_out_ends_is_searched_for_too(make_console: MakeConsole) -> None:
    console = make_console()
    body, runs = console.run("127.0.0.[1-2]", DEAF_ESCAPEE, command_timeout=1, **KEY)
    assert body["counts"]["k"] == 2
    assert [run.reason for run in runs] == ["command_timeout"] * 2
    assert all("confirmed" in (run.detail or "") for run in runs)
    assert processes_of_runs(runs) == []


def test_a_cancel_has_its_own_grace_and_acts_at_once(make_console: MakeConsole) -> None:
    console = make_console(kill_grace=300.0, sweep_seconds=1.0, worker_dead_seconds=10.0)
    job_id = console.launch("127.0.0.[1-2]", DEAF, command_timeout=0, **KEY)
    running(console, [job_id])
    with console.database.transaction() as session:
        job = session.get_one(Job, job_id)
        control.cancel(session, job, console.actor, now=console.clock.now(), hosts=["127.0.0.1"], grace=0.5)
    console.until_counts(job_id, x=1)
    first, second = console.runs(job_id)
    assert (first.reason, second.state) == ("killed", "running")
    with console.database.transaction() as session:
        job = session.get_one(Job, job_id)
        control.cancel(session, job, console.actor, now=console.clock.now(), grace=0)
    console.follow(job_id, 30)
    assert [run.reason for run in console.runs(job_id)] == ["killed"] * 2


@pytest.mark.parametrize("hosts", [100, pytest.param(1000, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_a_storm_of_cancels_leaves_nothing(make_console: MakeConsole, hosts: int) -> None:
    """Cancels hit every state there is: pending, queued, connecting, running and ended."""
    console = make_console(workers=2, worker_slots=60)
    expression = ",".join(f"127.0.{net}.[1-100]" for net in range(hosts // 100))
    confirm = f"RUN {hosts}" if hosts >= 1000 else str(hosts)
    order = {"concurrency": 60, "confirm": confirm, "reason": "a storm", "command_timeout": 0, **KEY}
    job_id = console.launch(expression, "sleep 0.2; sleep 0.$OPSC_RUN 2>/dev/null; sleep 2", **order)
    console.until_counts(job_id, 60, r=20)
    names = [run.host for run in console.runs(job_id)]
    for start in range(0, hosts, 5):
        with console.database.transaction() as session:
            job = session.get_one(Job, job_id)
            control.cancel(session, job, console.actor, now=console.clock.now(), hosts=names[start : start + 5])
    body = console.follow(job_id, 120)
    assert body["counts"]["x"] + body["counts"]["o"] == hosts, body["counts"]
    assert body["counts"]["x"] > hosts // 2
    runs = console.runs(job_id)
    assert {run.reason for run in runs if run.state == "cancelled"} <= {"killed", "before_start"}
    assert processes_of_runs(runs) == []


def test_a_cancel_while_the_database_is_slow_is_told_truthfully(make_console: MakeConsole) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.[1-4]", SLEEPERS, command_timeout=0, **KEY)
    runs = running(console, [job_id])
    # Somebody holds the only lock there is for a while: workers learn of the order, and cannot write what came of it.
    # They hear nothing before the lock is held, and then have to write that they live.
    with ExitStack() as asleep, console.database.transaction() as session:
        for worker in console.workers:
            asleep.enter_context(frozen(console, worker))
        console.cancel(job_id)
        session.execute(select(Job).where(Job.id == job_id).with_for_update())
        session.get_one(Job, job_id).title = "held"
        session.flush()
        asleep.close()
        until(lambda: not processes_of_runs(runs), 30, "the commands are gone")
    body = console.follow(job_id, 60)
    assert body["counts"]["x"] == 4
    assert [run.reason for run in console.runs(job_id)] == ["killed"] * 4
