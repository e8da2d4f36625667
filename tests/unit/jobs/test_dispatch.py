"""Which runs may go next, and when a message is sent again."""

import pytest

from opsconsole.jobs import dispatch
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.states import JobState, Reason, RunState
from tests.support.desk import Desk, Hand

FAILED = Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1)


def test_never_more_than_the_concurrency(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-10]", credential="key:test", concurrency=3)
    sent = desk.sweep()
    assert [run_id for run_id, _ in sent] == [run.id for run in desk.runs(job_id)[:3]]
    assert desk.sweep() == []
    claim = hand.take(*sent[0])
    assert claim is not None
    assert desk.sweep() == []
    assert hand.gate(claim)
    assert desk.sweep() == []
    assert hand.finish(claim)
    assert len(desk.post.collect()) == 1
    assert desk.sweep() == []
    assert desk.job(job_id).n_queued == 3


def test_without_workers_nothing_is_queued(desk: Desk) -> None:
    job_id = desk.order("web[1-3]")
    assert desk.sweep() == []
    assert desk.job(job_id).state == "pending"
    desk.hand()
    assert len(desk.sweep()) == 3
    assert desk.job(job_id).state == "running"
    assert desk.job(job_id).started_at == desk.clock.now()


def test_no_more_waits_in_the_broker_than_the_workers_soon_need(desk: Desk) -> None:
    small = desk.hand("small", slots=2)
    first, second = desk.order("web[1-20]", credential="key:test"), desk.order("db[1-20]", credential="key:test")
    sent = desk.sweep()
    assert len(sent) == 4
    assert desk.sweep() == []
    small.start(*sent[0])
    assert len(desk.sweep()) == 1
    assert desk.job(first).n_queued + desk.job(second).n_queued == 4


@pytest.mark.parametrize(("allowed", "failures"), [("0", 1), ("1", 2), ("20%", 3)])
def test_one_failure_too_many_and_nothing_more_is_queued(desk: Desk, hand: Hand, allowed: str, failures: int) -> None:
    job_id = desk.order("web[1-10]", credential="key:test", concurrency=3, max_failures=allowed)
    running = [hand.start(*message) for message in desk.sweep()]
    for count in range(failures):
        assert desk.job(job_id).state == "running"
        assert hand.finish(running.pop(0), FAILED)
        if count < failures - 1:
            running += [hand.start(*message) for message in desk.post.collect()]
    assert desk.post.collect() == []
    assert desk.sweep() == []
    job = desk.job(job_id)
    assert (job.state, job.stop_reason) == ("stopping", "threshold")
    assert job.n_s == 10 - failures - len(running)
    for claim in running:
        assert hand.finish(claim)
    assert desk.sweep() == []
    job = desk.job(job_id)
    assert (job.state, job.n_s) == ("failed", 10 - failures - 2)
    assert desk.letters(job_id).count("s") == job.n_s
    assert {run.reason for run in desk.runs(job_id) if run.state == "skipped"} == {"threshold"}


def test_queued_runs_are_skipped_as_well_and_their_messages_start_nothing(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-4]", credential="key:test", max_failures="0")
    first, *others = desk.sweep()
    hand.finish(hand.start(*first), FAILED)
    assert [hand.take(*message) for message in others] == [None, None, None]
    assert desk.letters(job_id) == "fsss"


def test_all_that_failed_at_the_end_is_no_threshold(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test", max_failures="0")
    hand.finish(hand.start(*desk.sweep()[0]), FAILED)
    job = desk.job(job_id)
    assert (job.state, job.stop_reason) == ("failed", None)


def test_a_lost_message_is_sent_again_ever_more_rarely(desk: Desk, hand: Hand) -> None:
    desk.order("web1", credential="key:test")
    (message,) = desk.sweep()
    waits, waited = [], 0
    while len(waits) < 7:
        desk.clock.advance(1)
        waited += 1
        if desk.sweep():
            waits.append(waited)
            waited = 0
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    assert hand.take(*message) is not None
    desk.clock.advance(10_000)
    assert desk.sweep() == []


def test_all_messages_may_be_sent_again_at_once(desk: Desk, hand: Hand) -> None:
    desk.order("web[1-3]", credential="key:test")
    sent = desk.sweep()
    with desk.database.transaction() as session:
        dispatch.republish_soon(session, desk.clock.now())
    assert sorted(desk.sweep()) == sorted(sent)
    assert desk.sweep() == []


def test_draining_and_gone_workers_offer_no_slots(desk: Desk) -> None:
    from opsconsole.jobs import recover

    one, two = desk.hand("one", slots=10), desk.hand("two", slots=5)
    assert desk.slots() == 15
    with desk.database.transaction() as session:
        assert recover.beat(session, one.id, busy=0, draining=True, now=desk.clock.now())
    assert desk.slots() == 5
    with desk.database.transaction() as session:
        assert recover.mark_gone(session, "here", two.pid, desk.clock.now()) == 1
        assert recover.mark_gone(session, "elsewhere", one.pid, desk.clock.now()) == 0
    assert desk.slots() == 0


def test_a_small_job_does_not_wait_for_a_big_one(desk: Desk) -> None:
    hand = desk.hand(slots=30)
    sure = {"confirm": "RUN 5000", "reason": "it is big"}
    big = desk.order("web[1-5000]", credential="key:test", concurrency=1000, **sure)
    messages = desk.sweep()
    assert len(messages) == 60
    running = [hand.start(*messages.pop(0)) for _ in range(30)]
    messages += desk.post.collect() + desk.sweep()
    assert desk.job(big).n_queued == 60
    small = desk.order("db[1-10]", credential="key:test", by=desk.person())
    messages += desk.sweep()
    assert desk.job(small).n_queued == 10
    ends = 0
    while not JobState(desk.job(small).state).terminal:
        # One host ends, and its slot takes the message that has waited longest.
        hand.finish(running.pop(0))
        ends += 1
        while len(running) < 30:
            claim = hand.take(*messages.pop(0))
            if claim is not None:
                assert hand.gate(claim)
                running.append(claim)
            messages += desk.post.collect()
    # The ten slots that came free first were its own; then 29 ends of the others before the last of them.
    assert ends <= 40


def test_who_was_passed_over_is_sent_again(desk: Desk) -> None:
    hand = desk.hand(slots=4)
    big = desk.order("web[1-8]", credential="key:test")
    for message in desk.sweep()[:4]:
        hand.start(*message)
    small = desk.order("db1", credential="key:test", by=desk.person())
    desk.sweep()
    (first,) = [run for run in desk.runs(big) if run.i == 4]
    claim = hand.take(first.id, 1)
    assert claim is not None
    assert claim.job_id == small
    assert desk.run(first.id).state == "queued"
    assert (first.id, 1) in desk.post.collect()


def test_of_one_persons_jobs_the_higher_priority_goes_first(desk: Desk) -> None:
    desk.hand(slots=2)
    low, high = (
        desk.order(f"{name}[1-9]", credential="key:test", priority=word)
        for name, word in (("web", "low"), ("db", "high"))
    )
    assert len(desk.sweep()) == 4
    assert (desk.job(low).n_queued, desk.job(high).n_queued) == (0, 4)


def test_a_slot_that_is_another_jobs_turn_is_left_to_the_sweep(desk: Desk) -> None:
    hand = desk.hand(slots=1)
    big = desk.order("web[1-9]", credential="key:test")
    first, _ = desk.sweep()
    claim = hand.start(*first)
    desk.post.collect()
    desk.sweep()
    small = desk.order("db[1-9]", credential="key:test", by=desk.person())
    desk.sweep()
    before = desk.job(big).n_queued
    hand.finish(claim)
    assert desk.job(big).n_queued == before
    assert desk.job(small).n_queued > 0


def test_what_a_waiting_wave_cannot_use_goes_to_others(desk: Desk) -> None:
    hand = desk.hand(slots=2)
    waves = desk.order("web[1-9]", credential="key:test", waves="1")
    (message,) = desk.sweep()
    hand.start(*message)
    other = desk.order("db[1-9]", credential="key:test")
    assert len(desk.sweep()) == 4
    assert (desk.job(waves).n_queued, desk.job(other).n_queued) == (0, 4)
