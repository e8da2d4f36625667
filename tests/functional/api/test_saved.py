"""Saved commands over the API: kept, changed, run, by those who may."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.db.database import Database
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs.models import Job
from tests.functional.api.callers import Program
from tests.support.clock import START

ORDER = {
    "targets": "@web",
    "exclude": "web9",
    "command": "df -h\nuptime",
    "user": "deploy",
    "waves": "1 100%",
    "max_failures": "1",
    "env": {"LC_ALL": "C"},
    "interpreter": "bash",
    "args": ["a b"],
    "timeouts": {"command_ms": 2500},
    "priority": "low",
}


@pytest.fixture(autouse=True)
def fleet(database: Database) -> Callable[..., None]:
    """Puts hosts into @web; called again, others."""

    def put(*names: str) -> None:
        with database.transaction() as session:
            for name in names:
                upsert_host(session, name, now=START)
            session.flush()
            set_group(session, "web", names)

    put("web1", "web2", "web9")
    return put


def test_what_is_kept_is_what_runs(operator: Program, database: Database, fleet: Callable[..., None]) -> None:
    moving = operator.post("saved", {"name": " Disk  space ", "order": ORDER, "notes": "why"}).json
    fixed = operator.post("saved", {"name": "fixed", "static": True, "order": ORDER}).json
    assert (moving["name"], moving["static"], moving["hosts"], moving["order"]) == ("Disk space", False, None, ORDER)
    assert (fixed["static"], fixed["hosts"], fixed["last_job"]) == (True, "web[1-2]", None)
    fleet("web2", "web3")
    jobs = [operator.post(f"saved/{item['id']}/run", {}).json["id"] for item in (moving, fixed)]
    with database.read() as session:
        first, second = (session.get_one(Job, job) for job in jobs)
        assert (first.folded, second.folded) == ("web[2-3]", "web[1-2]")
        assert (first.title, first.saved_id, first.command) == ("Disk space", moving["id"], ORDER["command"])
        assert (first.auth["user"], first.options["waves"], first.options["command_timeout"]) == (
            "deploy",
            "1 100%",
            2.5,
        )
        assert first.what is not None
        assert (first.priority, first.what["args"]) == (-1, ["a b"])
    assert operator.get(f"jobs/{jobs[0]}").json["saved_id"] == moving["id"]
    listed = operator.get("saved").json["saved"]
    assert [(item["name"], item["last_job"]) for item in listed] == [("Disk space", jobs[0]), ("fixed", jobs[1])]
    # What it holds may be given to POST /jobs as it is.
    assert operator.post("jobs", listed[0]["order"]).status_code == 201


def test_nothing_of_one_launch_is_kept(operator: Program) -> None:
    for more in ({"password": "hunter2-canary"}, {"confirm": "2"}, {"reason": "x"}, {"expect": {"count": 2}}):
        answer = operator.post("saved", {"name": "x", "order": ORDER | more})
        assert answer.status_code == 422
        assert "does not keep" in answer.json["detail"]
        assert "hunter2" not in answer.text
    asking = operator.post("saved", {"name": "asking", "order": ORDER | {"credential": "password"}}).json
    assert operator.post(f"saved/{asking['id']}/run", {}).json["errors"][0]["field"] == "password"
    assert operator.post(f"saved/{asking['id']}/run", {"password": "hunter2-canary"}).status_code == 201
    assert "hunter2" not in operator.get("saved").text


def test_an_order_that_could_not_be_given_is_not_kept(operator: Program) -> None:
    for order, field in (
        ({"targets": "@nosuch", "command": "x"}, "targets"),
        ({"targets": "@web", "command": " "}, "command"),
        ({"targets": "@web", "command": "x", "waves": "0"}, "waves"),
    ):
        answer = operator.post("saved", {"name": "x", "order": order})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    sometimes = {"targets": "failed:last:@web", "command": "uptime"}
    assert operator.post("saved", {"name": "again", "static": True, "order": sometimes}).status_code == 422
    again = operator.post("saved", {"name": "again", "order": sometimes}).json
    assert operator.post(f"saved/{again['id']}/run", {}).json["errors"][0]["code"] == "unknown_job"
    for name in ("", " ", "x" * 101, "a\x07b"):
        assert operator.post("saved", {"name": name, "order": ORDER}).status_code == 422
    assert operator.post("saved", {"name": "AGAIN", "order": ORDER}).json["code"] == "name_taken"


def test_a_saved_command_asks_for_the_same_word(operator: Program, fleet: Callable[..., None]) -> None:
    fleet(*(f"web{number}" for number in range(1, 101)))
    saved = operator.post("saved", {"name": "all", "order": {"targets": "@web", "command": "uptime"}}).json["id"]
    asked = operator.post(f"saved/{saved}/run", {})
    assert (asked.status_code, asked.json["risk"]["confirm"]) == (428, "RUN 100")
    sure = {"confirm": "RUN 100", "reason": "change 17"}
    changed = operator.post(f"saved/{saved}/run", sure | {"expect": {"count": 99}})
    assert (changed.status_code, changed.json["code"]) == (409, "target_changed")
    key = {"Idempotency-Key": "once"}
    first = operator.post(f"saved/{saved}/run", sure, headers=key)
    again = operator.post(f"saved/{saved}/run", sure, headers=key)
    assert (first.status_code, again.status_code, again.json["id"]) == (201, 200, first.json["id"])


def test_who_may_change_and_see_it(operator: Program, program: Callable[..., Program], database: Database) -> None:
    saved = operator.post("saved", {"name": "mine", "order": ORDER}).json
    body = {"name": "renamed", "order": {"targets": "web1", "command": "uptime"}, "version": saved["version"]}
    other, admin, viewer = program(Role.APPROVER), program(Role.ADMIN), program(Role.VIEWER)
    reader = program(Role.OPERATOR, Scope.READ)
    path = f"saved/{saved['id']}"
    assert other.get(path).json["may_change"] is False
    assert reader.get(path).status_code == 200
    assert reader.post(f"{path}/run", {}).status_code == viewer.get(path).status_code == 403
    assert other._call("PUT", path, json=body).status_code == other.delete(path).status_code == 403
    assert operator._call("PUT", path, json=body).json["version"] == 2
    stale = operator._call("PUT", path, json=body)
    assert (stale.status_code, stale.json["code"]) == (409, "version_changed")
    job = other.post(f"{path}/run", {}).json["id"]
    assert operator.get(path).json["last_job"] is None
    assert admin.get(path).json["last_job"] == job
    assert admin.delete(path).status_code == 204
    assert operator.get(path).status_code == 404
    with database.read() as session:
        actions = list(session.scalars(select(AuditRecord.action).where(AuditRecord.action.startswith("saved."))))
    assert actions == ["saved.added", "saved.changed", "saved.removed"]
