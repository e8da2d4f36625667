"""A durable run changes hands: it keeps running, one worker has it, and only the last one may say how it ended."""

import threading
from collections.abc import Callable

import pytest

from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.jobs import follow, handover, perform
from opsconsole.jobs.orders import CancelOrder
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Exited, Output, Started, Stream
from tests.support.desk import Desk, Hand
from tests.support.factories import make_key
from tests.support.fake_ssh import FakeConnector, FakeSession, session


def durable(desk: Desk, hand: Hand, **fields: object) -> tuple[int, int]:
    """Returns the run of a new job on one host, which ``hand`` has started, and its fence."""
    desk.order("web1", credential="key:test", **{"durable": True, **fields})
    (message,) = desk.sweep()
    claim = hand.start(*message)
    assert claim.durable is fields.get("durable", True)
    return claim.run_id, claim.fence


def unattended(desk: Desk, *, again: bool = False) -> list[tuple[int, int]]:
    with desk.database.transaction() as session:
        return handover.unattended(session, desk.clock.now(), again=again)


def test_a_run_whose_worker_is_gone_waits_for_another(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    assert unattended(desk) == []
    desk.gone(hand)
    run = desk.run(run_id)
    assert (run.state, run.owner, run.fence) == ("running", None, fence)
    assert desk.letters(run.job_id) == "r"
    assert unattended(desk) == [(run_id, fence)]
    # Once said, it is said again only after a while, or when what was sent may be lost.
    assert unattended(desk) == []
    assert unattended(desk, again=True) == [(run_id, fence)]
    desk.clock.advance(60)
    assert unattended(desk) == [(run_id, fence)]


def test_other_runs_are_lost_as_ever(desk: Desk, hand: Hand) -> None:
    run_id, _ = durable(desk, hand, durable=False)
    desk.gone(hand)
    assert desk.run(run_id).state == "lost"
    assert unattended(desk) == []


def test_one_of_many_messages_takes_it_over(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    other = desk.hand("w2")
    assert other.ledger.take_over(run_id, fence) is None, "its worker lives"
    desk.gone(hand)
    desk.clock.advance(90)
    assert other.ledger.take_over(run_id, fence + 1) is None
    assert other.ledger.take_over(run_id + 1, fence) is None
    claim = other.ledger.take_over(run_id, fence)
    assert claim is not None
    assert (claim.fence, claim.mark, claim.ran_seconds) == (fence + 1, desk.run(run_id).mark, 90.0)
    assert desk.run(run_id).owner == other.id
    assert other.ledger.take_over(run_id, fence) is None
    assert other.ledger.take_over(run_id, fence + 1) is None
    assert other.finish(claim)
    assert desk.run(run_id).state == "succeeded"


def test_who_was_given_up_may_finish_until_another_has_it(desk: Desk, hand: Hand) -> None:
    desk.order("web[1-2]", credential="key:test", durable=True)
    first, second = (hand.start(*message) for message in desk.sweep())
    desk.gone(hand)
    assert hand.finish(first)
    other = desk.hand("w2").ledger.take_over(second.run_id, second.fence)
    assert other is not None
    assert not hand.finish(second)
    assert desk.run(second.run_id).state == "running"


def test_left_runs_may_be_taken_at_once_and_cancelled(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    other = desk.hand("w2")
    desk.gone(hand)
    claim = other.ledger.take_over(run_id, fence)
    assert claim is not None
    other.ledger.hand_over(claim)
    assert unattended(desk) == [(run_id, fence + 1)]
    desk.cancel(desk.run(run_id).job_id)
    again = other.ledger.take_over(run_id, fence + 1)
    assert again is not None
    assert not other.ledger.still_wanted(again)


def _blocked(desk: Desk) -> Callable[[], None]:
    """Raises the alarm at the host of the run, and returns what ends it."""
    trusted, other = make_key(), make_key()
    with desk.database.transaction() as session:
        hostkeys.remember(session, "web1", 22, trusted, source=hostkeys.Source.IMPORT, now=desk.clock.now())
        hostkeys.offer(session, "web1", 22, other, now=desk.clock.now())

    def dismiss() -> None:
        with desk.database.transaction() as session:
            ref = hostkey_desk.KeyRef("web1", 22, hostkeys.fingerprint(other))
            hostkey_desk.remove(session, [ref], actor=desk.actor, now=desk.clock.now())

    return dismiss


def _attach(desk: Desk, run_id: int, fence: int) -> tuple[Performer, FakeSession, threading.Thread]:
    remote = session(Started(4711, 60.0), Output(Stream.STDOUT, b"all of it\n"), Exited(0))
    other = Performer(desk.hand(f"w{len(desk.hands) + 1}").ledger, FakeConnector(remote), Bounds(1024, 1024, 15.0))
    thread = threading.Thread(target=other.attach, args=(run_id, fence))
    thread.start()
    while not other.in_hand():
        threading.Event().wait(0.01)
    return other, remote, thread


@pytest.mark.usefixtures("quick")
def test_a_run_whose_host_is_blocked_waits_until_somebody_decides(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    desk.gone(hand)
    dismiss = _blocked(desk)
    _, remote, thread = _attach(desk, run_id, fence)
    thread.join(0.5)
    assert thread.is_alive()
    assert (desk.run(run_id).state, remote.started) == ("running", [])
    dismiss()
    thread.join(30)
    run = desk.run(run_id)
    assert (run.state, run.exit_status, run.last_line) == ("succeeded", 0, "all of it")


@pytest.mark.usefixtures("quick")
def test_who_waits_for_a_blocked_host_is_cancelled_and_leaves(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    desk.gone(hand)
    _blocked(desk)
    other, _, thread = _attach(desk, run_id, fence)
    other.draining.set()
    thread.join(30)
    run = desk.run(run_id)
    assert (run.state, run.owner, run.fence) == ("running", None, fence + 1)
    other, _, thread = _attach(desk, run_id, fence + 1)
    other.cancel({run_id: CancelOrder(0.05, "Cancelled.")})
    thread.join(30)
    run = desk.run(run_id)
    # Nobody could tell it there.
    assert (run.state, run.reason) == ("cancelled", "kill_unconfirmed")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long."""
    monkeypatch.setattr(perform, "_BLOCKED_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(follow, "_CONFIRM_SECONDS", 0.1)


def test_output_makes_room_for_what_is_told_again(desk: Desk, hand: Hand) -> None:
    run_id, fence = durable(desk, hand)
    other = desk.hand("w2")
    desk.gone(hand)
    claim = other.ledger.take_over(run_id, fence)
    assert claim is not None
    for text in (b"half of", b"half of it"):
        other.ledger.rewind(claim)
        output = BoundedOutput(1024, 1024)
        output.add(1, text, 0)
    assert other.finish(claim, output=b"half of it")
    assert desk.run(run_id).stdout_bytes == len(b"half of it")
