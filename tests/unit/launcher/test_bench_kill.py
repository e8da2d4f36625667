"""The kill loop's judge: each promise that is broken is named, and nothing else."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import update

from opsconsole.db.database import Database
from opsconsole.jobs.models import HostRun, Job
from opsconsole.launcher.bench_kill import Marks, unfinished, verify
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import key_file, open_desk


@pytest.fixture
def ended(settings: Settings, database: Database, clock: FakeClock) -> int:
    """A job of three hosts that succeeded; its runs are 1 to 3."""
    with open_desk(key_file(settings), database, clock) as desk:
        job_id = desk.order("web[1-3]")
    with database.transaction() as session:
        done = {"state": "succeeded", "n_q": 0, "n_queued": 0, "n_o": 3, "idempotency_key": "k1"}
        session.execute(update(Job).values(**done))
        for run_id in (1, 2, 3):
            told = {"state": "succeeded", "last_line": f"done {run_id}-1"}
            session.execute(update(HostRun).where(HostRun.id == run_id).values(**told))
    return job_id


def marks(starts: dict[int, int], ends: dict[int, int] | None = None) -> Marks:
    return Marks(Counter(starts), Counter(starts if ends is None else ends))


ONCE = {1: 1, 2: 1, 3: 1}


def test_what_is_true_breaks_no_promise(ended: int, database: Database) -> None:
    verdict = verify(database, marks(ONCE), ["k1"])
    assert verdict.violations == []
    assert (verdict.most_starts, verdict.runs, verdict.jobs) == (1, {"succeeded": 3}, {"succeeded": 1})
    assert unfinished(database) == 0


@pytest.mark.parametrize(
    ("starts", "ends", "keys", "said"),
    [
        ({**ONCE, 2: 2}, None, ["k1"], "started 2 times"),
        ({1: 1, 2: 1}, None, ["k1"], "0 starts, 0 ends"),
        (ONCE, {1: 1, 2: 1}, ["k1"], "1 starts, 0 ends"),
        ({**ONCE, 9: 1}, None, ["k1"], "nobody ordered"),
        (ONCE, None, ["k1", "k2"], "1 made no job"),
    ],
)
def test_a_broken_promise_is_named(
    ended: int, database: Database, starts: dict[int, int], ends: dict[int, int] | None, keys: list[str], said: str
) -> None:
    assert said in " ".join(verify(database, marks(starts, ends), keys).violations)


@pytest.mark.parametrize(
    ("changed", "starts", "said"),
    [
        ({"state": "unreachable"}, ONCE, "unreachable (None), 1 starts"),
        ({"state": "cancelled", "reason": "before_start"}, ONCE, "cancelled (before_start), 1 starts"),
        ({"state": "running"}, ONCE, "not at its end"),
        ({"last_line": "done 2-1"}, ONCE, "last line"),
        ({"state": "lost"}, ONCE, "counts {"),
    ],
)
def test_a_row_that_is_not_true_is_named(
    ended: int, database: Database, changed: dict[str, str], starts: dict[int, int], said: str
) -> None:
    with database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.id == 1).values(**changed))
    assert said in " ".join(verify(database, marks(starts), ["k1"]).violations)


def test_marks_are_counted_by_run_whatever_the_fence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("start 7-1\nend 7-1\nstart 7-2\n")
    (tmp_path / "b").write_text("start 8-1\n")
    found = Marks.read(tmp_path)
    assert (found.starts, found.ends) == ({7: 2, 8: 1}, {7: 1})
