"""Lines of an output that hold a text or match an expression: the same as somebody finds who reads line by line."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.errors import Invalid
from opsconsole.jobs.finding import MAX_TEXT, Wanted, readable
from opsconsole.jobs.output import STDERR, STDOUT, Chunk, without_escapes
from opsconsole.jobs.transcript import Transcript


def said(*parts: tuple[int, bytes], gap: tuple[int, int] = (0, 0), lines: int = 0, finished: bool = True) -> Transcript:
    offset, chunks = 0, []
    for fd, data in parts:
        offset = gap[0] + gap[1] if gap[1] and offset == gap[0] else offset
        chunks.append(Chunk(offset, fd, 0, data))
        offset += len(data)
    total = lines or sum(data.count(b"\n") for _, data in parts) + 2
    return Transcript(chunks, gap=gap, total_lines=total, finished=finished)


def found(wanted: Wanted, transcript: Transcript) -> list[tuple[int, int, str]]:
    lines = [wanted.hit(*line) for line in wanted.lines(readable(transcript), lambda: True)]
    return [(hit.number, hit.fd, hit.text) for hit in lines]


PARTS = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.lists(st.sampled_from([b"ab", b"\n", b"b c", b"\xff", b"\x1b[31ma\x1b[0mb", "Ä".encode(), b""])).map(
            b"".join
        ),
    ),
    max_size=12,
)


@given(PARTS, st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_what_is_found_is_what_the_lines_hold(
    parts: list[tuple[int, bytes]], finished: bool, regex: bool, case: bool
) -> None:
    transcript = said(*parts, finished=finished)
    wanted = Wanted("[aä]b?" if regex else "ab", regex=regex, case=case)
    oracle = re.compile(wanted.text, 0 if case else re.IGNORECASE)
    lines = [(line.number, line.fd, without_escapes(line.text)) for line in transcript.page(1, 10**6)]
    assert found(wanted, transcript) == [line for line in lines if oracle.search(line[2])]


def test_numbers_go_on_behind_what_was_not_kept() -> None:
    transcript = said((1, b"one\ntwo\n"), (1, b"three\nend\n"), gap=(8, 100), lines=300_000)
    assert found(Wanted("e"), transcript) == [(1, 1, "one"), (299_999, 1, "three"), (300_000, 1, "end")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"^b", [2]),
        (r"a$", [1]),
        (r"a\s*b", [3]),
        (r"[^x]+", [1, 2, 3]),
        (r"(?s)a.b", []),
        (r"\\A|^b", [2]),
        (r"x*", [1, 2, 3, 4]),
    ],
)
def test_an_expression_sees_one_line_at_a_time(text: str, expected: list[int]) -> None:
    transcript = said((1, b"a\nb\nab\n\n"))
    assert [number for number, _, _ in found(Wanted(text, regex=True), transcript)] == expected


def test_places_are_told_in_characters_and_long_lines_from_before_the_first() -> None:
    line = "é" * 5000 + "\x1b[1mneedle\x1b[0m‹ and needle"
    (hit,) = (
        Wanted("NEEDLE").hit(*one) for one in Wanted("NEEDLE").lines(readable(said((1, line.encode()))), lambda: True)
    )
    assert (hit.from_char, hit.spans) == (4800, ((200, 206), (212, 218)))
    assert [hit.text[start:end] for start, end in hit.spans] == ["needle", "needle"]


@pytest.mark.parametrize(
    ("text", "regex"),
    [("", False), ("x" * (MAX_TEXT + 1), False), ("(", True), (")(", True), (r"\Aa", True), ("(?-m)^a", True)],
)
@pytest.mark.parametrize("case", [True, False])
def test_what_cannot_be_searched_for_is_refused(text: str, regex: bool, case: bool) -> None:
    with pytest.raises(Invalid) as caught:
        Wanted(text, regex=regex, case=case)
    assert caught.value.errors[0].field == "q"


def test_an_expression_that_would_run_away_takes_its_time_in_proportion() -> None:
    transcript = said((1, (b"a" * 5000 + b"\n") * 200))
    started = time.process_time()
    assert found(Wanted(r"(a+)+b", regex=True), transcript) == []
    assert time.process_time() - started < 5


def test_a_search_stops_when_it_is_told_to() -> None:
    with pytest.raises(TimeoutError):
        list(Wanted("a").lines(readable(said((1, b"a\n"))), lambda: False))
