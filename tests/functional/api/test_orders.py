"""What an order can say, dry runs, and orders that are given again."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from opsconsole.accounts.permissions import Role
from opsconsole.credentials.models import JobSecret
from opsconsole.db.database import Database
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import RunState
from tests.functional.api.callers import Program
from tests.functional.api.play import Play


def test_a_key_of_another_order_is_noticed(operator: Program, play: Callable[[int], Play]) -> None:
    order = {"targets": "web[1-2]", "command": "uptime"}
    key = {"Idempotency-Key": "abc"}
    job = operator.post("jobs", order, headers=key).json["id"]
    assert operator.post("jobs", {**order, "confirm": "2", "reason": "why"}, headers=key).status_code == 200
    other = operator.post("jobs", {**order, "command": "reboot"}, headers=key)
    assert (other.status_code, other.json["code"], other.json["job"]) == (409, "idempotency_mismatch", job)
    play(job).start(0)
    again = {"Idempotency-Key": "again"}
    first = operator.post(f"jobs/{job}/rerun", {"states": ["q"]}, headers=again)
    play(job).start(1)
    play(job).end(1, state=RunState.FAILED)
    second = operator.post(f"jobs/{job}/rerun", {"states": ["q"]}, headers=again)
    assert second.status_code in {200, 422}
    assert first.status_code == 201


def test_a_changed_fleet_is_told_host_by_host(operator: Program) -> None:
    expect = {"count": 3, "hosts": "web[1-2],db1"}
    answer = operator.post("jobs", {"targets": "web[2-4]", "command": "uptime", "expect": expect})
    assert (answer.status_code, answer.json["code"]) == (409, "target_changed")
    assert (answer.json["added"], answer.json["removed"]) == (["web3", "web4"], ["db1", "web1"])
    same = {"hosts": "web[2-4]"}
    assert operator.post("jobs", {"targets": "web[2-4]", "command": "uptime", "expect": same}).status_code == 201


def test_high_priority_is_for_those_who_answer_for_others(operator: Program, program: Callable[..., Program]) -> None:
    order = {"targets": "web1", "command": "uptime", "priority": "high"}
    refused = operator.post("jobs", order)
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (403, "priority")
    approver = program(Role.APPROVER)
    job = approver.post("jobs", order).json["id"]
    assert approver.get(f"jobs/{job}").json["priority"] == "high"
    assert operator.get(f"jobs/{operator.launch(priority='low')}").json["priority"] == "low"


def test_a_dry_run_tells_each_host_and_writes_nothing(
    operator: Program, program: Callable[..., Program], database: Database
) -> None:
    order = {
        "targets": "root@web[1-4]:2222",
        "command": "uptime",
        "waves": "1 3",
        "canary": "1",
        "max_failures": "25%",
        "concurrency": 2,
        "credential": "password",
        "password": "hunter2hunter2",
        "timeouts": {"job_ms": 60_000},
    }
    plan = operator.post("plan", order).json
    assert (plan["count"], plan["worst_case"], plan["allowed_failures"]) == (4, 3, 1)
    assert [(wave["kind"], wave["size"]) for wave in plan["waves"]] == [("canary", 1), ("wave", 1), ("wave", 2)]
    assert plan["waves"][0]["folded"] == "root@web1:2222"
    assert plan["hosts"][3] == {
        "i": 3,
        "host": "root@web4:2222",
        "address": "web4",
        "port": 2222,
        "user": "root",
        "credential": "the password typed for this job",
        "credential_from": "job",
        "host_key_policy": "strict",
        "jump": None,
        "jump_from": None,
        "executor": "ssh",
        "wave": 2,
        "command": "uptime",
        "variables": None,
    }
    assert plan["options"]["job_timeout"] == 60
    assert plan["policy"] == {"allowed": True, "reasons": []}
    assert "hunter2" not in str(plan)
    with database.read() as session:
        assert not session.scalar(select(func.count()).select_from(Job))
    seen = program(Role.VIEWER).post("plan", {"targets": "web1", "command": "uptime", "priority": "high"}).json
    assert seen["policy"]["allowed"] is False
    assert len(seen["policy"]["reasons"]) == 3
    assert seen["hosts"][0]["credential"] is None
    assert operator.post("plan", {**order, "waves": "1 x"}).json["errors"][0]["field"] == "waves"


@pytest.mark.parametrize(
    ("fields", "drawn"), [({"canary": "random 1"}, True), ({"order": "random"}, True), ({"canary": "1"}, False)]
)
def test_a_dry_run_says_when_the_launch_draws_anew(operator: Program, fields: dict[str, str], drawn: bool) -> None:
    plan = operator.post("plan", {"targets": "web[1-3]", "command": "uptime", **fields}).json
    assert plan["drawn_again"] is drawn


def test_an_order_keeps_every_option_and_a_rerun_carries_them_over(
    program: Callable[..., Program], operator: Program, play: Callable[[int], Play]
) -> None:
    admin = program(Role.ADMIN)
    for name in ("web1", "web2", "web3"):
        assert admin.post("inventory/hosts", {"name": name, "tags": {"dc": "eu"}}).status_code == 201
    refused = operator.post("jobs", {"targets": "web[1-3]", "command": "uptime", "limit_per": "nosuch=1"}).json
    assert refused["errors"][0]["message"] == "No host of the targets has a tag 'nosuch'."
    chosen = {
        "concurrency": 3,
        "max_failures": "50%",
        "count_unreachable": False,
        "at_stop": "kill",
        "waves": "1 *2",
        "wave_pause": 2.5,
        "wave_jitter": 1.0,
        "wave_gate": "on_failure",
        "canary": "1",
        "canary_match": "ok",
        "canary_gate": "manual",
        "order": "random",
        "limit_per": "dc=2",
        "retries": 2,
        "retry_pause": 3.0,
        "durable": True,
    }
    timeouts = {"connect_ms": 1000, "command_ms": 2000, "idle_ms": 3000, "job_ms": 4000}
    job = operator.launch(**chosen, timeouts=timeouts, priority="low")
    status = operator.get(f"jobs/{job}").json
    assert {name: status["options"][name] for name in chosen} == chosen
    assert (status["timeout_ms"], status["durable"], status["priority"]) == (4000, True, "low")
    play(job).start(0, 1, 2)
    play(job).end(0)
    play(job).end(1, state=RunState.LOST)
    play(job).end(2, state=RunState.TIMED_OUT)
    again = operator.post(f"jobs/{job}/rerun", {"states": ["l", "k"]}).json
    assert again["options"] == status["options"]
    assert (again["priority"], again["durable"], again["targets"]["folded"]) == ("low", True, "web[2-3]")


def test_a_raw_order_is_carried_and_its_variables_are_quoted_for_nobody(
    program: Callable[..., Program], operator: Program, play: Callable[[int], Play]
) -> None:
    admin = program(Role.ADMIN)
    for name, rack in (("sw1", "r1"), ("sw2", "~r2")):
        assert admin.post("inventory/hosts", {"name": name, "tags": {"rack": rack}}).status_code == 201
    order = {"targets": "sw1", "command": "hostname {tag.rack}", "raw": True, "raw_typed": True}
    plan = operator.post("plan", order).json
    assert (plan["what"], plan["hosts"][0]["command"]) == ({"raw": True, "raw_typed": True}, "hostname r1")
    refused = operator.post("plan", {**order, "targets": "sw[1-2]"}).json
    assert refused["errors"][0]["code"] == "variable_in_quotes"
    refused = operator.post("resolve", {**order, "durable": True}).json
    assert [(fault["field"], fault["code"]) for fault in refused["errors"]] == [("durable", "not_in_raw")]
    job = operator.launch("sw1", raw=True, raw_typed=True)
    assert operator.get(f"jobs/{job}").json["what"] == {"raw": True, "raw_typed": True}
    play(job).start(0)
    play(job).end(0, state=RunState.LOST)
    again = operator.post(f"jobs/{job}/rerun", {"states": ["l"]}).json
    assert again["what"] == {"raw": True, "raw_typed": True}
    assert operator.post(f"jobs/{job}/check", {}).json["code"] == "raw_run"


@pytest.mark.parametrize("letter", list("ofkuxsl"))
def test_a_job_is_run_again_on_the_hosts_in_any_state(
    operator: Program, play: Callable[[int], Play], letter: str
) -> None:
    job = operator.launch("web[1-8]")
    ends = {"o": RunState.SUCCEEDED, "f": RunState.FAILED, "k": RunState.TIMED_OUT, "l": RunState.LOST}
    play(job).start(0, 1, 2, 3)
    for place, state in enumerate(ends.values()):
        play(job).end(place, state=state)
    play(job).refuse(4, reason="dns")
    play(job).leave(5, RunState.SKIPPED)
    operator.post(f"jobs/{job}/cancel", {"hosts": ["web7"]})
    name = {"o": "web1", "f": "web2", "k": "web3", "l": "web4", "u": "web5", "s": "web6", "x": "web7"}[letter]
    assert operator.post(f"jobs/{job}/rerun", {"states": [letter]}).json["targets"]["folded"] == name
    assert operator.post(f"jobs/{job}/rerun", {"states": list("ql")}).json["targets"]["folded"] == "web[4,8]"


def test_a_lineage_shows_every_attempt(
    operator: Program, program: Callable[..., Program], play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    play(job).start(0, 1, 2)
    play(job).end(0, 2)
    play(job).end(1, state=RunState.FAILED, exit_status=3, reason="exit_status")
    second = operator.post(f"jobs/{job}/rerun", {"states": ["f"]}).json["id"]
    play(second).refuse(0, reason="dns")
    third = operator.post(f"jobs/{second}/rerun", {"states": ["u"]}).json["id"]
    operator.launch()
    for start in (job, second, third):
        found = operator.get(f"jobs/{start}/lineage").json["jobs"]
        assert [(item["id"], item["rerun_of"]) for item in found] == [(job, None), (second, job), (third, second)]
    tried = operator.get(f"jobs/{third}/hosts/web2/attempts").json["attempts"]
    assert [(item["job"], item["state"], item["reason"], item["exit"]) for item in tried] == [
        (job, "failed", "exit_status", 3),
        (second, "unreachable", "dns", None),
        (third, "pending", None, None),
    ]
    assert len(operator.get(f"jobs/{job}/hosts/web1/attempts").json["attempts"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "field", "meant"),
    [
        ("jobs/{job}/cancel", {"host": ["web1"]}, "host", "hosts"),
        ("jobs/{job}/pause", {"Hosts": ["web1"]}, "Hosts", "hosts"),
        ("jobs/{job}/resume", {"host": ["web1"]}, "host", "hosts"),
        ("jobs/{job}/check", {"host": ["web1"], "kill": True}, "host", "hosts"),
        ("jobs/{job}/rerun", {"states": ["q"], "host": ["web1"]}, "host", "hosts"),
        ("jobs", {"targets": "web1", "command": "id", "max_failure": 1}, "max_failure", "max_failures"),
        ("jobs", {"targets": "web1", "command": "id", "timeouts": {"connect": 5}}, "timeouts.connect", "connect_ms"),
        ("jobs", {"targets": "web1", "command": "id", "zzz": 5}, "zzz", None),
        ("hold", {"cancle": False}, "cancle", "cancel"),
        ("inventory/hosts/change", {"expression": "web1", "removed": True}, "removed", "remove"),
    ],
)
def test_a_misspelt_field_is_refused_and_does_nothing(
    program: Callable[..., Program], database: Database, path: str, body: dict[str, object], field: str, meant: str
) -> None:
    admin = program(Role.ADMIN)
    job = admin.launch()
    answer = admin.post(path.format(job=job), body)
    assert answer.status_code == 422
    assert [(fault["field"], fault["code"]) for fault in answer.json["errors"]] == [(field, "unknown_field")]
    told = answer.json["errors"][0]["message"]
    assert told == "there is no such field" + (f"; did you mean {meant}?" if meant else "")
    assert admin.get(f"jobs/{job}").json["counts"]["q"] == 3
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_how_a_command_is_run_is_planned_kept_and_carried_over(
    operator: Program, play: Callable[[int], Play], database: Database
) -> None:
    what = {
        "interpreter": "python3 -u", "args": ["a b"], "stdin": "x\n", "cwd": "/srv", "umask": "027", "env": {"A": "1"},
        "check": "true", "verify": "test -f x", "step_barrier": "host",
    }  # fmt: skip
    order = {"targets": "web1", "command": "print(1)", **what}
    assert operator.post("resolve", order).json["risk"]["tier"] == 0
    assert operator.post("plan", order).json["what"] == what
    job = operator.post("jobs", order).json["id"]
    assert operator.get(f"jobs/{job}").json["what"] == what
    play(job).start(0)
    play(job).end(0, state=RunState.FAILED)
    again = operator.post(f"jobs/{job}/rerun", {"states": ["f"]}).json["id"]
    with database.read() as session:
        assert session.scalars(select(Job.what).where(Job.id.in_([job, again]))).all() == [what, what]
    refused = operator.post("resolve", {**order, "umask": "9", "env": {"OPSC_RUN": "x"}})
    assert [fault["field"] for fault in refused.json["errors"]] == ["umask", "env"]


def test_each_host_gets_its_own_values_and_keeps_them(program: Callable[..., Program], operator: Program) -> None:
    admin = program(Role.ADMIN)
    for name, rack in (("web1", "r1"), ("web2", "~r2")):
        body = {"name": name, "address": "10.0.0.1", "tags": {"rack": rack}}
        assert admin.post("inventory/hosts", body).status_code == 201
    order = {"targets": "web[1-2]", "command": "echo {n} {host.name}", "env": {"RACK": "{tag.rack}"}}
    seen = operator.post("resolve", order).json["example"]
    assert (seen["host"], seen["command"]) == ("web1", "echo 1 web1")
    planned = operator.post("plan", order).json["hosts"]
    assert [host["command"] for host in planned] == ["echo 1 web1", "echo 2 web2"]
    assert planned[1]["variables"] == {"host.name": "web2", "n": "2", "tag.rack": "~r2"}
    job = operator.post("jobs", order).json["id"]
    for fields, field, code in (
        ({"command": "echo '{tag.rack}'"}, "command", "variable_in_quotes"),
        ({"command": "echo {tag.row}"}, "command", "no_value"),
        ({"cwd": "{host.rack}"}, "cwd", "unknown_variable"),
    ):
        for path in ("resolve", "plan", "jobs"):
            refused = operator.post(path, {**order, **fields})
            assert (refused.status_code, refused.json["errors"][0]["field"], refused.json["errors"][0]["code"]) == (
                422, field, code,
            )  # fmt: skip
    assert admin.patch("inventory/hosts/web2", {"tags": {"rack": "other"}}).status_code == 200
    rows = operator.get(f"jobs/{job}/hosts").json["rows"]
    assert rows[1]["variables"]["tag.rack"] == "~r2"


def test_another_account_is_kept_without_its_password(
    program: Callable[..., Program], operator: Program, play: Callable[[int], Play], database: Database
) -> None:
    order = {"targets": "web1", "command": "id", "run_as": "root"}
    job = operator.post("jobs", {**order, "run_as_password": "hunter2"}).json["id"]
    what = {"run_as": "root", "run_as_method": "sudo", "run_as_credential": "password"}
    assert operator.get(f"jobs/{job}").json["what"] == what
    with database.read() as session:
        (name,) = session.scalars(select(JobSecret.name).where(JobSecret.job_id == job))
    assert name == "run_as_password"
    play(job).start(0)
    play(job).end(0, state=RunState.FAILED)
    refused = operator.post(f"jobs/{job}/rerun", {"states": ["f"]}).json
    assert (refused["errors"][0]["field"], refused["errors"][0]["code"]) == ("run_as_password", "missing")
    again = operator.post(f"jobs/{job}/rerun", {"states": ["f"], "run_as_password": "hunter2"})
    assert (again.status_code, again.json["what"]) == (201, what)
    for fields, field in (
        ({"run_as": "a b"}, "run_as"),
        ({"run_as": ""}, "run_as_method"),
        ({"run_as_credential": "cred:nosuch"}, "run_as_credential"),
        ({"run_as_credential": "other"}, "run_as_credential"),
        ({"run_as_credential": "none", "run_as_password": "x"}, "run_as_password"),
    ):
        refused = operator.post("jobs", {**order, "run_as_method": "su", **fields}).json
        assert refused["errors"][0]["field"] == field, refused
