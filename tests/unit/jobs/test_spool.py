"""Results on this machine's disk: whole or not at all, readable by their owner alone, never in the way."""

import errno
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from opsconsole.errors import Unavailable
from opsconsole.jobs.outcomes import Outcome, OutputFacts, Result, joined
from opsconsole.jobs.output import Chunk, Digests, Flush
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import Reason, RunState

ENDED = datetime(2026, 11, 22, 6, 2, 11, 4000, tzinfo=UTC)
EVERY_BYTE = bytes(range(256))


def here(call: Callable[[], Any]) -> Any:
    return call()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", offload=here)


def result(run_id: int = 7, *chunks: Chunk) -> Result:
    chunks = chunks or (Chunk(0, 1, 3, EVERY_BYTE), Chunk(256, 2, 9, b"\xff\x00"))
    outcome = Outcome(RunState.FAILED, Reason.EXIT_STATUS, "no \x00 härm", 3, duration_ms=12, pid=99)
    size = sum(len(chunk.data) for chunk in chunks)
    facts = OutputFacts(size, 0, 2, "last", None, 0)
    return Result("ab12", 1, run_id, 0, 4, ENDED, outcome, facts, Digests("d" * 64, "c", "s"), Flush(chunks, None, 0))


def test_what_is_kept_is_read_back_as_it_was(spool: Spool, tmp_path: Path) -> None:
    kept = result()
    assert spool.keep(kept)
    assert spool.waiting() == ["7-4"]
    assert spool.load("7-4") == kept
    (path,) = (tmp_path / "spool").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    spool.remove(kept)
    spool.remove(kept)
    assert spool.waiting() == []
    assert spool.load("7-4") is None


def test_no_folder_is_an_empty_spool(spool: Spool) -> None:
    assert spool.waiting() == []


@pytest.mark.parametrize("cut", [0, 10, 80, 200, -1])
def test_a_torn_file_is_set_aside(spool: Spool, tmp_path: Path, cut: int) -> None:
    spool.keep(result())
    path = tmp_path / "spool" / "7-4.result"
    path.write_bytes(path.read_bytes()[:cut])
    with capture_logs() as told:
        assert spool.load("7-4") is None
    assert [line["event"] for line in told] == ["a result in the spool was set aside"]
    assert spool.waiting() == []
    assert len(list((tmp_path / "spool" / "aside").iterdir())) == 1


def test_a_changed_byte_is_noticed(spool: Spool, tmp_path: Path) -> None:
    spool.keep(result())
    path = tmp_path / "spool" / "7-4.result"
    path.write_bytes(path.read_bytes().replace(b'"exit_status":3', b'"exit_status":0'))
    assert spool.load("7-4") is None


def test_a_file_under_another_name_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    spool.keep(result())
    (tmp_path / "spool" / "7-4.result").rename(tmp_path / "spool" / "8-4.result")
    assert spool.load("8-4") is None
    assert len(list((tmp_path / "spool" / "aside").iterdir())) == 1


def test_foreign_files_are_left_alone(spool: Spool, tmp_path: Path) -> None:
    spool.keep(result())
    for name in ("notes.txt", ".draft.x", "1-2.result.bak", "x-1.result"):
        (tmp_path / "spool" / name).write_text("x")
    assert spool.waiting() == ["7-4"]


def test_a_disk_too_full_for_the_output_still_keeps_the_result(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_above(monkeypatch, 2000)
    large = result(7, Chunk(0, 1, 3, b"x" * 4000))
    assert not spool.keep(large)
    kept = spool.load("7-4")
    assert kept is not None
    assert kept.outcome == large.outcome
    assert (kept.flush.chunks, kept.facts.gap_from, kept.facts.gap_bytes) == ((), 0, 4000)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["7-4.result"]


def test_a_full_disk_is_told_and_leaves_no_drafts(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_above(monkeypatch, 0)
    with pytest.raises(Unavailable, match="No space left"):
        spool.keep(result())
    assert list((tmp_path / "spool").iterdir()) == []


def full_above(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Lets a sync fail, as a write does on a full disk, when the file is larger than ``size`` bytes."""
    real = os.fsync

    def sync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_size > size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


def test_what_fell_into_the_gap_is_not_carried_along() -> None:
    first = Flush((Chunk(0, 1, 0, b"head"), Chunk(4, 1, 0, b"then")), None, 0)
    then = Flush((Chunk(12, 1, 0, b"tail"),), 4, 12)
    assert joined(first, then) == Flush((Chunk(0, 1, 0, b"head"), Chunk(12, 1, 0, b"tail")), 4, 12)
    assert joined(first, Flush((), None, 0)) == first


def test_output_that_is_left_out_begins_where_storing_ended() -> None:
    part = result(7, Chunk(100, 1, 0, b"x" * 50))
    facts = OutputFacts(150, 0, 1, None, None, 0)
    slim = Result("g", 1, 7, 0, 4, ENDED, part.outcome, facts, Digests("d"), part.flush).without_output()
    assert (slim.facts.gap_from, slim.facts.gap_bytes) == (100, 50)
    assert slim.flush == Flush((), 100, 150)
    assert slim.without_output() == slim
