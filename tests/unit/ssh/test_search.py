"""The request that searches a host for a mark, and what its answer means."""

import shlex

import pytest

from opsconsole.jobs.ports import LeftProcess, Sight
from opsconsole.ssh import lease, search

MARK = "42-1.a1b2c3d4"


def test_the_mark_is_never_whole_among_the_words() -> None:
    words = shlex.split(search.line(MARK, end=None))
    assert words[-5:] == ["opsc-search", "4", "2-1.a1b2c3d4", "0", "-1"]
    assert not any(MARK in word for word in words)


def test_no_login_shell_meets_what_it_would_read_otherwise() -> None:
    line = search.line(MARK, end=2.5, group=77)
    assert shlex.split(line)[-2:] == ["77", "25"]
    # csh ends a quoted word at a line's end, and takes an exclamation mark for a piece of its history.
    assert "\n" not in line
    assert "!" not in line


@pytest.mark.parametrize(
    ("said", "status", "sight"),
    [
        (b"\x1eopsc-search gone 0\n", 0, Sight()),
        (b"welcome\n\x1eopsc-search gone 3\n", 0, Sight(ended=3)),
        (
            b"\x1eopsc-search 77 61 sleep 600 \n\x1eopsc-search alive 1\n",
            1,
            Sight(1, (LeftProcess(77, 61, "sleep 600"),)),
        ),
        (
            b"\x1eopsc-search 7 -1 a\x1b[31mb\xff\x00c\n\x1eopsc-search alive 30\n",
            1,
            Sight(30, (LeftProcess(7, 0, "ab\ufffdc"),)),
        ),
        (
            b"\x1eopsc-search 7 1 /bin/sh -c %b o\n\x1eopsc-search alive 1\n" % lease.BOOT.encode(),
            1,
            Sight(1, (LeftProcess(7, 1, "the command's own shell"),)),
        ),
    ],
)
def test_what_the_host_said(said: bytes, status: int, sight: Sight) -> None:
    assert search.read(said, status) == sight
    assert sight.clear == (status == 0)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (b"", 0, "does not run what it is given"),
        (b"\x1eopsc-search gone 0\n", 1, "does not run what it is given"),
        (b"\x1eopsc-search gone 0\n", None, "did not answer"),
        (b"\x1eopsc-search alive 99999999\n", 1, "does not run what it is given"),
        (b"", 3, "cannot be searched"),
        (b"", None, "did not answer"),
        (b"Unmatched '''.\n", 1, "does not run what it is given"),
    ],
)
def test_without_the_scripts_last_word_nothing_is_known(said: bytes, status: int | None, words: str) -> None:
    sight = search.read(said, status)
    assert sight.problem is not None
    assert words in sight.problem
    assert not sight.clear


def test_long_command_lines_are_cut_and_few_are_named() -> None:
    lines = b"".join(b"\x1eopsc-search %d 5 %s\n" % (pid, b"x" * 300) for pid in range(1, 13))
    sight = search.read(lines + b"\x1eopsc-search alive 200\n", 1)
    assert all(len(process.command) == 80 for process in sight.processes)
    assert sight.words.startswith("200 processes of it are alive on the host: 1 xxx")
    assert sight.words.endswith("… and others.")
    assert len(sight.words) < 350
