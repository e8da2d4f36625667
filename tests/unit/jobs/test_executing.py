"""What carries out an order on each host, and what is kept of it; a simulated job changes nothing known of hosts."""

import pytest
from sqlalchemy import select

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.errors import Forbidden, Invalid
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.models import HostKey
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs.launch import Order
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.ports import Auth, ConnectionFacts
from opsconsole.jobs.states import Reason, RunState
from tests.support.desk import Desk, Hand

_FACTS = ConnectionFacts("web1", None, host_key_new=False, reused=False, connect_ms=1)


def _has(desk: Desk, name: str, executor: str | None) -> None:
    with desk.database.transaction() as session:
        upsert_host(session, name, now=desk.clock.now()).executor = executor


def _set(desk: Desk, **changes: object) -> None:
    desk.settings = desk.settings.model_copy(update=changes)


def _refused(desk: Desk, targets: str = "web[1-3]", **fields: object) -> str:
    with pytest.raises(Invalid) as error:
        desk.order(targets, **fields)
    return error.value.detail


def test_without_a_word_it_is_ssh(desk: Desk) -> None:
    job = desk.order("web1")
    assert desk.job(job).executor == desk.runs(job)[0].executor == "ssh"


def test_an_order_can_be_played_through_on_any_hosts(desk: Desk, hand: Hand) -> None:
    job = desk.order("web[1-2]", executor="simulate", simulation="seed=7 failures=10%", credential="key:test")
    assert desk.job(job).executor == "simulate"
    assert desk.job(job).options["simulation"] == "seed=7 failures=10%"
    run = desk.runs(job)[0]
    assert (run.executor, run.credential, run.jump, run.host_key_policy) == ("simulate", None, None, None)
    ((run_id, attempt), *_) = desk.sweep()
    claim = hand.take(run_id, attempt)
    assert claim is not None
    assert (claim.target.executor, claim.target.simulation.seed) == (Executor.SIMULATE, "7")  # type: ignore[union-attr]
    assert (claim.auth.key_files, claim.auth.identity, claim.problem) == ((), "simulate", None)


def test_a_simulated_host_stays_one(desk: Desk) -> None:
    _has(desk, "web1", "simulate")
    job = desk.order("web[1-2]")
    assert [run.executor for run in desk.runs(job)] == ["simulate", "ssh"]
    assert desk.job(job).executor == "mixed"
    assert "web1 cannot be reached by ssh: the inventory has it as simulated" in _refused(desk, executor="ssh")


def test_a_console_that_simulates_dials_nobody(desk: Desk) -> None:
    _set(desk, executor="simulate", simulation="seed=9")
    job = desk.order("web[1-2]")
    assert {run.executor for run in desk.runs(job)} == {"simulate"}
    assert desk.job(job).options["simulation"] == "seed=9"
    assert "This console simulates all hosts" in _refused(desk, executor="ssh")


def test_how_simulated_hosts_behave_needs_some(desk: Desk) -> None:
    assert "No host of this order is simulated" in _refused(desk, simulation="seed=1")
    assert "failures= takes a number" in _refused(desk, executor="simulate", simulation="failures=x")
    assert "'telnet' is none of ssh" in _refused(desk, executor="telnet")


def test_a_played_run_stores_no_host_key(desk: Desk, hand: Hand) -> None:
    desk.order("web1", executor="simulate")
    ((run_id, attempt),) = desk.sweep()
    claim = hand.take(run_id, attempt)
    assert claim is not None
    assert hand.ledger.open_gate(claim, _FACTS, deadline=float("inf"))
    assert hand.finish(claim)
    assert desk.run(run_id).host_key is None
    with desk.database.read() as session:
        assert session.scalars(select(HostKey)).all() == []


def test_what_was_played_says_nothing_of_a_host(desk: Desk, hand: Hand) -> None:
    desk.order("web1", executor="simulate")
    ((run_id, attempt),) = desk.sweep()
    claim = hand.take(run_id, attempt)
    assert claim is not None
    assert hand.ledger.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED, "Simulated."))
    with desk.database.read() as session:
        assert desk.launcher.resolve(session, Order("web1", "uptime"), desk.actor)["recent_unreachable"] == []
    # ``last:`` finds the job that was real.
    with pytest.raises(Invalid, match="No job on"):
        desk.order("last:web1")


def test_a_dry_run_says_what_carries_it_out(desk: Desk) -> None:
    with desk.database.read() as session:
        plan = desk.launcher.plan(session, Order("web1", "uptime", executor="simulate"), desk.actor)
    assert plan["executor"] == plan["hosts"][0]["executor"] == "simulate"
    assert (plan["hosts"][0]["credential"], plan["hosts"][0]["credential_from"]) == (None, "simulate")


def test_operators_may_simulate(desk: Desk) -> None:
    job = desk.order("web1", executor="simulate", by=desk.person(Role.OPERATOR))
    assert desk.job(job).executor == "simulate"


def test_local_is_for_admins_of_a_console_that_allows_it(desk: Desk) -> None:
    assert "runs nothing on its workers' own machines (setting allow_local)" in _refused(desk, executor="local")
    _set(desk, allow_local=True)
    with pytest.raises(Forbidden, match="Only admins"):
        desk.order("web1", executor="local", by=desk.person(Role.APPROVER))
    job = desk.order("web1", executor="local")
    run = desk.runs(job)[0]
    assert (desk.job(job).executor, run.executor, run.user) == ("local", "local", desk.settings.own_user)
    assert "A raw run is for a device" in _refused(desk, executor="local", raw=True)


def test_who_is_no_admin_any_more_starts_nothing_locally(desk: Desk, hand: Hand) -> None:
    _set(desk, allow_local=True)
    admin = desk.person(Role.ADMIN)
    job = desk.order("web1", executor="local", by=admin)
    with desk.database.transaction() as session:
        session.get_one(User, admin.user_id).role = Role.OPERATOR.value
    ((run_id, attempt),) = desk.sweep()
    assert hand.take(run_id, attempt) is None
    assert (desk.run(run_id).state, desk.run(run_id).reason) == ("skipped", "not_permitted")
    assert desk.letters(job) == "s"


def test_a_host_may_be_run_on_the_worker_for(desk: Desk, hand: Hand) -> None:
    _set(desk, allow_local=True)
    _has(desk, "switch1", "local")
    desk.order("switch1")
    ((run_id, attempt),) = desk.sweep()
    claim = hand.take(run_id, attempt)
    assert claim is not None
    assert (claim.target.executor, claim.target.simulation, claim.auth) == (Executor.LOCAL, None, Auth("local"))


def test_files_are_carried_over_ssh_alone(desk: Desk) -> None:
    refused = _refused(desk, command="", executor="simulate", pull=["/etc/hostname"])
    assert "Files are carried over SSH alone, which web[1-3] is not reached by here" in refused
