"""The guard's texts: what is sent, and finding its line in the output however it is cut."""

import shlex
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.ports import RemoteCommand, Spool, Started
from opsconsole.ssh import durable, lease

_LINE = b"\x1eopsc 7-1 4242\n"


def test_the_script_is_no_argument() -> None:
    line = lease.exec_line(RemoteCommand("7-1", b"secret words", 60, 5))
    assert "secret" not in line
    assert shlex.split(line)[-5:] == ["opsc", "7-1", "kill", "5", "60"]


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        (b"echo  ok \\ ", b"line\necho  ok \\ \n"),
        (b"a\nb", b"3\na\nb\n"),
        (b"a\n", b"2\na\n\n"),
        ("ä\0".encode(), b"3\n\xc3\xa4\0\n"),
        (b"", b"0\n\n"),
        (b"x" * 2001, b"2001\n" + b"x" * 2001 + b"\n"),
    ],
)
def test_a_script_is_sent_by_size_or_as_one_plain_line(script: bytes, sent: bytes) -> None:
    command = RemoteCommand("7-1", script, 60, 5)
    assert lease.script_bytes(command) == sent
    assert lease.stdin_bytes(command) == lease.fed(lease.GUARD) + sent


def test_the_login_shell_sees_nothing_that_a_shell_may_take_for_something_else() -> None:
    lines = [
        lease.exec_line(RemoteCommand("7-1", b"x", 60, 5)),
        durable.request(RemoteCommand("7-1.ab", b"x", 60, 5), Spool(1, 1)).line,
        durable.clean_line("7-1.ab"),
    ]
    for line in lines:
        # csh takes neither newline nor exclamation mark in any quotes; fish takes these backslashes in single ones.
        assert not {"\n", "!"} & set(line)
        assert "\\\\" not in line
        assert "\\'" not in line
        # One pair of single quotes opens and closes as often as one looks.
        assert line.count("'") in {2, 4}


def test_no_limit_is_a_long_one() -> None:
    assert int(shlex.split(lease.exec_line(RemoteCommand("7-1", b"", 0, 5)))[-1]) > 3e8


@pytest.mark.parametrize("mark", ["", "a b", "a\nb", "$(id)", "x" * 65, "ä"])
def test_a_mark_is_a_plain_word(mark: str) -> None:
    with pytest.raises(ValueError, match="mark"):
        lease.exec_line(RemoteCommand(mark, b"", 60, 5))


def _filtered(pieces: list[bytes], mark: str = "7-1") -> tuple[bytes, bytes, Started | None]:
    """Returns what passed before and after the line was found, and what it said."""
    found: Started | None = None
    before, after = b"", b""
    sieve = lease.StartedFilter(mark)
    for piece in pieces:
        first, started, second = sieve.feed(piece)
        if found is None:
            before += first
        else:
            after += first
        found = found or started
        after += second
    rest = sieve.rest()
    return (before, after + rest, found) if found else (before + rest, after, None)


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(bounds)]


@given(st.binary(max_size=40), st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=20))
def test_the_line_is_found_however_it_is_cut(before: bytes, after: bytes, places: list[int]) -> None:
    before = before.replace(b"\x1e", b"")
    assert _filtered(_cut(before + _LINE + after, places)) == (before, after, Started(4242))


@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=20))
def test_without_the_line_everything_passes(data: bytes, places: list[int]) -> None:
    data = data.replace(b"opsc 7-1", b"")
    assert _filtered(_cut(data, places)) == (data, b"", None)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1eopsc 7-2 1\n",
        b"\x1eopsc 7-1 x\n",
        b"\x1eopsc 7-1 \n",
        b"\x1eopsc 7-1 12345678901\n",
        b"\x1eopsc 7-1 12",
        b"\x1eopsc 7-1",
        b"\x1e",
        b"opsc 7-1 1\n",
    ],
)
def test_what_only_looks_like_it_passes(data: bytes) -> None:
    assert _filtered([data]) == (data, b"", None)
    assert _filtered([bytes([byte]) for byte in data]) == (data, b"", None)


def test_only_the_first_line_counts() -> None:
    assert _filtered([_LINE + _LINE]) == (b"", _LINE, Started(4242))
