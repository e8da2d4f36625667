"""Text of hosts as a terminal may show it."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.cli.terminal import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ä 漢", "plain\ttext ä 漢"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;never ended", ""),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x9b2Jx", "x"),
        ("\x9d0;t\x9cx", "x"),
        ("\x1bcx", "x"),
        ("\x1b", ""),
        ("10%\r50%\r100%\r", "100%"),
        ("a\x00b\x08c", "a‹U+0000›b‹U+0008›c"),
        ("\u202eevil\u2069", "‹U+202E›evil‹U+2069›"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_colours_stay_when_asked_for_and_end_with_the_line() -> None:
    assert harmless("\x1b[31mred\x1b[2J\x1b[0m!", keep_colours=True) == "\x1b[31mred\x1b[0m!\x1b[0m"


@given(st.text(alphabet=st.sampled_from("\x1b[]P;0m\x07\\\x9b\x9d\x9c\r\x00ab\u202e")), st.booleans())
def test_nothing_a_terminal_would_obey_gets_through(text: str, keep_colours: bool) -> None:
    shown = re.sub(r"\x1b\[[0-9;:]*m", "", harmless(text, keep_colours=keep_colours))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202e]", shown)


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b", "\x9b0", "\x1b]x\x1b", "\r", "\x1b[0"])
def test_a_megabyte_takes_no_time_to_speak_of(piece: str) -> None:
    start = time.perf_counter()
    harmless(piece * (1_000_000 // len(piece)), keep_colours=True)
    assert time.perf_counter() - start < 5.0
