"""A durable run changes hands: it keeps running, one worker has it, and only the last one may say how it ended."""

from opsconsole.jobs import handover
from opsconsole.jobs.output import BoundedOutput
from tests.support.desk import Desk, Hand


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
