"""The way to another account: what is answered, once and to whom, however the words are cut into pieces."""

import re
import shlex

import pytest

from opsconsole.jobs.ports import Become, BecomeMethod, Secret
from opsconsole.ssh.passage import Passage

PROGRAM = ["/bin/sh", "-c", "x y", "it's"]


def words_of(passage: Passage) -> tuple[str, str]:
    """Returns the word that is said first, and the prompt."""
    line = passage.line(PROGRAM)
    found = [re.search(rf"opsc-{kind}:[0-9a-f]+", line) for kind in ("here", "asks")]
    return tuple(match.group() if match else "" for match in found)  # type: ignore[return-value]


def test_sudo_is_never_left_to_ask_by_itself() -> None:
    words = shlex.split(Passage(Become("root")).line(PROGRAM))
    assert words[:8] == ["exec", "env", "LC_MESSAGES=C", "sudo", "-n", "-u", "root", "--"]
    assert words[-4:] == PROGRAM
    words = shlex.split(Passage(Become("root", password=Secret("hunter2"))).line(PROGRAM))
    assert words[4:6] == ["-S", "-p"]
    assert "hunter2" not in words


def test_su_takes_the_program_as_one_word() -> None:
    words = shlex.split(Passage(Become("deploy", BecomeMethod.SU, Secret("x"))).line(PROGRAM))
    assert words[3:7] == ["su", "-s", "/bin/sh", "-c"]
    assert words[8:] == ["deploy"]
    assert shlex.split(words[7])[-4:] == PROGRAM


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_password_is_given_once_and_then_the_way_is_open(size: int) -> None:
    passage = Passage(Become("root", password=Secret("hunter2")))
    here, asks = words_of(passage)
    shown, answers = b"", b""
    told = f"lecture\n{asks}".encode()
    for at in range(0, len(told), size):
        some, answer = passage.err(told[at : at + size])
        shown, answers = shown + some, answers + answer
    assert (shown, answers, passage.through) == (b"lecture\n", b"hunter2\n", False)
    before, after = b"", b""
    told = f"noise\n{here}\nout".encode()
    for at in range(0, len(told), size):
        if passage.through:
            after += told[at : at + size]
            continue
        some, rest = passage.out(told[at : at + size])
        before, after = before + some, after + rest
    assert (before, after, passage.through) == (b"noise\n", b"out", True)


def test_who_asks_twice_gets_nothing_more() -> None:
    passage = Passage(Become("root", password=Secret("hunter2")))
    asks = words_of(passage)[1].encode()
    assert passage.err(asks)[1] == b"hunter2\n"
    assert passage.err(b"Sorry, try again.\n" + asks) == (b"Sorry, try again.\n", b"")
    assert "did not accept" in (passage.refusal or "")


def test_another_prompt_is_not_answered() -> None:
    passage = Passage(Become("root", password=Secret("hunter2")))
    words_of(passage)
    assert passage.err(b"Password: ") == (b"", b"")
    assert passage.err(b"[sudo] password for me: opsc-asks:00") == (b"", b"")
    assert passage.rest() == b"Password: [sudo] password for me: opsc-asks:00"


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (b"sudo: a password is required\n", 1, "wants a password before it runs anything as root"),
        (b"me is not in the sudoers file.\n", 1, "does not allow"),
        (b"sudo: sorry, you must have a tty to run sudo\n", 1, "requiretty"),
        (b"sudo: unknown user: root\n", 1, "no user root"),
        (b"env: 'sudo': No such file or directory\n", 127, "has no sudo"),
        (b"whatever\n", 3, "(exit status 3)"),
        (b"", None, "no answer in time"),
    ],
)
def test_why_not_is_told_in_words(said: bytes, status: int | None, words: str) -> None:
    passage = Passage(Become("root"))
    passage.err(said)
    assert words in passage.why_not(status, None)
