"""What a host says of a durable run is read to the byte, and nothing it may say does harm."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.ports import (
    Event,
    Exited,
    NotStarted,
    Output,
    RemoteCommand,
    Skipped,
    Spool,
    Started,
    Stream,
    Vanished,
)
from opsconsole.ssh import durable
from opsconsole.ssh.durable import Frames

KEPT = Spool(1024, 2048)


def fed(frames: Frames, data: bytes, cuts: list[int]) -> list[Event]:
    """Returns what the frames yield for ``data`` in pieces, neighbouring output joined."""
    told: list[Event] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        for event in frames.feed(data[start:end]):
            last = told[-1] if told else None
            if isinstance(event, Output) and isinstance(last, Output) and event.stream is last.stream:
                told[-1] = Output(event.stream, last.data + event.data)
            else:
                told.append(event)
    return told


@given(st.lists(st.integers(0, 100), max_size=20))
def test_frames_are_read_wherever_they_are_cut(cuts: list[int]) -> None:
    frames = Frames(attach=True)
    said = b"a 4711 12\no 4\na 1\n" + b"e 2\n\n\x00" + b"go 900\no 3\nx 0" + b"x 7 1 0 1\n" + b"o 3\nafter"
    assert fed(frames, said, cuts) == [
        Started(4711, 12.0),
        Output(Stream.STDOUT, b"a 1\n"),
        Output(Stream.STDERR, b"\n\x00"),
        Skipped(Stream.STDOUT, 900),
        Output(Stream.STDOUT, b"x 0"),
    ]
    assert frames.end == Exited(7, by_limit=True, cut=True)


@given(st.binary(max_size=400), st.booleans())
def test_whatever_a_host_says_is_read(said: bytes, attach: bool) -> None:
    frames = Frames(attach=attach)
    assert sum(len(event.data) for event in frames.feed(said) if isinstance(event, Output)) <= len(said)


@pytest.mark.parametrize("said", [b"o -1\n", b"o 1" + b"0" * 40 + b"\n", b"x 0\n", b"?" * 100, b"a x y\n", b"\n"])
def test_nonsense_is_no_result(said: bytes) -> None:
    frames = Frames(attach=False)
    assert list(frames.feed(said)) == []
    assert isinstance(frames.end, Vanished)


@pytest.mark.parametrize(
    ("word", "attach", "kind"),
    [
        ("unfit", False, NotStarted),
        ("unsafe", False, NotStarted),
        ("full", False, NotStarted),
        ("void", False, NotStarted),
        ("void", True, NotStarted),
        # On a later connection these say nothing of what happened before.
        ("unfit", True, Vanished),
        ("unsafe", True, Vanished),
        ("gone", True, Vanished),
        ("dead", False, Vanished),
        ("other", False, Vanished),
    ],
)
def test_what_is_certain_and_what_is_not(word: str, attach: bool, kind: type[object]) -> None:
    frames = Frames(attach=attach)
    list(frames.feed(f"n {word}\n".encode()))
    assert isinstance(frames.end, kind)


def test_neither_script_nor_bare_mark_is_among_the_words() -> None:
    asked = durable.request(RemoteCommand("7-1.ab", b"secret words", 60, 5, KEPT), KEPT)
    assert b"secret words" in asked.stdin
    assert "secret" not in asked.line
    # A search for the mark ends who has it among its words.
    assert " 7-1.ab " not in asked.line
    attached = durable.request(RemoteCommand("7-1.ab", b"secret", 60, 5), Spool(1, 1, attach=True))
    assert asked.stdin == attached.stdin + b"line\nsecret words\n"


@pytest.mark.parametrize("mark", ["", "a b", "../x", "$(x)", "a/b"])
def test_a_mark_is_a_plain_word(mark: str) -> None:
    with pytest.raises(ValueError, match="plain word"):
        durable.request(RemoteCommand(mark, b"", 60, 5), KEPT)
    with pytest.raises(ValueError, match="plain word"):
        durable.clean_line(mark)
