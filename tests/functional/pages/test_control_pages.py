"""The forms of run control without script: who may send them, what they do, and where they lead."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.play import Play
from tests.functional.pages.people import Person

Players = Callable[[int], Play]


def state(database: Database, job: int) -> str:
    with database.read() as session:
        return session.get_one(Job, job).state


def held(database: Database, job: int) -> list[int]:
    with database.read() as session:
        query = select(HostRun.i).where(HostRun.job_id == job, HostRun.held.is_(True)).order_by(HostRun.i)
        return list(session.scalars(query))


def test_a_job_is_paused_resumed_and_cancelled(operator: Person, database: Database) -> None:
    job = operator.job("web[1-3]")
    page = f"/jobs/{job}"
    for verb, then in (("pause", "paused"), ("resume", "running"), ("cancel", "stopping")):
        answer = operator.send(page, to=f"{page}/{verb}")
        assert (answer.status_code, answer.headers["Location"]) == (303, page)
        assert state(database, job) in {then, "cancelled"}


def test_a_title_is_changed_and_given_back(operator: Person, admin: Person, database: Database) -> None:
    job = operator.job("web1", "uptime\ndate")
    page = f"/jobs/{job}"
    for wanted, shown in (("Look <at> it\n", "Look &lt;at&gt; it"), ("", "uptime")):
        answer = operator.send(f"{page}?view=details", {"title": wanted}, to=f"{page}/title")
        assert (answer.status_code, answer.headers["Location"]) == (303, page)
        assert f'<h1 class="cut">{shown}</h1>' in operator.text(page)
    assert state(database, job) == "pending"
    audit = admin.text("/audit?action=job.title")
    assert audit.count(f"/jobs/{job}") == 2


def test_waves_and_ticked_hosts_are_held_back(operator: Person, database: Database) -> None:
    job = operator.job("web[1-6]", pace="waves", waves="2")
    page = f"/jobs/{job}"
    operator.send(page, {"wave": "1"}, to=f"{page}/pause")
    assert held(database, job) == [2, 3]
    operator.send(page, {"wave": "1"}, to=f"{page}/resume")
    operator.send(page, {"host": ["web1", "web6"]}, to=f"{page}/pause")
    assert held(database, job) == [0, 5]
    assert operator.send(page, {"wave": "first"}, to=f"{page}/pause").status_code == 422
    assert operator.send(page, {"wave": "7"}, to=f"{page}/pause").status_code == 422


def test_a_double_continue_passes_one_gate(operator: Person, database: Database, play: Players) -> None:
    job = operator.job("web[1-6]", pace="waves", waves="2")
    play(job).start(0, 1)
    with database.transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(state="paused", pause_reason="wave"))
    for _ in range(2):
        operator.send(f"/jobs/{job}", {"wave": "0"}, to=f"/jobs/{job}/continue")
    with database.read() as session:
        found = session.get_one(Job, job)
        assert (found.state, found.wave) == ("running", 1)


@pytest.mark.parametrize("path", ["pause", "resume", "continue", "cancel", "check", "again"])
def test_who_only_looks_changes_nothing(
    operator: Person, person: Callable[..., Person], database: Database, path: str
) -> None:
    job = operator.job("web[1-3]")
    viewer = person(Role.VIEWER)
    assert viewer.send("/jobs", to=f"/jobs/{job}/{path}").status_code == 403
    assert viewer.send("/jobs", {"reason": "x"}, to="/stop").status_code == 403
    assert state(database, job) == "pending"


def test_who_sees_own_jobs_only_is_not_told_that_nothing_runs(
    operator: Person, admin: Person, person: Callable[..., Person]
) -> None:
    viewer = person(Role.VIEWER)
    assert "Nothing waits and nothing runs." in admin.text("/queue")
    assert "Nothing has run." in admin.text("/jobs")
    operator.job("web[1-3]")
    assert "No job that you may see waits or runs." in viewer.text("/queue")
    assert "only approvers and administrators see the jobs of others" in viewer.text("/jobs")


def test_an_emergency_stop_is_told_on_every_page_until_an_admin_lifts_it(
    operator: Person, admin: Person, database: Database
) -> None:
    job = operator.job("web[1-3]")
    assert "3</b> not started will be cancelled" in operator.text("/stop")
    assert "The jobs of everybody else are stopped, too." in operator.text("/stop")
    assert "everybody else" not in admin.text("/stop")
    answer = operator.send("/stop", {"reason": "the wrong <disk>", "cancel": "yes"})
    assert answer.headers["Location"] == "/queue"
    assert state(database, job) in {"stopping", "cancelled"}
    for path in ("/run", "/jobs", f"/jobs/{job}", "/queue", "/me", "/workers", "/notices"):
        assert "the wrong &lt;disk&gt;" in operator.text(path)
    assert "Lift the stop" not in operator.text("/jobs")
    assert operator.send("/jobs", to="/lift").status_code == 403
    assert admin.send("/jobs", to="/lift").status_code == 303
    assert "the wrong" not in operator.text("/jobs")


def test_what_ended_without_an_outcome_stands_in_the_head(operator: Person, play: Callable[[int], Play]) -> None:
    job = operator.job("web[1-3]")
    workers = play(job)
    workers.start(0, 1, 2)
    workers.end(0)
    workers.end(1, state=RunState.CANCELLED, reason=Reason.WORKER_SHUTDOWN.value)
    workers.end(2, state=RunState.LOST, reason=Reason.WORKER_LOST.value)
    page = operator.get(f"/jobs/{job}").get_data(as_text=True)
    assert "1 ended by a worker&#39;s shutdown, 1 lost" in page
    assert "3 of 3 hosts ended" in page


def test_a_stop_may_leave_what_runs(operator: Person, database: Database) -> None:
    job = operator.job("web[1-3]")
    operator.send("/stop", {"reason": ""})
    assert state(database, job) == "pending"


def test_the_dry_run_tells_host_by_host_and_writes_nothing(operator: Person, database: Database) -> None:
    fields = {"credential": "password", "pace": "waves", "canary_mode": "first", "canary_of": "1", "waves": "2"}
    page = operator.run("web[1-4]", "echo '<b>'", action="plan", **fields).get_data(as_text=True)
    assert "web3" in page
    assert "echo &#39;&lt;b&gt;&#39;" in page
    assert "Canary of 1, then 2 waves" in page
    assert "the password typed for this job" in page
    fields |= {"canary_of": "4", "waves": ""}
    page = operator.run("web[1-4]", action="plan", **fields).get_data(as_text=True)
    assert page.count("The canary takes all 4 hosts: nothing follows it") == 2
    with database.read() as session:
        assert session.scalars(select(Job.id)).all() == []


def test_a_dry_run_names_what_is_wrong(operator: Person) -> None:
    answer = operator.run("web[1-4]", action="plan", pace="waves", waves="2 x")
    assert answer.status_code == 422
    assert "is not the size of a wave" in answer.get_data(as_text=True)


def test_every_option_of_an_order_comes_back_with_its_rerun(
    operator: Person, database: Database, play: Players
) -> None:
    fields = {
        "pace": "waves",
        "canary_mode": "random",
        "canary_of": "2",
        "canary_match": "up [0-9]+",
        "canary_gate": "auto",
        "waves": "1 *2",
        "wave_pause": "1.5",
        "wave_jitter": "2",
        "wave_gate": "on_failure",
        "order": "random",
        "retries": "2",
        "retry_pause": "7",
        "idle_timeout": "30",
        "job_timeout": "3600",
        "max_failures": "25%",
        "ignore_unreachable": "yes",
        "at_stop": "kill",
        "priority": "low",
        "durable": "yes",
    }
    job = operator.job("web[1-6]", **fields)
    with database.read() as session:
        first = session.get_one(Job, job)
        options, priority = first.options, first.priority
    page = operator.text(f"/run?from={job}&state=q")
    for name, value in fields.items():
        assert kept(page, name, value), name
    again = operator.job("web[1-6]", **{**fields, "rerun_of": str(job)})
    with database.read() as session:
        second = session.get_one(Job, again)
        assert (second.options, second.priority, second.rerun_of) == (options, priority, job)
    assert options["canary"] == "random 2"
    assert (options["count_unreachable"], options["durable"]) == (False, True)


def kept(page: str, name: str, value: str) -> bool:
    """Whether the form holds the value, as text, as the chosen option, or ticked."""
    field = page.partition(f'name="{name}"')[2]
    if name in {"ignore_unreachable", "durable"}:
        return " checked" in field.partition(">")[0]
    if name == "pace":
        return f'name="pace" value="{value}" checked' in page
    return (
        f'value="{value}"' in field.partition(">")[0] or f'value="{value}" selected' in field.partition("</select>")[0]
    )


def test_one_by_one_is_one_at_a_time(operator: Person, database: Database) -> None:
    job = operator.job("web[1-3]", pace="one", concurrency="50")
    with database.read() as session:
        assert session.get_one(Job, job).options["concurrency"] == 1
    assert 'name="pace" value="one" checked' in operator.text(f"/run?from={job}&state=q")


def test_the_address_fills_waves_and_never_runs(operator: Person) -> None:
    page = operator.text("/run?targets=web[1-9]&command=uptime&canary=each+dc&waves=2+*2&wave_gate=manual")
    for name, value in (("pace", "waves"), ("canary_mode", "each"), ("canary_of", "dc"), ("waves", "2 *2")):
        assert kept(page, name, value), name


def test_high_priority_is_offered_to_those_who_may(operator: Person, admin: Person) -> None:
    assert 'value="high"' not in operator.text("/run")
    assert 'value="high"' in admin.text("/run")


def test_chosen_hosts_fill_the_form_and_more_than_an_address_holds_too(operator: Person) -> None:
    job = operator.job("web[1-9]")
    page = operator.send(f"/jobs/{job}", {"host": ["web2", "web7"]}, to=f"/jobs/{job}/again").get_data(as_text=True)
    assert "web2\nweb7</textarea>" in page
    assert f'name="rerun_of" value="{job}"' in page


def test_reruns_and_attempts_stand_side_by_side(operator: Person, play: Players) -> None:
    job = operator.job("web[1-4]")
    workers = play(job)
    workers.start(*range(4))
    workers.end(0, 1, 2)
    workers.end(3, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    again = operator.job("web4", rerun_of=str(job))
    page = operator.text(f"/jobs/{job}?view=details&host=web4")
    assert f'href="/jobs/{again}"' in page
    assert "web[1-3]" in page.partition('id="lineage"')[2]
    assert "2 attempts at this host" in page


def test_a_job_tells_how_it_is_carried_out_and_where_it_is(operator: Person, database: Database, play: Players) -> None:
    job = operator.job("web[1-6]", pace="waves", canary_mode="first", canary_of="1", waves="2", wave_gate="manual")
    workers = play(job)
    workers.start(0)
    assert '<span id="wave-note" class="sub"></span>' in operator.text(f"/jobs/{job}?view=details")
    with database.transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(wave=1))
    page = operator.text(f"/jobs/{job}?view=details")
    assert "1 of 3" in page
    for fact in ("Canary", "Between waves", "wait for a person"):
        assert fact in page
