"""What is run besides the command: what is refused, and that shells do with the composed text what the order says."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opsconsole.errors import Invalid
from opsconsole.jobs.compose import compose
from opsconsole.jobs.order import Order
from opsconsole.jobs.what import What

SHELLS = [words for words in (["dash"], ["bash", "--posix"], ["busybox", "ash"]) if shutil.which(words[0])]
# How the guard takes a text: from its input into a variable, and then it runs it in a shell of its own.
_GUARD = 'exec 3<&0 0</dev/null; s=$(cat <&3; printf x); s=${s%x}; exec 3<&-; (eval "$s") & wait "$!"; exit "$?"'


def ask(**fields: Any) -> What:
    """Returns what an order with ``fields`` means."""
    return What.of(Order(targets="web1", command="x", **fields), max_stdin_bytes=1000)


class Ran:
    """A composed text, run by ``shell`` in ``folder``."""

    def __init__(self, shell: list[str], folder: Path, command: str, what: What) -> None:
        path = os.environ["PATH"]
        done = subprocess.run(
            [*shell, "-c", _GUARD],
            input=compose(command, what),
            capture_output=True,
            timeout=60,
            cwd=folder,
            env={"PATH": path, "CDPATH": "/"},
            check=False,
        )
        self.status, self.out, self.said = done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Every kind of ``/bin/sh`` that this machine has."""
    words: list[str] = request.param
    return words


def test_a_raw_order_says_nothing_that_needs_a_shell() -> None:
    what = ask(raw=True, raw_typed=True)
    assert What.from_json(what.to_json()) == what == What(raw=True, raw_typed=True)
    assert what.asked()["raw"] is True
    more = {
        "interpreter": "bash",
        "args": ["x"],
        "stdin": "x",
        "cwd": "/",
        "umask": "027",
        "env": {"A": "x"},
        "run_as": "root",
        "durable": True,
    }
    for name, value in more.items():
        with pytest.raises(Invalid) as refused:
            ask(raw=True, **{name: value})
        assert [(fault.field, fault.code) for fault in refused.value.errors] == [(name, "not_in_raw")]
    with pytest.raises(Invalid, match="set raw, too"):
        ask(raw_typed=True)
    with pytest.raises(Invalid, match="control characters"):
        What.of(Order(targets="web1", command="show\tversion", raw=True), max_stdin_bytes=10)
    assert What.of(Order(targets="web1", command="a\r\nb\n", raw=True), max_stdin_bytes=10).raw


def test_a_plain_command_is_sent_as_it_is() -> None:
    assert compose("echo 'a'\nexit 3", What()) == b"echo 'a'\nexit 3"
    assert What().to_json() is None


def test_a_command_with_all_that_can_be_said(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    what = What(args=("one two", "it's"), stdin="in'put\nx", cwd="a b", umask="027", env={"A": "x  y\nz", "B": "$(id)"})
    ran = Ran(shell, tmp_path, 'echo "$1|$2|$#|$A|$B"; umask; pwd; cat; exit 3', what)
    assert ran.status == 3
    assert ran.out.split("\n") == [
        "one two|it's|2|x  y", "z|$(id)", ran.out.split("\n")[2], str(tmp_path / "a b"), "in'put", "x",
    ]  # fmt: skip
    assert int(ran.out.split("\n")[2], 8) == 0o027


@pytest.mark.parametrize(
    ("interpreter", "script", "out", "status"),
    [
        ("sh", 'read x; echo "$x-$1"; exit 4', "hello-a b\n", 4),
        ("bash -eu", 'read x; echo "$x-$1"; false; echo no', "hello-a b\n", 1),
        ("python3 -u", "import sys\nprint(input() + '-' + sys.argv[1])\nsys.exit(7)", "hello-a b\n", 7),
        ("perl", 'my $x = <STDIN>; chomp $x; print "$x-$ARGV[0]\\n"; exit 5', "hello-a b\n", 5),
    ],
)
def test_a_script_has_its_own_program_arguments_and_input(
    shell: list[str], tmp_path: Path, interpreter: str, script: str, out: str, status: int
) -> None:
    if shutil.which(interpreter.split()[0]) is None:
        pytest.skip(f"needs {interpreter.split()[0]}")
    ran = Ran(shell, tmp_path, script, What(interpreter=interpreter, args=("a b",), stdin="hello\n"))
    assert (ran.out, ran.status, ran.said) == (out, status, "")


def test_without_input_a_script_reads_nothing(shell: list[str], tmp_path: Path) -> None:
    assert Ran(shell, tmp_path, "import sys\nprint(repr(sys.stdin.read()))", What(interpreter="python3")).out == "''\n"


def test_large_scripts_and_input_that_nobody_reads(shell: list[str], tmp_path: Path) -> None:
    big = What(stdin="y" * 200_000)
    assert Ran(shell, tmp_path, "wc -c", big).out.strip() == "200000"
    ran = Ran(shell, tmp_path, "true", big)
    assert (ran.status, ran.said) == (0, "")
    script = f"#{'é' * 60_000}\nprint(1)"
    assert Ran(shell, tmp_path, script, What(interpreter="python3", stdin="y" * 200_000)).out == "1\n"


def test_a_folder_that_is_not_there_ends_it_before_it_begins(shell: list[str], tmp_path: Path) -> None:
    ran = Ran(shell, tmp_path, "echo ran", What(cwd="nope"))
    assert (ran.out, ran.status) == ("", 126)
    assert "nope" in ran.said


def test_a_program_that_is_not_there_is_named(shell: list[str], tmp_path: Path) -> None:
    ran = Ran(shell, tmp_path, "x", What(interpreter="nosuchprogram"))
    assert ran.status == 127
    assert "nosuchprogram" in ran.said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interpreter", "-c"),
        ("interpreter", "a;b"),
        ("interpreter", "bash 'x"),
        ("interpreter", "$(id)"),
        ("args", ["a\0b"]),
        ("args", ["x" * 100_001]),
        ("args", ["x"] * 201),
        ("args", ["\ud800"]),
        ("stdin", "a\0"),
        ("stdin", "x" * 1001),
        ("cwd", "~/x"),
        ("cwd", "a\0"),
        ("umask", "999"),
        ("umask", "22"),
        ("env", {"A B": "x"}),
        ("env", {"": "x"}),
        ("env", {"OPSC_RUN": "x"}),
        ("env", {"A": "x\0"}),
    ],
)
def test_what_has_no_meaning_is_named(field: str, value: Any) -> None:
    with pytest.raises(Invalid) as raised:
        ask(**{field: value})
    assert [fault.field for fault in raised.value.errors] == [field]


def test_what_is_stored_comes_back() -> None:
    what = ask(interpreter=" python3   -u ", args=["a", ""], stdin="x", cwd="/srv", umask="022", env={"A": ""})
    assert what.interpreter == "python3 -u"
    assert What.from_json(what.to_json()) == what
    assert What.of(Order(targets="x", command="x", **what.asked()), max_stdin_bytes=9) == what
    assert What.from_json(None) == What()
    assert (what.digested() or {})["stdin"] != "x"


def test_arguments_and_input_are_looked_at_for_danger_too() -> None:
    assert "reboot" in ask(stdin="reboot").readable("sh")
    assert ask().readable("uptime") == "uptime"
