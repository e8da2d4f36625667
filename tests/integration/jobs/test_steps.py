"""Orders with a check and a verify, on real hosts: what ran, what each step wrote, and what the host is called."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from opsconsole.jobs import queries, results
from opsconsole.jobs.models import HostRun, Job
from tests.support.console import Console, until
from tests.support.sshd import Sshd

_JOB_SECONDS = 90.0
_KEY = {"credential": "key:test"}


def _run(console: Console, targets: str, command: str, **order: Any) -> dict[str, dict[str, Any]]:
    """Returns, by host, its row, its steps, and what each of them wrote, once the job has ended."""
    job_id = console.launch(targets, command, **{**_KEY, **order})
    console.follow(job_id)
    return _told(console, job_id)


def _told(console: Console, job_id: int) -> dict[str, dict[str, Any]]:
    found = {}
    with console.database.transaction() as session:
        for run in session.scalars(select(HostRun).where(HostRun.job_id == job_id)):
            steps = queries.host_steps(session, run)
            said = {step["step"]: b"".join(results.raw(session, run, step=step["step"])) for step in steps}
            how = " ".join(f"{step['step']}:{step['state']}:{step['exit']}" for step in steps)
            found[run.host] = {**queries.run_row(run), "steps": how, "said": said}
    return found


@pytest.mark.parametrize("durable", [False, True])
def test_each_host_goes_as_far_as_its_steps_let_it(console: Console, sshd: Sshd, durable: bool) -> None:
    order: dict[str, Any] = {
        "check": "echo c {n}; echo ce >&2; case {n} in 2) exit 77;; 3) exit 5;; esac",
        "verify": "echo v; [ {n} != 5 ]",
        "interpreter": "bash -eu",
        "durable": durable,
    }
    hosts = [f"127.0.4.{n}" for n in range(1, 6)]
    script = "echo a; echo ae >&2; case ${BASH_VERSION:+$1} in 4) exit 9;; esac"
    found = _run(console, ",".join(hosts), script, args=["{n}"], max_failures="5", **order)
    told = {host: (row["state"], row["reason"], row["exit"], row["step"], row["steps"]) for host, row in found.items()}
    all_of_them = "check:passed:0 act:passed:0 verify"
    assert told == {
        hosts[0]: ("succeeded", None, 0, "verify", f"{all_of_them}:passed:0"),
        hosts[1]: ("succeeded", "nothing_to_do", 77, "check", "check:nothing_to_do:77"),
        hosts[2]: ("failed", "check", 5, "check", "check:failed:5"),
        hosts[3]: ("failed", "exit_status", 9, "act", "check:passed:0 act:failed:9"),
        hosts[4]: ("failed", "verify", 1, "verify", f"{all_of_them}:failed:1"),
    }
    said = {step: sorted(text.split(b"\n")) for step, text in found[hosts[0]]["said"].items()}
    assert said == {"check": [b"", b"c 1", b"ce"], "act": [b"", b"a", b"ae"], "verify": [b"", b"v"]}
    assert not any(b"opsc-step" in text for row in found.values() for text in row["said"].values())


def test_a_host_is_ended_in_the_step_that_it_is_at(console: Console, sshd: Sshd) -> None:
    found = _run(console, "127.0.4.11", "sleep 60", check="echo c", verify="echo v", command_timeout=2)["127.0.4.11"]
    assert (found["state"], found["reason"], found["step"]) == ("timed_out", "command_timeout", "act")
    assert found["steps"].startswith("check:passed:0 act:timed_out:")
    job_id = console.launch("127.0.4.12", "echo a", check="echo c; exec sleep 60", verify="echo v", **_KEY)
    until(lambda: _steps(console, job_id) == {"check": 1}, _JOB_SECONDS, "the check runs")
    console.cancel(job_id)
    console.follow(job_id)
    found = _told(console, job_id)["127.0.4.12"]
    assert (found["state"], found["reason"], found["step"]) == ("cancelled", "killed", "check")
    assert re.fullmatch(r"check:cancelled:(None|\d+)", found["steps"])
    again = console.rerun(job_id, "x")
    until(lambda: _steps(console, again) == {"check": 1}, _JOB_SECONDS, "the check runs again, from the beginning")
    console.cancel(again)
    console.follow(again)


@pytest.mark.parametrize("durable", [False, True])
def test_no_host_acts_before_all_have_passed_the_check(
    console: Console, sshd: Sshd, tmp_path: Path, durable: bool
) -> None:
    log = tmp_path / "log"
    order = {"check": f"sleep 0.{{n}}; echo c >> {log}; echo c", "verify": f"echo v >> {log}; echo v; [ {{n}} != 2 ]"}
    found = _run(
        console, "127.0.4.[21-24]", f"echo a >> {log}; echo a", step_barrier="wave", durable=durable, **order
    )  # fmt: skip
    assert log.read_text().split() == ["c"] * 4 + ["a"] * 4 + ["v"] * 4
    told = [(row["state"], row["reason"], row["step"]) for _, row in sorted(found.items())]
    assert told == [("succeeded", None, "verify"), ("failed", "verify", "verify")] + [("succeeded", None, "verify")] * 2
    for row in found.values():
        assert row["said"] == {"check": b"c\n", "act": b"a\n", "verify": b"v\n"}
        assert (row["bytes"], row["lines"], row["last_line"]) == (6, 3, "v")
    assert len({row["group"] for row in found.values() if row["state"] == "succeeded"}) == 1


def _steps(console: Console, job_id: int) -> dict[str, int]:
    """Returns on how many hosts each step runs now, as the job's status tells."""
    with console.database.transaction() as session:
        told = queries.steps_of(session, session.get_one(Job, job_id))
    assert told is not None
    return {one["step"]: one["counts"]["r"] for one in told["list"] if one["counts"]["r"]}
