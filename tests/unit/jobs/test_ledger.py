"""What a worker may write about a run, and what no message and no second writer can make it write."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.inventory.service import freeze_hosts, upsert_host
from opsconsole.jobs import delivery as delivery_module
from opsconsole.jobs import ledger as ledger_module
from opsconsole.jobs import recover
from opsconsole.jobs.ledger import Look, Outcome, Progress, TakeRun
from opsconsole.jobs.models import HostRun, OutputChunk
from opsconsole.jobs.outcomes import OutputFacts
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.ports import Unreached
from opsconsole.jobs.states import Reason, RunState
from tests.support.desk import SUCCEEDED, Desk, Hand, facts
from tests.support.factories import make_key


@pytest.fixture
def queued(desk: Desk, hand: Hand) -> list[tuple[int, int]]:
    """The messages of three queued runs."""
    desk.order("web[1-3]", credential="key:test")
    return desk.sweep()


@contextmanager
def answer_lost(database: Database, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> Iterator[None]:
    """Lets the next ``times`` transactions be committed and then fail: what a broken connection looks like."""
    left = [times]
    real = Database.transaction

    @contextmanager
    def transaction(self: Database) -> Iterator[Session]:
        with real(self) as session:
            yield session
        if self is database and left[0]:
            left[0] -= 1
            raise Unavailable("the connection broke after the commit")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "transaction", transaction)
        patch.setattr(ledger_module, "FIRST_RETRY_SECONDS", 0.0)
        patch.setattr(delivery_module, "FIRST_RETRY_SECONDS", 0.0)
        yield


def test_a_run_goes_its_way(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    assert claim.target.host == "web1"
    assert claim.start.script == b"uptime"
    assert claim.auth.key_files == ("/nonexistent/key",)
    assert desk.run(claim.run_id).state == "connecting"
    assert hand.gate(claim)
    assert hand.finish(claim, output=b"hello\n")
    run = desk.run(claim.run_id)
    assert (run.state, run.exit_status, run.lines, run.last_line) == ("succeeded", 0, 1, "hello")
    assert run.worker == "here:w1:1"
    assert run.started_at == run.finished_at == desk.clock.now()
    with desk.database.read() as session:
        assert session.scalars(select(OutputChunk.data)).all() == [b"hello\n"]
    assert desk.letters(claim.job_id) == "oqq"


def test_a_message_that_comes_fifty_times_is_one_claim(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    (message, *_) = queued
    claims: list[Any] = []
    threads = [threading.Thread(target=lambda: claims.append(hand.take(*message))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim is not None]) == 1
    assert desk.run(message[0]).fence == 1


def test_deliveries_that_meet_in_one_group_are_one_claim(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    answers, _ = hand.ledger._write([TakeRun(*queued[0])] * 50)
    assert [answer is not None for answer in answers] == [True] + [False] * 49


def test_two_workers_never_hold_the_same_run(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    other = desk.hand("w2")
    assert hand.take(*queued[0]) is not None
    assert other.take(*queued[0]) is None


@pytest.mark.parametrize("attempt", [0, 2, -1, 2**70])
def test_another_attempt_starts_nothing(desk: Desk, hand: Hand, queued: list[tuple[int, int]], attempt: int) -> None:
    assert hand.take(queued[0][0], attempt) is None
    assert desk.run(queued[0][0]).state == "queued"


@pytest.mark.parametrize("run_id", [0, -1, 999_999, 2**62])
def test_an_unknown_run_starts_nothing(desk: Desk, hand: Hand, queued: list[tuple[int, int]], run_id: int) -> None:
    assert hand.take(run_id, 1) is None
    assert set(desk.letters(desk.run(queued[0][0]).job_id)) == {"q"}


def test_a_run_that_is_not_queued_starts_nothing(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    waiting = desk.order("db[1-2]", credential="key:test")
    assert hand.take(desk.runs(waiting)[0].id) is None
    claim = hand.start(*queued[0])
    assert hand.take(*queued[0]) is None
    hand.finish(claim)
    assert hand.take(*queued[0]) is None
    assert desk.run(claim.run_id).state == "succeeded"


def test_a_cancelled_run_starts_nothing(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    desk.cancel(claim.job_id)
    assert not hand.gate(claim)
    assert hand.take(*queued[1]) is None
    assert not hand.ledger.still_wanted(claim)
    assert hand.finish(claim, Outcome(RunState.CANCELLED, Reason.BEFORE_START))
    assert desk.letters(claim.job_id) == "xxx"


def test_who_may_no_longer_run_commands_starts_nothing(desk: Desk, hand: Hand) -> None:
    by = desk.person(Role.OPERATOR)
    job_id = desk.order("web[1-2]", by=by, credential="key:test")
    first, second = desk.sweep()
    claim = hand.start(*first)
    with desk.database.transaction() as session:
        session.execute(update(User).where(User.id == by.user_id).values(disabled_at=desk.clock.now()))
    assert hand.take(*second) is None
    assert desk.letters(job_id) == "rs"
    assert desk.run(second[0]).reason == "not_permitted"
    hand.finish(claim)
    assert desk.job(job_id).state == "partial"


def test_a_host_frozen_since_the_launch_is_skipped(desk: Desk, hand: Hand) -> None:
    with desk.database.transaction() as session:
        for name in ("web1", "web2", "web3"):
            upsert_host(session, name, now=desk.clock.now())
    job_id = desk.order("web1 root@WEB2:22 web3", credential="key:test")
    messages = desk.sweep()
    claim = hand.start(*messages[0])
    with desk.database.transaction() as session:
        freeze_hosts(session, ["web1", "web2"], frozen=True, reason="moves", actor=desk.actor, now=desk.clock.now())
    assert hand.take(*messages[1]) is None
    third = hand.start(*messages[2])
    # What had started goes on.
    assert hand.finish(claim)
    assert hand.finish(third)
    assert desk.letters(job_id) == "oso"
    run = desk.run(messages[1][0])
    assert (run.reason, run.finished_at) == ("frozen", desk.clock.now())
    assert run.detail == "Not started: the host was frozen after the job was launched (moves)."


def test_a_role_taken_away_counts_too(desk: Desk, hand: Hand) -> None:
    by = desk.person(Role.OPERATOR)
    job_id = desk.order("web1", by=by, credential="key:test")
    with desk.database.transaction() as session:
        session.execute(update(User).where(User.id == by.user_id).values(role=Role.VIEWER.value))
    (message,) = desk.sweep()
    assert hand.take(*message) is None
    assert desk.letters(job_id) == "s"


def test_the_gate_asked_again_after_an_unknown_commit_is_open(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    with answer_lost(desk.database, monkeypatch, times=2):
        assert hand.gate(claim)
    assert desk.run(claim.run_id).state == "running"


def test_the_gate_stays_shut_when_its_time_is_over(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    assert not hand.ledger.open_gate(claim, facts(), deadline=float("-inf"))
    assert desk.run(claim.run_id).state == "connecting"


def test_the_gate_is_shut_for_another_fence(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.start(*queued[0])
    assert hand.gate(claim)
    assert not hand.gate(replace(claim, fence=claim.fence + 1))
    assert not hand.gate(replace(claim, fence=claim.fence - 1))


def test_a_claim_whose_answer_got_lost_is_given_back(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answer_lost(desk.database, monkeypatch):
        assert hand.take(*queued[0]) is None
    assert desk.run(queued[0][0]).state == "connecting"
    stray: set[tuple[int, int]] = set()
    for state in ("connecting", "queued"):
        with desk.database.transaction() as session:
            stray = recover.release_stray(session, hand.id, set(), stray, desk.clock.now())
        assert desk.run(queued[0][0]).state == state
    assert hand.take(queued[0][0], 2) is not None


def test_a_run_in_hand_is_no_stray(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.start(*queued[0])
    for _ in range(3):
        with desk.database.transaction() as session:
            stray = {(claim.run_id, claim.fence)}
            recover.release_stray(session, hand.id, {claim.run_id}, stray, desk.clock.now())
    assert desk.run(claim.run_id).state == "running"


def test_output_whose_commit_was_unknown_is_stored_once(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = hand.start(*queued[0])
    output = BoundedOutput(1024, 1024)
    output.add(1, b"one\n", 1)
    with answer_lost(desk.database, monkeypatch):
        hand.ledger.progress(claim, output, tail=False)
        # Entries are written in their order: the answer to a question comes after what was sent before it.
        hand.ledger.still_wanted(claim)
    output.add(2, b"two\n", 2)
    with answer_lost(desk.database, monkeypatch):
        hand.ledger.finish(claim, SUCCEEDED, output=output)
    with desk.database.read() as session:
        rows = session.execute(select(OutputChunk.offset, OutputChunk.fd, OutputChunk.data)).all()
    assert [tuple(row) for row in rows] == [(0, 1, b"one\n"), (4, 2, b"two\n")]
    assert desk.run(claim.run_id).state == "succeeded"
    assert desk.run(claim.run_id).lines == 2


def test_a_late_result_resolves_lost_and_brings_its_output(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]]
) -> None:
    claim = hand.start(*queued[0])
    output = BoundedOutput(1024, 1024)
    desk.gone(hand)
    assert desk.run(claim.run_id).state == "lost"
    assert desk.run(claim.run_id).reason == "worker_lost"
    output.add(1, b"while lost\n", 1)
    hand.ledger.progress(claim, output, tail=False)
    output.add(1, b"end\n", 2)
    assert hand.ledger.finish(claim, SUCCEEDED, output=output)
    run = desk.run(claim.run_id)
    assert (run.state, run.late, run.reason) == ("succeeded", True, None)
    with desk.database.read() as session:
        assert b"".join(session.scalars(select(OutputChunk.data).order_by(OutputChunk.offset))) == b"while lost\nend\n"


def test_a_late_result_betters_a_verdict_that_stood(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test")
    (message,) = desk.sweep()
    claim = hand.start(*message)
    desk.gone(hand)
    assert desk.job(job_id).state == "failed"
    ended = desk.job(job_id).finished_at
    desk.clock.advance(60)
    assert hand.finish(claim)
    assert desk.job(job_id).state == "succeeded"
    assert desk.job(job_id).finished_at == ended
    assert desk.letters(job_id) == "o"
    # And only once: what has ended stays so.
    assert not hand.finish(claim, Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1))


def test_a_result_of_a_claim_that_was_taken_over_is_refused(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]]
) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    desk.gone(hand)
    assert not hand.ledger.still_wanted(claim)
    assert not hand.gate(claim)
    for state in (RunState.UNREACHABLE, RunState.CANCELLED, RunState.LOST):
        assert not hand.finish(claim, Outcome(state))
    other = desk.hand("w2")
    taken = other.start(claim.run_id, 2)
    assert not hand.gate(claim)
    assert not hand.finish(claim)
    output = BoundedOutput(1024, 1024)
    output.add(1, b"from the grave\n", 1)
    hand.ledger.progress(claim, output, tail=False)
    assert other.finish(taken)
    with desk.database.read() as session:
        assert session.scalars(select(OutputChunk.data)).all() == []


def test_an_offered_key_is_kept_for_a_person(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    claim = hand.take(*queued[0])
    assert claim is not None
    key = make_key()
    unreached = Unreached(Reason.HOST_KEY_UNKNOWN, "unknown", offered=key)
    assert hand.ledger.finish(claim, Outcome(RunState.UNREACHABLE, unreached.reason, "unknown"), unreached=unreached)
    with desk.database.read() as session:
        (row,) = session.scalars(select(HostKey))
    assert (row.address, row.port, row.key, row.status) == ("web1", 22, key.key, KeyStatus.OFFERED)


def test_messages_that_cannot_be_sent_do_not_fail_the_result(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-2]", credential="key:test", concurrency=1)
    (message,) = desk.sweep()
    desk.post.away = True
    assert hand.finish(hand.start(*message))
    assert desk.letters(job_id) == "oq"
    assert desk.runs(job_id)[1].state == "queued"
    desk.post.away = False
    desk.clock.advance(31)
    assert desk.sweep() == [(desk.runs(job_id)[1].id, 1)]


def test_a_finished_run_makes_room_for_the_next_at_once(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-3]", credential="key:test", concurrency=1)
    (message,) = desk.sweep()
    for place in range(3):
        hand.finish(hand.start(*message))
        sent = desk.post.collect()
        assert len(sent) == (1 if place < 2 else 0)
        message = sent[0] if sent else message
    assert desk.letters(job_id) == "ooo"


@pytest.mark.parametrize("name", ["none", "worker-has-not"])
def test_a_worker_without_the_credential_says_so(
    desk: Desk, hand: Hand, queued: list[tuple[int, int]], name: str
) -> None:
    bare = desk.hand("bare", settings=desk.settings.model_copy(update={"key_files": {}}))
    claim = bare.take(*queued[0])
    assert claim is not None
    assert claim.problem is not None
    assert claim.problem.reason is Reason.CREDENTIAL
    assert "'test'" in claim.problem.detail


def test_entries_of_every_kind_fit_in_one_group(desk: Desk, hand: Hand, queued: list[tuple[int, int]]) -> None:
    running, claimed = hand.start(*queued[0]), hand.take(*queued[1])
    assert claimed is not None
    output = BoundedOutput(1024, 1024)
    output.add(1, b"x\n", 0)
    entries: Sequence[Any] = [
        Look(running),
        Progress(running, OutputFacts.of(output), output.flush(tail=True)),
        TakeRun(*queued[2]),
        Look(claimed),
        TakeRun(999, 1),
    ]
    answers, _ = hand.ledger._write(entries)
    assert [bool(answer) for answer in answers] == [True, True, True, True, False]
    assert desk.letters(running.job_id) == "rcc"


def test_the_row_of_a_run_never_names_its_secret(desk: Desk, hand: Hand) -> None:
    from opsconsole.secret import Secret

    desk.order("web1", credential="password", password=Secret("hunter2-canary"))
    (message,) = desk.sweep()
    claim = hand.take(*message)
    assert claim is not None
    assert claim.auth.password == Secret("hunter2-canary")
    assert "hunter2" not in repr(claim)
    with desk.database.read() as session:
        row = session.get_one(HostRun, claim.run_id)
        assert not any("hunter2" in str(value) for value in vars(row).values())
