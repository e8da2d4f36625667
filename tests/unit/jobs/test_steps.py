"""The steps of an order: what a host's shell is given, and how its output is told apart."""

import random
import subprocess

import pytest

from opsconsole.errors import Invalid
from opsconsole.jobs.compose import compose
from opsconsole.jobs.order import Order
from opsconsole.jobs.steps import Divider, Ended, Piece, Step, end_line, in_turn, parts_of
from opsconsole.jobs.variables import render, used
from opsconsole.jobs.what import What

_MARK = "7-1.abcd"
_ALL = (Step.CHECK, Step.ACT, Step.VERIFY)


def _what(**said: object) -> What:
    return What.of(Order(targets="a", command="act", **said), max_stdin_bytes=1000)


def _run(script: bytes, shell: str = "sh") -> tuple[int, bytes, bytes]:
    done = subprocess.run([shell, "-c", script.decode()], env={"OPSC_RUN": _MARK, "PATH": "/usr/bin:/bin"},
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _line(step: str, status: int) -> bytes:
    return f"\036opsc-step {_MARK} {step} {status}\n".encode()


def _divided(pieces: list[tuple[int, bytes]], steps: tuple[Step, ...] = _ALL) -> list[object]:
    """Returns what a divider tells, neighbouring pieces of a stream joined."""
    divider, told = Divider(_MARK, steps), []
    for stream, data in pieces:
        told += divider.feed(stream, data)
    told += divider.rest()
    joined: list[object] = []
    for item in told:
        if isinstance(item, Piece) and joined and isinstance(joined[-1], Piece) and joined[-1].stream == item.stream:
            item = Piece(item.stream, joined.pop().data + item.data)
        joined.append(item)
    return joined


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_goes_through_the_steps_and_stops_after_the_first_that_fails(shell: str) -> None:
    what = _what(check="echo c; echo ce >&2", verify="echo v; exit 3")
    status, out, err = _run(compose("exec echo a", what), shell)
    assert status == 3
    assert out == b"c\n" + _line("check", 0) + b"a\n" + _line("act", 0) + b"v\n" + _line("verify", 3)
    assert err == b"ce\n" + _line("check", 0) + _line("act", 0) + _line("verify", 3)
    status, out, _ = _run(compose("echo a", _what(check="exit 77", verify="echo v")), shell)
    assert (status, out) == (77, _line("check", 77))
    # A text that no shell can read, leaves its quotes open or ends its shell is its own step's fault alone.
    for broken in ("echo 'open", "if true", "set -e; false", "kill -9 $(sh -c 'echo $PPID')"):
        status, out, _ = _run(compose("echo a", _what(check=broken)), shell)
        assert status not in (0, 77), broken
        assert b"a\n" not in out


def test_what_surrounds_the_act_is_the_other_steps_too_but_not_its_program_and_its_input() -> None:
    said = {"interpreter": "bash", "args": ["x y"], "stdin": "in", "cwd": "/tmp", "umask": "027", "env": {"A": "b"}}
    what = _what(check='echo "$A" "$(pwd)" "$(umask)" "$#"; cat', verify='echo "$A" "$(pwd)"', **said)
    status, out, _ = _run(compose('echo "$1" "$BASH_VERSION" | head -c 5; cat', what))
    assert status == 0
    check, act, verify = out.replace(_line("check", 0), b"|").replace(_line("act", 0), b"|").split(b"|")
    assert check.startswith(b"b /tmp 0027 ")
    assert act.startswith(b"x y 5")
    assert act.endswith(b"in")
    assert verify.startswith(b"b /tmp\n")
    assert _run(compose("echo a", _what(check="true", cwd="/none")))[0] == 126


def test_each_byte_is_of_the_step_that_wrote_it_however_the_streams_are_cut() -> None:
    out = b"c1" + _line("check", 0) + b"a\n\036opsc-step 9-9.ffff act 0\n" + _line("act", 0) + b"v" + _line("verify", 1)
    err = b"ce\n" + _line("check", 0) + _line("act", 0) + b"ve\n" + _line("verify", 1)
    for seed in range(300):
        rng = random.Random(seed)
        left = {1: out, 2: err}
        pieces = []
        while left[1] or left[2]:
            stream = rng.choice([one for one in (1, 2) if left[one]])
            size = rng.randint(1, rng.choice([1, 3, 40, 400]))
            pieces.append((stream, left[stream][:size]))
            left[stream] = left[stream][size:]
        told = _divided(pieces)
        step, said = 0, {(at, stream): b"" for at in range(4) for stream in (1, 2)}
        for item in told:
            if isinstance(item, Ended):
                assert item == Ended(_ALL[step], 1 if step == 2 else 0)
                step += 1
            else:
                said[step, item.stream] += item.data
        assert step == 3
        assert [said[at, 1] for at in range(4)] == [b"c1", b"a\n\036opsc-step 9-9.ffff act 0\n", b"v", b""]
        assert [said[at, 2] for at in range(4)] == [b"ce\n", b"", b"ve\n", b""]


def test_a_line_that_is_missing_or_made_up_stops_nothing() -> None:
    # The host did not keep the first line on either stream: the later one tells that its step was passed.
    assert _divided([(1, b"..a" + _line("act", 0) + b"v"), (2, _line("act", 0))]) == [
        Piece(1, b"..a"), Ended(Step.ACT, 0), Piece(1, b"v"),
    ]  # fmt: skip
    # It came on one stream alone.
    assert _divided([(1, b"c" + _line("check", 0) + b"a"), (2, b"e")]) == [
        Piece(1, b"c"), Piece(2, b"e"), Ended(Step.CHECK, 0), Piece(1, b"a"),
    ]  # fmt: skip
    # Said twice, out of turn, of a step that there is not, or never finished: output, or nothing.
    assert _divided([(1, _line("check", 0) + _line("check", 5) + b"x"), (2, _line("check", 0))]) == [
        Ended(Step.CHECK, 0), Piece(1, b"x"),
    ]  # fmt: skip
    odd = f"\036opsc-step {_MARK} ".encode()
    for text in (odd + b"boil 0\n", odd + b"check x\n", odd + b"check 99999\n", odd + b"che", odd[:9]):
        assert _divided([(1, text)]) == [Piece(1, text)]
    assert _divided([(1, _line("verify", 0))], (Step.CHECK, Step.ACT)) == []
    # A host that floods one stream is not waited for on the other.
    flood = b"y" * (3 * 1024 * 1024)
    divider = Divider(_MARK, _ALL)
    ended, *_ = divider.feed(1, _line("check", 0) + flood)
    assert ended == Ended(Step.CHECK, 0)
    assert [*divider.feed(2, _line("check", 0) + b"z")] == [Piece(2, b"z")]


def test_the_fields_of_an_order() -> None:
    assert _what().steps == ()
    assert _what(check=" \n").steps == ()
    assert _what(check="c").steps == (Step.CHECK, Step.ACT)
    assert _what(verify="v\r\nw").verify == "v\nw"
    assert _what(verify="v").step_barrier == "host"
    what = _what(check="test -d /srv/{host.name}", verify="echo {n}", step_barrier="host")
    assert what.steps == _ALL
    assert What.from_json(what.to_json()) == what
    assert "test -d" in what.readable("act")
    assert used("act", what) == {"host.name", "n"}
    _, filled = render("act", what, {"host.name": "a b", "n": "3"})
    assert (filled.check, filled.verify) == ("test -d /srv/'a b'", "echo 3")
    for said, field in (
        ({"step_barrier": "host"}, "step_barrier"),
        ({"check": "c", "step_barrier": "rack"}, "step_barrier"),
        ({"check": "a\0b"}, "check"),
        ({"verify": "x" * 1001}, "verify"),
    ):
        with pytest.raises(Invalid) as error:
            _what(**said)
        assert [fault.field for fault in error.value.errors] == [field]


def test_the_text_of_the_steps_is_quoted_whole() -> None:
    assert _run(in_turn({Step.ACT: 'printf %s "it\'s"'}).encode())[1] == b"it's" + _line("act", 0)


@pytest.mark.parametrize("text", ["true", "echo 'a' \"b\"; x", "a\nb\n", "( eval x ); r=$?", "é 'ß'", "''"])
def test_the_text_of_the_steps_is_read_back(text: str) -> None:
    texts = {Step.CHECK: text, Step.ACT: f"{text}\n{in_turn({Step.ACT: text})}"}
    assert parts_of(in_turn(texts).encode()) == [(step, said.encode()) for step, said in texts.items()]
    assert parts_of(text.encode()) == []
    assert end_line(_MARK, Step.CHECK, 7) == _line("check", 7)
