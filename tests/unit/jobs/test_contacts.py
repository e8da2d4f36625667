"""What the ends of runs say of their hosts."""

import pytest

from opsconsole.inventory import health
from opsconsole.inventory.health import Health, KeyState, Verdict
from opsconsole.jobs import contacts
from opsconsole.jobs.contacts import judged
from opsconsole.jobs.launch import Order
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.probe import Finding, Stage
from opsconsole.jobs.probe import Verdict as Step
from opsconsole.jobs.states import Reason, RunState
from tests.support.desk import Desk, Hand

_CLOSED = Outcome(RunState.UNREACHABLE, Reason.REFUSED, "Nothing listens there.")


def _known(desk: Desk, *hosts: str) -> dict[str, Health]:
    with desk.database.read() as session:
        return health.of_hosts(session, hosts)


def _shut(desk: Desk, targets: str) -> object:
    with desk.database.read() as session:
        return desk.launcher.resolve(session, Order(targets, "uptime"), desk.actor)["recent_unreachable"]


@pytest.mark.parametrize(
    ("reason", "started", "found"),
    [
        (Reason.EXIT_STATUS, True, (Verdict.OK, KeyState.TRUSTED)),
        (Reason.RUN_AS, True, (Verdict.OK, KeyState.TRUSTED)),
        (Reason.CONNECTION_LOST, True, (Verdict.LOST, KeyState.TRUSTED)),
        (Reason.DNS, False, (Verdict.UNREACHED, None)),
        (Reason.JUMP, False, (Verdict.UNREACHED, None)),
        (Reason.AUTH, False, (Verdict.REFUSED, KeyState.TRUSTED)),
        (Reason.HOST_KEY_CHANGED, False, (Verdict.REFUSED, KeyState.CHANGED)),
        (Reason.CREDENTIAL, False, None),
        (Reason.DENIED_NETWORK, False, None),
        (None, False, None),
    ],
)
def test_a_host_is_judged_by_what_it_did_alone(
    reason: Reason | None, *, started: bool, found: tuple[Verdict, KeyState | None] | None
) -> None:
    assert judged(reason, started=started) == found


def test_every_end_of_a_run_adds_to_its_host(desk: Desk, hand: Hand) -> None:
    job = desk.order("web1,ops@WEB2:2222,web3")
    first, second, third = (hand.take(*message) for message in desk.sweep())
    assert first is not None
    assert second is not None
    assert third is not None
    assert hand.gate(first)
    assert hand.finish(first, Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1), output=b"no\n")
    assert hand.finish(second, _CLOSED)
    known = _known(desk, "web1", "web2", "web3")
    assert sorted(known) == ["web1", "web2"]
    up, down = known["web1"], known["web2"]
    assert (up.verdict, up.letters, up.reason, up.connect_ms, up.history[0].job) == (Verdict.OK, "o", None, 3, job)
    assert (down.verdict, down.reason, down.detail) == (Verdict.UNREACHED, "refused", "Nothing listens there.")
    assert _shut(desk, "web[1-3]") == ["web2"]
    # It is back: that counts, and a result that is told twice counts once.
    desk.order("web2")
    claim = hand.start(*desk.sweep()[0])
    assert hand.finish(claim, output=b"up\n")
    assert not hand.finish(claim, output=b"up\n")
    assert _known(desk, "web2")["web2"].letters == "uo"
    assert _shut(desk, "web[1-3]") == []


def test_a_test_of_the_connection_is_a_contact(desk: Desk) -> None:
    tcp = Finding(Stage.TCP, Step.OK, 5, "It takes connections.")
    login = Finding(Stage.LOGIN, Step.OK, 7, "Logged in.")
    shell = Finding(Stage.SHELL, Step.FAILED, 900, "No shell.")
    shut = Finding(Stage.TCP, Step.FAILED, 3, "Nothing listens.", reason=Reason.REFUSED)
    ours = Finding(Stage.LOGIN, Step.FAILED, 0, "The credential is gone.", reason=Reason.CREDENTIAL)
    with desk.database.transaction() as session:
        for findings in ([shut], [tcp, login, shell], [ours], []):
            contacts.note_test(session, "ops@Web1:2222", findings, desk.clock.now())
    known = _known(desk, "web1")["web1"]
    assert (known.letters, known.connect_ms, known.detail) == ("uo", 12, "Nothing listens.")


def test_what_was_only_played_says_nothing(desk: Desk, hand: Hand) -> None:
    desk.order("web1", executor="simulate")
    ((run_id, attempt),) = desk.sweep()
    claim = hand.take(run_id, attempt)
    assert claim is not None
    assert hand.finish(claim, _CLOSED)
    assert _known(desk, "web1") == {}
