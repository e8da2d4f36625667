"""Outputs that differ in looks, or in readings, have digests in common, however they arrive."""

from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.alike import CLOSELY_READ_BYTES, ComparedOutput, detail_digest
from opsconsole.jobs.output import Digests
from opsconsole.jobs.similarity import Own


def said(
    data: bytes, *, host: str = "web1", err: bytes = b"", exit_text: str = "0/None", piece: int = 10**6
) -> Digests:
    output = ComparedOutput(100, 100, Own((host,)))
    for start in range(0, len(data), piece):
        output.add(1, data[start : start + piece], 0)
    if err:
        output.add(2, err, 0)
    return output.digests(exit_text)


@given(
    st.lists(st.sampled_from([b"took 3 ms\n", b"\n", b"web1 \xff\x1b[1mx", b"no end", b" \t", b"\r\n", "ä".encode()])),
    st.integers(1, 7),
)
def test_the_pieces_in_which_output_arrives_do_not_matter(parts: list[bytes], piece: int) -> None:
    assert said(b"".join(parts), piece=piece) == said(b"".join(parts))


def test_colours_and_blanks_at_the_end_are_no_difference_but_to_the_byte() -> None:
    plain, coloured = said(b"all good\n"), said(b"\x1b[32mall good\x1b[0m  \r\n\n\n")
    assert plain.exact != coloured.exact
    assert (plain.clean, plain.similar) == (coloured.clean, coloured.similar)
    assert said(b"a\n\nb\n").clean != said(b"a\nb\n").clean


def test_readings_and_own_names_are_no_difference_to_the_similar() -> None:
    one, other = said(b"web1 up 3 days, load 5%\n"), said(b"web2 up 1 day, load 52%\n", host="web2")
    assert one.clean != other.clean
    assert one.similar == other.similar


def test_exit_and_stream_always_count() -> None:
    assert said(b"x").similar != said(b"x", exit_text="1/None").similar
    assert said(b"x").similar != said(b"", err=b"x").similar


def test_what_is_beyond_the_part_that_is_read_closely_must_be_the_same_to_the_byte() -> None:
    filling = b"x" * 99 + b"\n"
    long = filling * (CLOSELY_READ_BYTES // 100 + 1)
    assert said(b"took 3 ms\n" + long).similar == said(b"took 4 ms\n" + long).similar
    assert said(long + b"took 3 ms\n").similar != said(long + b"took 4 ms\n").similar


def test_bytes_that_the_host_did_not_keep_count() -> None:
    output, other = ComparedOutput(10, 10), ComparedOutput(10, 10)
    for one, size in ((output, 5), (other, 6)):
        one.add(1, b"a", 0)
        one.skip(1, size)
        one.add(1, b"b", 0)
    assert output.digests("0").similar != other.digests("0").similar


def test_why_a_host_was_not_reached_counts_without_its_name() -> None:
    assert detail_digest("web1 does not answer.", Own(("web1",))) == detail_digest(
        "web2 does not answer.", Own(("web2",))
    )
    assert detail_digest("refused", Own(())) != detail_digest("no route", Own(()))
