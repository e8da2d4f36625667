"""From an order to a job, or to a refusal that leaves nothing behind."""

import hashlib
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.credentials.models import JobSecret
from opsconsole.errors import ConfirmationRequired, Conflict, Forbidden, Invalid, OpsconsoleError, TooLarge
from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun, Job
from opsconsole.secret import Secret
from tests.support.desk import Desk, Hand
from tests.support.factories import make_host


def refusal(desk: Desk, kind: type[OpsconsoleError], by: Actor | None = None, **fields: Any) -> OpsconsoleError:
    """Returns the error of an order that must leave no row behind."""
    actor = by or desk.actor
    order = Order(**{"targets": "web1", "command": "uptime", **fields})
    with pytest.raises(kind) as caught, desk.database.transaction() as session:
        desk.launcher.launch(session, order, actor, now=desk.clock.now())
    with desk.database.read() as session:
        assert not session.scalar(select(func.count()).select_from(Job))
        assert not session.scalar(select(func.count()).select_from(HostRun))
        assert not session.scalar(select(func.count()).select_from(JobSecret))
    return caught.value


@pytest.mark.parametrize(
    "targets",
    [
        "",
        "   ",
        "web[1-",
        "web[5-1]",
        "[0-999999999]",
        "web[1-20000]",
        "-oProxyCommand=x",
        "a;b|c",
        "@nosuchgroup",
        "web\x001",
        "web1\x00",
        "web1,!web1",
        "$(reboot)",
        "failed:#99",
    ],
)
def test_a_bad_host_list_is_named_and_starts_nothing(desk: Desk, targets: str) -> None:
    error = refusal(desk, Invalid, targets=targets)
    assert error.errors[0].field == "targets"
    assert len(error.detail) < 1000
    assert "\x00" not in error.detail


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"exclude": "web[1-"}, "exclude"),
        ({"command": ""}, "command"),
        ({"command": " \n\t "}, "command"),
        ({"command": "up\x00time"}, "command"),
        ({"command": "echo \ud800"}, "command"),
        ({"user": "-oX"}, "user"),
        ({"user": "a b"}, "user"),
        ({"user": "a\x00"}, "user"),
        ({"credential": "key:none"}, "credential"),
        ({"credential": "key:"}, "credential"),
        ({"credential": "auto:x", "password": None}, "credential"),
        ({"credential": "ambient"}, "credential"),
        ({"credential": "password"}, "password"),
        ({"credential": "password", "password": Secret("")}, "password"),
        ({"password": Secret("hunter2")}, "password"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1001}, "concurrency"),
        ({"connect_timeout": 0.0}, "connect_timeout"),
        ({"max_failures": "many"}, "max_failures"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 101}, "idempotency_key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
    ],
)
def test_a_bad_field_is_named_and_starts_nothing(desk: Desk, fields: dict[str, Any], field: str) -> None:
    error = refusal(desk, Invalid, **fields)
    assert field in [fault.field for fault in error.errors]
    assert "hunter2" not in f"{error.detail} {error.errors} {error.extra}"


def test_a_command_of_300_kib_is_too_large(desk: Desk) -> None:
    assert refusal(desk, TooLarge, command="x" * 300 * 1024).errors[0].field == "command"
    assert refusal(desk, TooLarge, command="é" * 200 * 1024).errors[0].field == "command"


@pytest.mark.parametrize("scope", [None, Scope.READ])
def test_who_may_only_look_starts_nothing(desk: Desk, scope: Scope | None) -> None:
    viewer = desk.person(Role.VIEWER)
    actor = viewer if scope is None else Actor(desk.actor.user_id, desk.actor.name, Role.ADMIN, "t", scope)
    refusal(desk, Forbidden, by=actor)


def test_hosts_outside_the_inventory_are_refused_unless_allowed(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"allow_unlisted_hosts": False})
    with desk.database.transaction() as session:
        make_host(session, "web1")
    error = refusal(desk, Invalid, targets="web[1-3]")
    assert error.errors[0].code == "unknown_hosts"
    assert "web[2-3]" in error.detail
    assert desk.order("web1")


def test_what_was_seen_is_what_runs(desk: Desk) -> None:
    with desk.database.read() as session:
        seen = desk.launcher.resolve(session, Order(targets="web[1-3]", command="uptime"), desk.actor)
    assert (seen["count"], seen["folded"], seen["risk"]["confirm"]) == (3, "web[1-3]", None)
    for wrong in ({"expect_count": 2}, {"expect_digest": "sha256:0"}):
        error = refusal(desk, Conflict, targets="web[1-3]", **wrong)
        assert error.code == "target_changed"
        assert error.extra["count"] == 3
        assert error.extra["digest"] == seen["digest"]
    assert desk.order("web[1-3]", expect_count=3, expect_digest=seen["digest"])


@pytest.mark.parametrize("typed", [None, "", "99", "101", "RUN 100", "yes"])
def test_a_large_order_wants_its_count(desk: Desk, typed: str | None) -> None:
    error = refusal(desk, ConfirmationRequired, targets="web[1-100]", confirm=typed)
    assert error.extra["risk"] == {
        "tier": 2,
        "reasons": ["100 hosts"],
        "confirm": "100",
        "reason_required": False,
    }


def test_production_counts_by_its_tag(desk: Desk) -> None:
    with desk.database.transaction() as session:
        for name in ("web1", "web2"):
            make_host(session, name, tags={"env": "prod"})
    refusal(desk, ConfirmationRequired, targets="web[1-2]")
    assert desk.order("web1")
    assert desk.order("web[1-2]", confirm="2")


def test_the_same_key_of_the_same_person_is_the_same_job(desk: Desk) -> None:
    first = desk.order("web1", idempotency_key="k")
    assert desk.order("web1", idempotency_key="k", confirm="1", reason="again") == first
    with pytest.raises(Conflict, match="of another order") as mismatch:
        desk.order("db[1-5]", idempotency_key="k")
    assert mismatch.value.code == "idempotency_mismatch"
    other = desk.person(Role.OPERATOR)
    assert desk.order("web1", by=other, idempotency_key="k") != first
    with desk.database.read() as session:
        assert session.scalar(select(func.count()).select_from(HostRun)) == 2


def test_each_host_gets_a_row_that_says_where_and_as_whom(desk: Desk) -> None:
    with desk.database.transaction() as session:
        make_host(session, "web1", address="10.0.0.1", port=2201, user="deploy")
        make_host(session, "web2", address="10.0.0.2")
    job_id = desk.order("web1 web2 root@web3:2222 [fe80::1]:22 WEB1", user="ops", title="  A\ttitle  ")
    rows = [(run.i, run.host, run.address, run.port, run.user, run.state) for run in desk.runs(job_id)]
    assert rows == [
        (0, "web1", "10.0.0.1", 2201, "ops", "pending"),
        (1, "web2", "10.0.0.2", 22, "ops", "pending"),
        (2, "root@web3:2222", "web3", 2222, "root", "pending"),
        (3, "[fe80::1]:22", "fe80::1", 22, "ops", "pending"),
    ]
    job = desk.job(job_id)
    assert (job.title, job.target_count, job.ver, job.n_q, job.state) == ("A title", 4, 1, 4, "pending")
    job_id = desk.order("web1")
    assert desk.runs(job_id)[0].user == "deploy"


def test_carriage_returns_of_a_form_do_not_reach_the_shell(desk: Desk) -> None:
    job = desk.job(desk.order("web1", "echo a\r\necho b\r\n"))
    assert job.command == "echo a\necho b\n"
    assert job.title == "echo a"


def test_the_order_is_audited_in_its_transaction(desk: Desk) -> None:
    job_id = desk.order("web[1-2]", "id", reason="ticket 7", user="root")
    with desk.database.read() as session:
        (row,) = session.scalars(select(AuditRecord).where(AuditRecord.action == "job.launch"))
    assert (row.object, row.text, row.actor) == (f"job/{job_id}", "id", desk.actor.name)
    assert row.detail is not None
    assert row.detail["reason"] == "ticket 7"
    assert row.detail["count"] == 2
    assert row.detail["command_sha256"] == hashlib.sha256(b"id").hexdigest()


def test_a_typed_password_is_sealed_and_wiped_at_the_end(desk: Desk, hand: Hand) -> None:
    secret = "hunter2-canary"
    job_id = desk.order("web[1-2]", credential="password", password=Secret(secret))

    def sealed() -> list[bytes]:
        with desk.database.read() as session:
            return list(session.scalars(select(JobSecret.sealed)))

    assert len(sealed()) == 1
    file = desk.settings.data_dir / "opsconsole.db"
    stored = b"".join(path.read_bytes() for path in file.parent.glob("opsconsole.db*"))
    assert b"uptime" in stored
    assert secret.encode() not in stored
    first, second = desk.sweep()
    hand.finish(hand.start(*first))
    assert len(sealed()) == 1
    hand.finish(hand.start(*second))
    assert desk.job(job_id).state == "succeeded"
    assert sealed() == []


def test_a_cancelled_job_wipes_its_password_too(desk: Desk) -> None:
    job_id = desk.order("web1", credential="password", password=Secret("hunter2"))
    desk.cancel(job_id)
    with desk.database.read() as session:
        assert session.scalars(select(JobSecret)).all() == []


def test_another_secret_key_cannot_open_the_password(desk: Desk) -> None:
    desk.order("web1", credential="password", password=Secret("hunter2"))
    other = desk.hand(
        "other", settings=desk.settings.model_copy(update={"secret_key": SecretStr("another secret key")})
    )
    (message,) = desk.sweep()
    claim = other.take(*message)
    assert claim is not None
    assert claim.problem is not None
    assert claim.problem.reason == "credential"
    assert "secret key" in claim.problem.detail
    assert "hunter2" not in repr(claim)
