"""What runs say while the database is away: nobody waits for it, nothing is lost, nothing is told twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.models import HostRun, OutputChunk
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import Reason, RunState
from tests.support.console import until
from tests.support.desk import SUCCEEDED, Desk, Hand

_KEPT = 4096


class Outage:
    """Lets every transaction of one database fail until it is over."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries = 0
        self.over = threading.Event()
        real = Database.transaction

        @contextmanager
        def transaction(inner: Database) -> Iterator[Session]:
            if inner is database and not self.over.is_set():
                self.tries += 1
                raise Unavailable("The database does not answer: gone", code="database")
            with real(inner) as session:
                yield session

        monkeypatch.setattr(Database, "transaction", transaction)


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.settings = desk.settings.model_copy(update={"spool_seconds": 0.0})
    return desk


@pytest.fixture
def claim(desk: Desk, hand: Hand) -> Claim:
    desk.order("web1", credential="key:test")
    return hand.start(*desk.sweep()[0])


def spool_of(desk: Desk) -> Spool:
    return Spool(desk.settings.spool_dir, offload=lambda call: call())


def stored(desk: Desk) -> bytes:
    with desk.database.read() as session:
        return b"".join(session.scalars(select(OutputChunk.data).order_by(OutputChunk.offset)))


def finishing(hand: Hand, claim: Claim, output: BoundedOutput) -> threading.Thread:
    thread = threading.Thread(target=hand.ledger.finish, args=(claim, SUCCEEDED), kwargs={"output": output})
    thread.start()
    return thread


def test_output_does_not_wait_and_stays_bounded(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, output = Outage(desk.database, monkeypatch), BoundedOutput(_KEPT, _KEPT)
    began = time.monotonic()
    for second in range(200):
        output.add(1, b"%099d\n" % second * 10, second)
        hand.ledger.progress(claim, output, tail=True)
    assert time.monotonic() - began < 5
    held = hand.ledger._delivery._sent[output]
    assert sum(len(chunk.data) for chunk in held.flush.chunks) <= 3 * _KEPT
    outage.over.set()
    assert hand.ledger.finish(claim, SUCCEEDED, output=output)
    run = desk.run(claim.run_id)
    assert (run.state, run.stdout_bytes, run.lines) == ("succeeded", 200_000, 2000)
    assert (run.gap_from, run.gap_bytes) == (_KEPT, 200_000 - _KEPT - (len(stored(desk)) - _KEPT))
    assert stored(desk).endswith(b"%099d\n" % 199)


def test_a_result_waits_on_disk_and_is_gone_from_there_once_it_is_stored(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, output = Outage(desk.database, monkeypatch), BoundedOutput(_KEPT, _KEPT)
    output.add(1, b"hello\n", 0)
    hand.ledger.progress(claim, output, tail=False)
    output.add(2, b"world\n", 1)
    waiting = finishing(hand, claim, output)
    spool = spool_of(desk)
    until(spool.waiting, 10, "the result lies in the spool")
    kept = spool.load(f"{claim.run_id}-{claim.fence}")
    assert kept is not None
    # The part that was sent before has not arrived, so it is there, too.
    assert b"".join(chunk.data for chunk in kept.flush.chunks) == b"hello\nworld\n"
    # What this process still delivers is not replayed beside it.
    hand.ledger.replay()
    assert spool.waiting()
    outage.over.set()
    waiting.join(10)
    assert spool.waiting() == []
    run = desk.run(claim.run_id)
    assert (run.state, run.late, run.lines) == ("succeeded", False, 2)
    assert stored(desk) == b"hello\nworld\n"


def left_behind(desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Lets ``hand`` end while the database is away, and leaves its result in the spool."""
    outage, output = Outage(desk.database, monkeypatch), BoundedOutput(_KEPT, _KEPT)
    output.add(1, b"from before\n", 0)
    waiting = finishing(hand, claim, output)
    spool = spool_of(desk)
    until(spool.waiting, 10, "the result lies in the spool")
    hand.ledger.leave()
    waiting.join(10)
    assert not waiting.is_alive()
    # What it has just sent once more must end with it, as it does with a process.
    hand.ledger.close()
    outage.over.set()
    return spool


def test_the_next_process_stores_what_the_last_one_could_not(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = left_behind(desk, hand, claim, monkeypatch)
    desk.gone(hand)
    assert desk.run(claim.run_id).state == "lost"
    heir = desk.hand("heir")
    desk.sweep()
    heir.ledger.take(999, 1)
    heir.ledger.replay()
    run = desk.run(claim.run_id)
    assert (run.state, run.late, run.reason, stored(desk)) == ("succeeded", True, None, b"from before\n")
    assert spool.waiting() == []
    assert desk.job(claim.job_id).state == "succeeded"


def test_a_result_that_came_another_way_is_not_told_twice(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = left_behind(desk, hand, claim, monkeypatch)
    failed = Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1)
    heir = desk.hand("heir")
    assert heir.finish(claim, failed)
    before = desk.job(claim.job_id).ver
    heir.ledger.replay()
    assert spool.waiting() == []
    assert desk.run(claim.run_id).state == "failed"
    assert desk.letters(claim.job_id) == "f"
    assert desk.job(claim.job_id).ver == before + 1


@pytest.mark.parametrize("what", ["generation", "job"])
def test_a_result_of_another_database_is_set_aside(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    spool = left_behind(desk, hand, claim, monkeypatch)
    kept = spool.load(spool.waiting()[0])
    assert kept is not None
    changed = {"generation": "another"} if what == "generation" else {"job_id": 999}
    from dataclasses import replace

    spool.keep(replace(kept, **changed))
    heir = desk.hand("heir")
    heir.ledger.take(999, 1)
    with capture_logs() as told:
        heir.ledger.replay()
    assert any("set aside" in line["event"] for line in told)
    assert spool.waiting() == []
    assert len(list((desk.settings.spool_dir / "aside").iterdir())) == 1
    assert desk.run(claim.run_id).state == "running"


def test_replay_waits_for_the_database(desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = left_behind(desk, hand, claim, monkeypatch)
    heir = desk.hand("heir")
    heir.ledger.take(999, 1)
    outage = Outage(desk.database, monkeypatch)
    heir.ledger.replay()
    assert outage.tries == 1
    assert spool.waiting()


def test_a_disk_that_takes_nothing_costs_nothing_while_the_process_lives(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, output = Outage(desk.database, monkeypatch), BoundedOutput(_KEPT, _KEPT)
    output.add(1, b"hello\n", 0)

    def full(*_: object) -> bool:
        raise Unavailable("A result cannot be kept: No space left on device.", code="disk")

    with monkeypatch.context() as patch, capture_logs() as told:
        patch.setattr(Spool, "keep", full)
        waiting = finishing(hand, claim, output)
        until(lambda: any(line["log_level"] == "error" for line in told), 10, "an alarm")
        # Told to leave, it does not: what it knows is nowhere else.
        hand.ledger.leave()
        waiting.join(1.0)
        assert waiting.is_alive()
        outage.over.set()
        waiting.join(10)
    assert desk.run(claim.run_id).state == "succeeded"
    assert stored(desk) == b"hello\n"


def test_who_leaves_does_not_insist_on_what_others_settle(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outage(desk.database, monkeypatch)
    hand.ledger.leave()
    assert not hand.ledger.still_wanted(claim)
    assert not hand.ledger.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED))


def test_a_fault_that_is_no_outage_is_not_swallowed(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = BoundedOutput(_KEPT, _KEPT)
    output.add(1, b"x", 0)
    with monkeypatch.context() as patch:
        patch.setattr("opsconsole.jobs.endings.store", lambda *_: 1 / 0)
        hand.ledger.progress(claim, output, tail=False)
        hand.ledger.still_wanted(claim)
    with pytest.raises(ZeroDivisionError):
        hand.ledger.progress(claim, output, tail=False)


def test_a_row_says_when_it_ended_and_not_when_that_was_written(
    desk: Desk, hand: Hand, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, output = Outage(desk.database, monkeypatch), BoundedOutput(_KEPT, _KEPT)
    ended = desk.clock.now()
    waiting = finishing(hand, claim, output)
    until(lambda: outage.tries > 0, 10, "a try")
    desk.clock.advance(60)
    outage.over.set()
    waiting.join(10)
    with desk.database.read() as session:
        assert session.get_one(HostRun, claim.run_id).finished_at == ended
