"""What one output says otherwise than another."""

import time

from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.differing import Difference, difference

_LINES = st.lists(st.sampled_from("abcde"), max_size=40)


def applied(ours: list[str], found: Difference) -> list[str]:
    """Returns ``ours`` with the hunks applied, as ``patch`` would."""
    patched, at = [], 0
    for hunk in found.hunks:
        first = int(hunk.at.split()[1].partition(",")[0][1:])
        length = sum(sign in " -" for sign, _ in hunk.lines)
        start = first - 1 if length else first
        patched += ours[at:start]
        assert ours[start : start + length] == [text for sign, text in hunk.lines if sign in " -"]
        patched += [text for sign, text in hunk.lines if sign in " +"]
        at = start + length
    return patched + ours[at:]


@given(_LINES, _LINES)
def test_a_difference_turns_one_output_into_the_other(ours: list[str], theirs: list[str]) -> None:
    found = difference(ours, theirs)
    assert applied(ours, found) == theirs
    assert found.same == (ours == theirs)
    assert not found.cut


@given(_LINES, _LINES)
def test_a_difference_that_had_no_time_holds_as_well(ours: list[str], theirs: list[str]) -> None:
    assert applied(ours, difference(ours, theirs, seconds=-1)) == theirs


def test_lines_around_a_change_are_told_with_it() -> None:
    ours = [f"line {number}" for number in range(20)]
    (hunk,) = difference(ours, [*ours[:10], "other", *ours[11:]]).hunks
    assert hunk.at == "@@ -8,7 +8,7 @@"
    assert [sign for sign, _ in hunk.lines] == [" ", " ", " ", "-", "+", " ", " ", " "]


def test_a_long_difference_is_cut_and_says_so() -> None:
    found = difference([], [str(number) for number in range(100)], lines_at_most=10)
    assert found.cut
    assert found.added == 100
    assert sum(len(hunk.lines) for hunk in found.hunks) == 10


def test_outputs_made_to_be_slow_to_compare_are_given_up_on() -> None:
    # Lines that come again and again in another order: the worst for the search for the longest run in common.
    ours = [str(number * 7 % 190) for number in range(20_000)]
    theirs = [str(number * 11 % 193) for number in range(20_000)]
    started = time.process_time()
    found = difference(ours, theirs, seconds=0.3)
    assert time.process_time() - started < 5
    assert found.coarse
