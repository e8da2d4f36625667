"""Words and figures for a job, from events."""

import pytest

from opsconsole.cli.board import Board, about, closing_line, duration, plain_progress, progress_line
from opsconsole.cli.feed import JobEvent

_LETTERS = "qcrofkuxsl"


def _counts(**given: int) -> dict[str, int]:
    return {letter: given.get(letter, 0) for letter in _LETTERS}


def _snapshot(grid: str, state: str = "running") -> JobEvent:
    status = {
        "targets": {"count": len(grid)},
        "state": state,
        "counts": {letter: grid.count(letter) for letter in _LETTERS},
    }
    return JobEvent("snapshot", {"ver": 1, "job": status, "grid": grid})


def test_a_snapshot_says_everything_and_a_delta_what_changed() -> None:
    board = Board(7)
    assert board.apply(_snapshot("qrro")) == [0, 1, 2, 3]
    delta = {"ver": 2, "counts": _counts(q=1, r=1, o=1, f=1), "h": [[1, "f", 3, 10], [3, "o", 0, 5]]}
    assert board.apply(JobEvent("delta", delta)) == [1]
    assert board.letters == list("qfro")
    assert (board.done, board.in_flight, board.indexes("r")) == (2, 1, [2])


def test_only_done_ends_it() -> None:
    board = Board(7)
    board.apply(_snapshot("oo", "succeeded"))
    assert not board.finished
    board.apply(JobEvent("done", {"ver": 3, "state": "succeeded", "counts": _counts(o=2)}))
    assert board.finished


def test_the_line_of_the_contract() -> None:
    board = Board(1043, total=412, counts=_counts(o=249, f=1, u=1, r=50, q=111), rate=1.6, eta_ms=70_000)
    line = progress_line(board)
    assert line.startswith("#1043 x!####")
    assert line.endswith(" 61%  251/412  + 249  x 1  ! 1  * 50  . 111  1.6/s  about 1 min")


@pytest.mark.parametrize("counts", [_counts(o=9999, f=1), _counts(q=10000), _counts(o=1, f=1, u=1, r=1, q=9996)])
def test_the_bar_has_one_width_and_shows_every_state(counts: dict[str, int]) -> None:
    bar = progress_line(Board(1, total=10_000, counts=counts)).split()[1]
    assert len(bar) == 40
    glyphs = {"o": "#", "f": "x", "u": "!", "r": "*", "q": "."}
    assert set(bar) == {glyphs[letter] for letter, count in counts.items() if count}


def test_closing_words() -> None:
    board = Board(1043, total=412, state="partial", counts=_counts(o=406, f=3, u=3))
    assert closing_line(board, 260.0, "http://c/jobs/1043") == (
        "#1043 partial: 406 ok, 3 failed, 3 unreachable of 412, 4 min 20 s   http://c/jobs/1043"
    )
    board.stop_reason = "threshold"
    assert "(stopped: too many failures)" in closing_line(board, None, "u")
    board.worker_shutdown = 2
    assert "(2 ended by a worker's shutdown)" in closing_line(board, None, "u")


def test_plain_words() -> None:
    board = Board(5, total=3, state="running", counts=_counts(o=1, r=2))
    assert plain_progress(board, 20) == "#5 running: 1/3 done after 20 s: 1 ok, 2 running"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42.2, "42 s"), (59.7, "1 min 0 s"), (260, "4 min 20 s"), (7500, "2 h 5 min")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2, "about 5 s"), (31, "about 30 s"), (75, "about 1 min"), (9000, "about 2.5 h")]
)
def test_guesses_are_rounded(seconds: float, text: str) -> None:
    assert about(seconds) == text
