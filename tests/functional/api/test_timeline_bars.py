"""The chart of when hosts ran, over the API."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from opsconsole.db.database import Database
from opsconsole.jobs.models import HostRun, Job, RunAttempt
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.callers import Program
from tests.functional.api.play import Play
from tests.support.clock import FakeClock

Plays = Callable[[int], Play]


def chart(caller: Program, job: int, **query: object) -> Any:
    return caller.get(f"jobs/{job}/timeline/bars", query_string=query).json


@pytest.fixture
def job(operator: Program, play: Plays, clock: FakeClock) -> int:
    """Two at a time: web1 well after 10 s, web2 failed after 20 s, web3 runs since then, web4 waits."""
    made = operator.launch("web[1-4]", concurrency=2)
    worker = play(made)
    worker.start(0, 1)
    clock.advance(10)
    worker.end(0)
    worker.start(2)
    clock.advance(10)
    worker.end(1, state=RunState.FAILED, reason=Reason.EXIT_STATUS.value)
    clock.advance(10)
    return made


def test_each_slot_is_a_row(operator: Program, job: int) -> None:
    told = chart(operator, job, bins=3)
    assert told["bars"] == [[[0, "o", 0, 10_000, 1], [2, "r", 10_000, None, 1]], [[1, "f", 0, 20_000, 1]]]
    assert (told["total"], told["until"], told["ended"], told["from"], told["to"]) == (2, 30_000, False, 0, 30_000)
    assert told["finishes"] == [{}, {"o": 1}, {"f": 1}]


def test_one_host_a_row_by_how_long_it_took_or_what_is_wrong_with_it(operator: Program, job: int) -> None:
    slowest = chart(operator, job, rows="slowest")
    assert [row[0][0] for row in slowest["bars"]] == [1, 2, 0]
    failures = chart(operator, job, rows="failures")
    assert [row[0][:2] for row in failures["bars"]] == [[1, "f"]]


def test_a_part_of_the_rows_and_of_the_time(operator: Program, job: int) -> None:
    told = chart(operator, job, first=1, count=1, from_ms=15000, to_ms=19000, bins=2)
    assert (told["bars"], told["total"], told["first"]) == ([[[1, "f", 0, 20_000, 1]]], 2, 1)
    assert told["finishes"] == [{}, {}]
    assert operator.get(f"jobs/{job}/timeline/bars?rows=lanes").status_code == 422
    assert operator.get(f"jobs/{job}/timeline/bars?count=201").status_code == 422


def test_every_attempt_has_a_bar_and_the_last_one_is_counted(
    operator: Program, play: Plays, clock: FakeClock, database: Database
) -> None:
    made = operator.launch("web1")
    worker = play(made)
    with database.transaction() as session:
        run = session.query(HostRun).filter_by(job_id=made).one()
        run.attempt = 2
        at = clock.now()
        values = {"reason": "refused", "claimed_at": at, "finished_at": at + timedelta(seconds=3)}
        session.add(RunAttempt(host_run_id=run.id, attempt=1, **values))
    clock.advance(5)
    worker.start(0)
    clock.advance(5)
    worker.end(0)
    with database.transaction() as session:
        session.get_one(Job, made).started_at = at
    told = chart(operator, made, bins=1, to_ms=11000)
    assert told["bars"] == [[[0, "u", 0, 3000, 1], [0, "o", 5000, 10_000, 2]]]
    assert told["finishes"] == [{"o": 1}]


def test_marks_tell_what_divided_the_job(operator: Program, play: Plays, clock: FakeClock) -> None:
    made = operator.launch("web[1-2]")
    play(made).start(0)
    clock.advance(2)
    operator.post(f"jobs/{made}/pause", {"hosts": ["web2"]})
    operator.post(f"jobs/{made}/pause", {})
    clock.advance(2)
    operator.post(f"jobs/{made}/resume", {})
    assert chart(operator, made)["marks"] == [
        {"at": 2000, "kind": "paused"},
        {"at": 4000, "kind": "resumed"},
    ]
