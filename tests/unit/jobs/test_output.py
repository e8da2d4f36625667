"""Output is bounded while it arrives, and read back as lines."""

import hashlib
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.jobs.output import CHUNK_BYTES, STDERR, STDOUT, BoundedOutput, Chunk, Flush
from opsconsole.jobs.transcript import Encoding, Line, Transcript, as_text

PIECES = st.binary(min_size=0, max_size=40) | st.sampled_from([b"\n", b"line\n", b"a\nb\n", b"x" * 300])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([STDOUT, STDERR]), PIECES),
        st.tuples(st.just("flush"), st.booleans(), st.none()),
    ),
    max_size=60,
)


def lines_of(chunks: list[Chunk], *, gap: tuple[int, int], total_lines: int, finished: bool) -> list[Line]:
    """Returns all lines that were kept."""
    return Transcript(chunks, gap=gap, total_lines=total_lines, finished=finished).page(1, 10**9)


class Store:
    """Keeps what is flushed, as the database does."""

    def __init__(self) -> None:
        self.chunks: dict[int, Chunk] = {}

    def take(self, flush: Flush) -> None:
        for chunk in flush.chunks:
            assert chunk.offset not in self.chunks
            self.chunks[chunk.offset] = chunk
        if flush.gap_from is not None:
            gone = [offset for offset in self.chunks if flush.gap_from <= offset < flush.gap_to]
            for offset in gone:
                del self.chunks[offset]

    @property
    def ordered(self) -> list[Chunk]:
        return [self.chunks[offset] for offset in sorted(self.chunks)]


@given(STEPS, st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=300)
def test_head_and_tail_are_kept_and_the_rest_is_counted(
    steps: list[tuple[str, int, bytes]], head: int, tail: int
) -> None:
    output, store, written = BoundedOutput(head, tail), Store(), b""
    for kind, argument, data in steps:
        if kind == "add":
            output.add(argument, data, 0)
            written += data
        else:
            store.take(output.flush(tail=bool(argument)))
    store.take(output.flush(tail=True))
    kept = {chunk.offset: chunk for chunk in store.ordered}
    # 1. Every kept byte stands where it was written, and on its own stream.
    assert all(written[chunk.offset : chunk.end] == chunk.data for chunk in kept.values())
    # 2. What is missing is one gap, said exactly.
    gap_from, gap_bytes = output.gap
    missing = set(range(len(written))) - {at for chunk in kept.values() for at in range(chunk.offset, chunk.end)}
    assert missing == set(range(gap_from, gap_from + gap_bytes))
    # 3. The head is whole, and so is the tail.
    assert not missing & set(range(min(head, len(written))))
    assert not missing & set(range(max(len(written) - tail, 0), len(written)))
    assert output.total == output.stdout_bytes + output.stderr_bytes == len(written)
    # 4. Nothing is held back any more, and what is kept is bounded.
    assert not output.waiting
    assert not output.held
    assert sum(len(chunk.data) for chunk in kept.values()) <= head + tail + CHUNK_BYTES


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), PIECES), max_size=30))
def test_each_stream_reads_back_in_its_own_lines(pieces: list[tuple[int, bytes]]) -> None:
    output, store = BoundedOutput(10**6, 10**6), Store()
    for fd, data in pieces:
        output.add(fd, data, 0)
    store.take(output.flush(tail=True))
    lines = lines_of(store.ordered, gap=output.gap, total_lines=output.lines, finished=True)
    assert [line.number for line in lines] == list(range(1, output.lines + 1))
    for fd in (STDOUT, STDERR):
        text = b"".join(data for stream, data in pieces if stream == fd)
        wanted = text.split(b"\n")
        if not wanted[-1]:
            wanted.pop()
        assert [line.text for line in lines if line.fd == fd] == [as_text(part) for part in wanted]


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), PIECES), max_size=30),
    st.sampled_from([10, 60, 10**6]),
    st.booleans(),
    st.integers(-40, 60),
    st.integers(1, 20),
)
def test_a_page_is_a_part_of_all_lines(
    pieces: list[tuple[int, bytes]], kept: int, finished: bool, from_line: int, limit: int
) -> None:
    output, store = BoundedOutput(kept, kept), Store()
    for fd, data in pieces:
        output.add(fd, data, 0)
    store.take(output.flush(tail=True))
    said = Transcript(store.ordered, gap=output.gap, total_lines=output.lines, finished=finished)
    lines = said.page(1, 10**9)
    assert said.last == (lines[-1].number if lines else 0)
    chosen = lines[from_line:] if from_line < 0 else [line for line in lines if line.number >= from_line]
    assert said.page(from_line, limit) == chosen[:limit]
    errors = [line for line in lines if line.fd == STDERR]
    chosen = errors[from_line:] if from_line < 0 else [line for line in errors if line.number >= from_line]
    assert said.page(from_line, limit, fd=STDERR) == chosen[:limit]
    for fd, kept_lines in ((None, lines), (STDERR, errors)):
        earlier = [line for line in kept_lines if line.number < max(from_line, 1)]
        assert said.before(max(from_line, 1), limit, fd=fd) == earlier[-limit:]


def test_a_page_of_a_million_lines_costs_a_page() -> None:
    chunks = [Chunk(at, STDOUT, 0, b"\n" * 10_000) for at in range(0, 1_000_000, 10_000)]
    began = time.process_time()
    for first in range(1, 1_000_001, 50_000):
        said = Transcript(chunks, gap=(0, 0), total_lines=1_000_000, finished=True)
        page = said.page(first, 10_000)
        assert (page[0].number, page[-1].number, said.last) == (first, first + 9_999, 1_000_000)
    # Assembling all the lines for each of the twenty pages takes more than ten times as long.
    assert time.process_time() - began < 10


@given(st.lists(st.binary(max_size=30), max_size=20), st.randoms(use_true_random=False))
def test_the_digest_knows_bytes_and_not_how_they_came(pieces: list[bytes], random: object) -> None:
    one, other = BoundedOutput(16, 16), BoundedOutput(10**6, 10**6)
    for data in pieces:
        one.add(STDOUT, data, 0)
        one.flush(tail=True)
    other.add(STDOUT, b"".join(pieces), 0)
    assert one.digests("0/None") == other.digests("0/None")
    assert one.digests("0/None") != one.digests("1/None")
    changed = BoundedOutput(16, 16)
    changed.add(STDERR, b"".join(pieces), 0)
    assert (changed.digests("0") == one.digests("0")) is (not b"".join(pieces))


def test_streams_are_told_apart_whatever_their_order() -> None:
    one, other = BoundedOutput(99, 99), BoundedOutput(99, 99)
    for output, order in ((one, (STDOUT, STDERR)), (other, (STDERR, STDOUT))):
        for fd in order:
            output.add(fd, b"out\n" if fd == STDOUT else b"err\n", 0)
    assert one.digests("0") == other.digests("0")


def test_a_flood_is_held_in_bounded_memory() -> None:
    output = BoundedOutput(1024, 64 * 1024)
    store = Store()
    for number in range(2000):
        output.add(STDOUT, b"%08d" % number * 1024, number)
        if number % 100 == 0:
            store.take(output.flush(tail=number % 200 == 0))
    store.take(output.flush(tail=True))
    assert output.total == 2000 * 8192
    assert sum(len(chunk.data) for chunk in store.chunks.values()) <= 1024 + 64 * 1024 + CHUNK_BYTES
    assert store.ordered[-1].data.endswith(b"00001999")
    assert output.gap == (1024, store.ordered[1].offset - 1024)


def test_one_piece_larger_than_everything() -> None:
    output, store = BoundedOutput(10, 20), Store()
    output.add(STDOUT, b"h" * 10 + b"m" * 100_000 + b"t" * 20, 0)
    store.take(output.flush(tail=True))
    assert b"".join(chunk.data for chunk in store.ordered) == b"h" * 10 + b"t" * 20
    assert output.gap == (10, 100_000)
    assert output.stdout_bytes == 100_030


def test_numbers_after_the_gap_end_with_the_last_line() -> None:
    output, store = BoundedOutput(1024, 1024), Store()
    for number in range(1, 10_001):
        output.add(STDOUT, b"line %d\n" % number, number)
    store.take(output.flush(tail=True))
    lines = lines_of(store.ordered, gap=output.gap, total_lines=output.lines, finished=True)
    assert lines[0] == Line(1, 1, STDOUT, "line 1")
    assert lines[-1].number == 10_000
    assert lines[-1].text == "line 10000"
    assert all(line.text == f"line {line.number}" for line in lines[-50:])
    torn = next(line for before, line in pairwise(lines) if line.number > before.number + 1)
    assert torn.text.startswith("…")
    assert output.lines == 10_000
    assert output.last_line == "line 10000"


def test_a_character_split_between_chunks_is_whole_again() -> None:
    word = "grüße 你好".encode()
    chunks = [Chunk(at, STDOUT, at, word[at : at + 1]) for at in range(len(word))]
    (line,) = lines_of(chunks, gap=(0, 0), total_lines=1, finished=True)
    assert line.text == "grüße 你好"


def test_streams_that_interleave_within_a_line_stay_apart() -> None:
    chunks = [
        Chunk(0, STDOUT, 1, b"ou"),
        Chunk(2, STDERR, 2, b"er"),
        Chunk(4, STDOUT, 3, b"t\n"),
        Chunk(6, STDERR, 4, b"r"),
    ]
    lines = lines_of(chunks, gap=(0, 0), total_lines=2, finished=True)
    assert lines == [Line(1, 1, STDOUT, "out"), Line(2, 2, STDERR, "err")]


def test_an_unfinished_line_waits_for_its_end() -> None:
    chunks = [Chunk(0, STDOUT, 0, b"a\nhalf")]
    assert [line.text for line in lines_of(chunks, gap=(0, 0), total_lines=2, finished=False)] == ["a"]
    assert [line.text for line in lines_of(chunks, gap=(0, 0), total_lines=2, finished=True)] == ["a", "half"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff", "‹xFF›"),
        (b"a\xc3", "a‹xC3›"),
        (b"\xed\xa0\x80", "‹xED›‹xA0›‹x80›"),
        (b"nul\x00esc\x1b[31m", "nul\x00esc\x1b[31m"),
        (b"", ""),
    ],
)
def test_bytes_that_are_no_text_are_shown_as_bytes(data: bytes, text: str) -> None:
    assert as_text(data) == text


@pytest.mark.parametrize(
    ("pieces", "last"),
    [
        ([(STDOUT, b"one\ntwo\n")], "two"),
        ([(STDOUT, b"one\n\n  \n")], "one"),
        ([(STDOUT, b"one\npart")], "part"),
        ([(STDOUT, b"one\n"), (STDERR, b"trouble\n")], "trouble"),
        ([(STDOUT, b"nul\x00 \x1b[1mbold\n")], "nul bold"),
        ([(STDOUT, b"x" * 10_000)], "x" * 200),
        ([(STDOUT, b"progress 10%\rprogress 100%\r\x1b[K\n")], "progress 100%"),
        ([(STDOUT, b"one\r\ntwo\r\n")], "two"),
        ([(STDOUT, b"one\n\x1b[0m\n")], "one"),
        ([(STDOUT, b"\n\n")], None),
        ([], None),
    ],
)
def test_the_last_line_is_one_for_people(pieces: list[tuple[int, bytes]], last: str | None) -> None:
    output = BoundedOutput(99, 99)
    for fd, data in pieces:
        output.add(fd, data, 0)
    assert output.last_line == last


def test_the_digest_is_of_the_bytes_themselves() -> None:
    output = BoundedOutput(1, 1)
    output.add(STDOUT, b"abc", 0)
    parts = (b"0", hashlib.sha256(b"abc").digest(), hashlib.sha256(b"").digest())
    assert output.digests("0").exact == hashlib.sha256(b"\0".join(parts)).hexdigest()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=30))
def test_what_the_host_did_not_keep_is_counted_and_lies_in_the_gap(steps: list[tuple[bool, int]]) -> None:
    output, store = BoundedOutput(50, 40), Store()
    total = last_skip = 0
    for skipped, size in steps:
        if skipped:
            output.skip(STDOUT, size)
            last_skip = total + size
        else:
            output.add(STDOUT, b"x" * size, 0)
        total += size
        store.take(output.flush(tail=True))
    assert output.stdout_bytes == total
    start, length = output.gap
    assert 0 <= start <= start + length <= total
    assert start + length >= last_skip
    assert sum(len(chunk.data) for chunk in store.chunks.values()) + length == total


def test_the_same_bytes_are_read_as_gbk_and_lines_stay_lines() -> None:
    data = "磁盘空间不足\n一切正常 ok\n".encode("gbk") + b"\xff\n"
    chunks = [Chunk(at, STDOUT, 0, data[at : at + 5]) for at in range(0, len(data), 5)]
    said = Transcript(chunks, gap=(0, 0), total_lines=3, finished=True, encoding=Encoding.GBK)
    assert [line.text for line in said.page(1, 9)] == ["磁盘空间不足", "一切正常 ok", "‹xFF›"]
    assert b"\n".join(block.data for block in said.blocks()).decode().split("\n")[0] == "磁盘空间不足"
    plain = Transcript(chunks, gap=(0, 0), total_lines=3, finished=True)
    assert plain.page(2, 1)[0].text.endswith(" ok")
    assert "‹x" in plain.page(2, 1)[0].text
