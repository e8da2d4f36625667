"""What a device's terminal shows becomes output: however it arrives, without echo, prompts, pagers and the banner."""

from pathlib import Path

import pytest

from opsconsole.jobs.raw import Manners
from opsconsole.settings import Settings
from opsconsole.ssh.screen import Screen, Shown


@pytest.fixture
def manners(tmp_path: Path) -> Manners:
    said = Settings.load(data_dir=tmp_path)
    return Manners(said.raw_prompt, said.raw_pager, said.raw_fail_match)


@pytest.fixture
def screen(manners: Manners) -> Screen:
    return Screen(manners)


def feed(screen: Screen, text: bytes, size: int) -> bytes:
    return b"".join(screen.feed(text[at : at + size]) for at in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("line", "echo"),
    [
        ("show version", b"show version\r\n"),
        ("show version", b"\rsw1#show version\r\n"),
        ("show version", b"\x1b[?2004l\rshow version\r\n"),
        ("a long line", b"a long \r\x08 line\r\n"),
    ],
)
def test_the_echo_of_a_line_is_left_out_once(screen: Screen, size: int, line: str, echo: bytes) -> None:
    screen.sent(line)
    out = feed(screen, echo + b"one\r\ntwo\r\r\n" + line.encode() + b"\r\nsw1#", size)
    assert out == b"one\ntwo\n" + line.encode() + b"\n"
    assert screen.ask() is Shown.PROMPT


def test_what_only_resembles_the_echo_is_output(screen: Screen) -> None:
    screen.sent("show")
    assert screen.feed(b"nothing to show\r\n") == b"nothing to show\n"


@pytest.mark.parametrize(
    "prompt",
    [
        "sw1#", "sw1>", "sw1(config-if)#", "<HUAWEI>", "[HUAWEI-GigabitEthernet0/0/1]", "admin@fw1> ", "user@host:~$ ",
        "RP/0/RSP0/CPU0:xr1#", "# ", "$ ", "\x1b[1mA:node\x1b[0m# ", "text\rsw1#",
    ],
)  # fmt: skip
def test_prompts_of_many_makes_are_known(screen: Screen, prompt: str) -> None:
    screen.feed(b"some output\r\n" + prompt.encode())
    assert screen.ask() is Shown.PROMPT


@pytest.mark.parametrize(
    "text", ["Password: ", "Destination filename [startup-config]? ", "55%", "proceed? [y/n]", "!"]
)
def test_what_asks_or_goes_on_is_no_prompt(screen: Screen, text: str) -> None:
    screen.feed(text.encode())
    assert screen.ask() is Shown.TEXT
    assert screen.take_open() == text.encode()
    assert screen.ask() is Shown.NOTHING


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    ("pager", "wipe"),
    [
        (b" --More-- ", b"\x08" * 10 + b" " * 10 + b"\x08" * 10),
        (b"--More--", b"\r        \r"),
        (b"---- More ----", b"\x1b[42D                          \x1b[42D".replace(b"\x1b[42D", b"\r")),
        (b"<--- More --->", b"\r              \r"),
        (b"-- MORE --, next page: Space, quit: q", b"\r\x1b[K"),
        (b"---(more 35%)---", b"\r"),
    ],
)
def test_a_pager_is_answered_and_left_out(screen: Screen, size: int, pager: bytes, wipe: bytes) -> None:
    assert feed(screen, b"one\r\n" + pager, size) == b"one\n"
    assert screen.ask() is Shown.PAGER
    screen.answered_pager()
    assert feed(screen, wipe + b"   two\r\n", size) == b"   two\n"


def test_the_banner_is_no_output_and_is_told_where_no_prompt_comes(screen: Screen) -> None:
    screen.expect_banner()
    assert screen.feed(b"Keep out! #\r\n% Invalid day\r\n\r\nlogin? ") == b""
    assert (screen.ask(), screen.take_open(), screen.rest()) == (Shown.TEXT, b"", b"")
    assert screen.end_banner() == "Keep out! #\n% Invalid day\n\nlogin?"
    assert screen.fault is None
    assert screen.feed(b"one\r\n") == b"one\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("% Invalid input detected at '^' marker.", True),
        ("  % Incomplete command.", True),
        ("Error: Unrecognized command found at '^' position.", True),
        ("syntax error, expecting <command>.", True),
        ("unknown command.", True),
        ("Input errors: 0", False),
        ("5% invalid", False),
        ("interface up, 0 error", False),
    ],
)
def test_lines_that_tell_a_fault(screen: Screen, line: str, told: bool) -> None:
    screen.feed(f"before\r\n{line}\r\nafter\r\n% Invalid later\x1b[0m\r\n".encode())
    assert screen.fault == (line.strip() if told else "% Invalid later")


def test_a_fault_in_the_last_line_counts_and_is_told_safely(screen: Screen) -> None:
    screen.feed(b"Error: \x1b[31m<b>\x00\xff" + b"x" * 500)
    assert screen.fault is None
    assert screen.rest().startswith(b"Error:")
    assert screen.fault is not None
    assert screen.fault.startswith("Error: <b> \N{REPLACEMENT CHARACTER}xx")
    assert len(screen.fault) == 120


def test_an_open_line_is_bounded_and_goes_on(screen: Screen) -> None:
    out = b"".join(screen.feed(b"x" * 1000) for _ in range(200))
    assert len(out) >= 200_000 - 65_536
    assert out + screen.feed(b"\r\n") == b"x" * 200_000 + b"\n"
    # What was shown before its line ended is not shown twice, and its carriage return still belongs to the end.
    screen.feed(b"half\r")
    assert screen.take_open() == b"half"
    assert screen.feed(b"\n") == b"\n"
