"""A database that has gone back in time is noticed, and nothing is started from it."""

import time
from pathlib import Path

import pytest
from sqlalchemy import update

from opsconsole.db.console import Console
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.jobs import recover, restore
from opsconsole.jobs.models import LeaderLease
from opsconsole.jobs.notices import notices
from opsconsole.jobs.states import ACTIVE, JobState, RunState
from opsconsole.jobs.tide import Refusal, Tide
from tests.support.desk import Desk, Hand, facts


def look(tide: Tide, database: Database) -> Refusal | None:
    with database.read() as session:
        tide.look(session)
    return tide.refusal


def lead(desk: Desk, hand: Hand) -> None:
    with desk.database.transaction() as session:
        assert recover.lead(session, hand.id, recover.Observer(30.0), 0.0)


def turn_back(desk: Desk, **values: int) -> None:
    with desk.database.transaction() as session:
        if "beat" in values:
            session.execute(update(LeaderLease).values(beat=values["beat"]))
        else:
            session.execute(update(Console).values(audit_count=values["audit"]))


@pytest.mark.parametrize("back", [{"beat": 1}, {"audit": 0}])
def test_a_database_below_its_mark_is_refused(desk: Desk, hand: Hand, tmp_path: Path, back: dict[str, int]) -> None:
    desk.order("web1")
    tide = Tide(tmp_path / "tide.json")
    for _ in range(3):
        lead(desk, hand)
        assert look(tide, desk.database) is None
    tide.check()
    tide.remember()
    turn_back(desk, **back)
    assert look(tide, desk.database) is Refusal.RESTORED
    with pytest.raises(Unavailable, match="recover --hold"):
        tide.check()
    # It stays so, however far the database comes now, and it is remembered by the next process.
    assert look(Tide(tmp_path / "tide.json"), desk.database) is Refusal.RESTORED
    turn_back(desk, beat=10_000)
    assert look(tide, desk.database) is Refusal.RESTORED


def test_what_a_refusing_process_sees_is_not_remembered(desk: Desk, hand: Hand, tmp_path: Path) -> None:
    lead(desk, hand)
    lead(desk, hand)
    tide = Tide(tmp_path / "tide.json")
    look(tide, desk.database)
    tide.remember()
    turn_back(desk, beat=1)
    other = Tide(tmp_path / "tide.json")
    look(other, desk.database)
    other.remember()
    assert look(Tide(tmp_path / "tide.json"), desk.database) is Refusal.RESTORED


@pytest.mark.parametrize("content", ["", "{", "[]", '{"current": 1}', '{"current": "x", "marks": {"x": [1]}}', "\0"])
def test_a_memory_that_cannot_be_read_begins_anew(desk: Desk, tmp_path: Path, content: str) -> None:
    path = tmp_path / "tide.json"
    path.write_text(content)
    tide = Tide(path)
    assert look(tide, desk.database) is None
    tide.remember()
    assert look(Tide(path), desk.database) is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_generation_ends_who_worked_for_the_old_one(desk: Desk, tmp_path: Path) -> None:
    tide = Tide(tmp_path / "tide.json")
    assert look(tide, desk.database) is None
    tide.remember()
    hold(desk)
    assert look(tide, desk.database) is Refusal.GENERATION
    # The next process works for the new one, and knows the old one again should it come back.
    heir = Tide(tmp_path / "tide.json")
    assert look(heir, desk.database) is None
    former = tide.generation
    heir.remember()
    with desk.database.transaction() as session:
        session.execute(update(Console).values(generation=former))
    assert look(Tide(tmp_path / "tide.json"), desk.database) is Refusal.RESTORED


def hold(desk: Desk) -> restore.Held:
    with desk.database.transaction() as session:
        return restore.hold(session, by="root", reason="restored from a backup", now=desk.clock.now())


def test_after_a_restore_nothing_is_claimed_opened_or_written(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-3]", credential="key:test")
    messages = desk.sweep()
    connecting, running = hand.take(*messages[0]), hand.start(*messages[1])
    assert connecting is not None
    turn_back(desk, audit=0)
    assert hand.take(*messages[2]) is None
    assert not hand.ledger.open_gate(connecting, facts(), deadline=time.monotonic() + 0.5)
    hand.ledger.leave()
    assert not hand.ledger.still_wanted(running)
    assert [run.state for run in desk.runs(job_id)] == ["connecting", "running", "queued"]


def test_recover_holds_everything_and_calls_lost_what_may_have_run(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-4]", credential="key:test", concurrency=3)
    ended = desk.order("db1", credential="key:test")
    messages = desk.sweep()
    by_job = {run.id: run.job_id for run in desk.runs(job_id) + desk.runs(ended)}
    mine = [message for message in messages if by_job[message[0]] == job_id]
    (other,) = [message for message in messages if by_job[message[0]] == ended]
    hand.finish(hand.start(*other))
    hand.start(*mine[0])
    assert hand.take(*mine[1]) is not None
    held = hold(desk)
    assert (held.lost, held.waiting, held.jobs) == (1, 3, 1)
    assert desk.letters(job_id) == "lqqq"
    assert {run.state for run in desk.runs(job_id)[1:]} == {"pending"}
    job = desk.job(job_id)
    assert (job.state, job.pause_reason, job.paused_by) == (JobState.PAUSED, "operator", "root")
    assert desk.job(ended).state == "succeeded"
    with desk.database.read() as session:
        console = session.get_one(Console, 1)
        assert (console.held_by, console.held_reason) == ("root", "restored from a backup")
    # Even without the hold nothing of it starts by itself.
    heir = desk.hand("heir")
    assert desk.sweep() == []
    assert [heir.take(run.id, run.attempt) for run in desk.runs(job_id)] == [None] * 4
    with desk.database.transaction() as session:
        session.get_one(Console, 1).held_at = None
    assert desk.sweep() == []


def test_recover_ends_a_job_of_which_all_is_lost(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test")
    hand.start(*desk.sweep()[0])
    held = hold(desk)
    assert (held.lost, held.waiting, held.jobs) == (1, 0, 0)
    assert desk.job(job_id).state == "failed"
    assert all(RunState(run.state) not in ACTIVE for run in desk.runs(job_id))


def test_everybody_is_told_of_a_restored_database(desk: Desk, hand: Hand) -> None:
    with desk.database.transaction() as session:
        recover.beat(session, hand.id, busy=0, draining=False, now=desk.clock.now(), refuses="restored")
    with desk.database.read() as session:
        told = {notice["code"]: notice["text"] for notice in notices(session, dead_seconds=1e9)}
    assert "recover --hold" in told["database_restored"]
