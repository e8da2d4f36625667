"""The chart of when hosts ran: rows, histogram."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.packing import Bar, Rows, finishes, in_rows, packed, within

SPANS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60) | st.none()), max_size=60)


def bars_of(spans: list[tuple[int, int | None]]) -> list[Bar]:
    return [
        Bar(i, "r" if took is None else "o", start, None if took is None else start + took)
        for i, (start, took) in enumerate(spans)
    ]


@given(SPANS)
def test_rows_hold_every_bar_once_and_none_over_another(spans: list[tuple[int, int | None]]) -> None:
    bars = bars_of(spans)
    rows = packed(bars)
    assert sorted(bar.i for row in rows for bar in row) == list(range(len(bars)))
    for row in rows:
        for before, after in pairwise(row):
            assert before.end is not None
            assert before.end <= after.start


@given(SPANS)
def test_there_are_as_many_rows_as_bars_at_a_time(spans: list[tuple[int, int | None]]) -> None:
    bars = bars_of(spans)

    def over(bar: Bar, at: int) -> bool:
        return bar.start <= at and (bar.end is None or max(bar.end, bar.start + 1) > at)

    most = max((sum(over(bar, at.start) for bar in bars) for at in bars), default=0)
    assert len(packed(bars)) == most


@given(SPANS, st.integers(0, 600))
def test_what_is_past_keeps_its_row_as_the_job_goes_on(spans: list[tuple[int, int | None]], now: int) -> None:
    bars = bars_of(spans)
    row_of = {bar.i: at for at, row in enumerate(packed(bars)) for bar in row}
    then = [
        Bar(bar.i, bar.letter, bar.start, bar.end if bar.end is not None and bar.end <= now else None)
        for bar in bars
        if bar.start <= now
    ]
    assert {bar.i: at for at, row in enumerate(packed(then)) for bar in row}.items() <= row_of.items()


def test_the_slowest_stand_first_and_one_that_runs_counts_until_now() -> None:
    bars = [Bar(0, "o", 0, 50), Bar(1, "r", 10, None), Bar(2, "f", 0, 30)]
    assert [row[0].i for row in in_rows(bars, Rows.SLOWEST, 100)] == [1, 0, 2]
    assert len(in_rows([Bar(i, "o", 0, i) for i in range(500)], Rows.SLOWEST, 600)) == 100


def test_failures_stand_in_the_order_of_their_ends_with_every_attempt() -> None:
    bars = [
        Bar(0, "f", 40, 90, attempt=2),
        Bar(0, "u", 0, 10, attempt=1, last=False),
        Bar(1, "u", 0, 60),
        Bar(2, "o", 0, 5),
        Bar(4, "u", 0, 0),
        # What failed at first and then went well is no failure.
        Bar(3, "u", 0, 5, attempt=1, last=False),
        Bar(3, "o", 9, 20, attempt=2),
    ]
    rows = in_rows(bars, Rows.FAILURES, 100)
    assert [[(bar.i, bar.attempt) for bar in row] for row in rows] == [[(4, 1)], [(1, 1)], [(0, 1), (0, 2)]]


def test_finishes_are_counted_by_stretch_and_state_and_retries_once() -> None:
    bars = [Bar(0, "u", 0, 10, last=False), Bar(0, "o", 15, 25, 2), Bar(1, "f", 0, 29), Bar(2, "r", 0, None)]
    assert finishes(bars, 0, 40, 4) == [{}, {}, {"o": 1, "f": 1}, {}]
    assert finishes(bars, 26, 30, 1) == [{"f": 1}]


def test_only_what_lies_in_the_stretch_is_told() -> None:
    row = [Bar(0, "o", 0, 10), Bar(1, "o", 10, 20), Bar(2, "r", 25, None)]
    assert [bar.i for bar in within(row, 12, 24)] == [1]
    assert [bar.i for bar in within(row, 30, 40)] == [2]
