"""How hosts have answered, through the API, the pages and the command line's words."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.cli.health import line, lines
from opsconsole.db.database import Database
from opsconsole.inventory import health
from opsconsole.inventory.health import Contact, KeyState, Verdict
from tests.functional.api.callers import Program
from tests.support.clock import START
from tests.support.factories import make_host


@pytest.fixture
def met(database: Database, program: Callable[..., Program]) -> int:
    """Returns the job of somebody else that met web1 and then could not reach it."""
    with database.transaction() as session:
        make_host(session, "Web1")
        make_host(session, "web2")
    job = int(program(Role.ADMIN).post("jobs", {"targets": "web1", "command": "id"}).json["id"])
    ok = Contact("web1", START, Verdict.OK, host_key=KeyState.TRUSTED, connect_ms=8, job=job)
    bad = Contact("web1", START + timedelta(minutes=1), Verdict.UNREACHED, "refused", "Nothing listens.", job=job)
    with database.transaction() as session:
        health.note(session, [ok, bad, Contact("stray", START, Verdict.OK)])
    return job


def test_who_may_see_the_job_is_told_whose_contact_it_was(met: int, program: Callable[..., Program]) -> None:
    viewer, operator = program(Role.APPROVER), program(Role.OPERATOR)
    told = viewer.get("inventory/hosts/web1/health").json
    assert (told["host"], told["detail"], [past["job"] for past in told["history"]]) == (
        "web1",
        "Nothing listens.",
        [met, met],
    )
    known = told["health"]
    assert (known["state"], known["reachable"], known["login"]) == ("unreached", False, None)
    assert (known["host_key"], known["connect_ms"], known["reason"], known["recent"]) == ("trusted", 8, "refused", "ou")
    assert known["seen_at"] == known["ok_at"] == START.isoformat()
    other = operator.get("inventory/hosts/web1/health").json
    assert other["health"] == known
    assert (other["detail"], [past["job"] for past in other["history"]]) == (None, [None, None])


def test_it_comes_with_the_hosts(met: int, program: Callable[..., Program]) -> None:
    viewer = program(Role.OPERATOR)
    listed = {host["name"]: host for host in viewer.get("inventory/hosts?health=1").json["hosts"]}
    assert listed["Web1"]["health"]["recent"] == "ou"
    assert listed["web2"]["health"] is None
    assert "health" not in viewer.get("inventory/hosts").json["hosts"][0]
    assert viewer.get("inventory/hosts/Web1").json["health"]["state"] == "unreached"
    # One that was reached and is in no inventory is told, too; one that nobody knows is not there.
    assert viewer.get("inventory/hosts/Stray/health").json["health"]["state"] == "ok"
    assert viewer.get("inventory/hosts/web2/health").json["history"] == []
    assert viewer.get("inventory/hosts/nobody/health").status_code == 404


def test_the_command_line_says_it_in_words(met: int, program: Callable[..., Program]) -> None:
    told = program(Role.APPROVER).get("inventory/hosts/web1/health").json
    assert line("web1", told["health"]).split() == ["web1", "ou", "unreached", *_moment(0), "refused"]
    assert line("web2", None).split() == ["web2", "never", "met"]
    texts = [f"{name}: {text}" for name, text in lines(told)]
    assert "host key: trusted" in texts
    assert any(text.endswith("Nothing listens.") for text in texts)
    assert texts[-2].endswith(f"unreached (refused)  job {met}")
    assert list(lines({"health": None})) == [("last contact", "never met")]


def _moment(minutes: int) -> list[str]:
    return f"{(START + timedelta(minutes=minutes)).isoformat()[:19].replace('T', ' ')}Z".split()
