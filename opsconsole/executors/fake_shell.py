"""Reads a command as a simulated host would: what it says, how long it takes, how it ends. Pure.

Some well-known commands are played, in sequences with ``;``, ``&&`` and ``||``; of a pipe its first program. Whatever
else a text holds is not run, of course: it takes its time and says that it was simulated.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opsconsole.executors import fake_output
from opsconsole.executors.fake_host import FakeHost, Fate
from opsconsole.jobs.ports import Stream
from opsconsole.jobs.simulation import Said
from opsconsole.jobs.steps import Step as Part
from opsconsole.jobs.steps import end_line, parts_of

_PUNCTUATION = ";&|<>()\n"
_CONTROL = {"if", "for", "while", "until", "case", "function", "{", "(", "!"}
_QUIET = {"true", ":", "cd", "export", "set", "umask", "unset", "wait"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SHOWN_CHARS = 60
_MOST_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Wait:
    """So many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes are written."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The command ends with ``status``."""

    status: int


Step = Wait | Say | End


def steps(script: bytes, host: FakeHost) -> Iterator[Step]:
    """Yields what ``script`` does on ``host``; the last is an ``End``. Of a host that hangs there is none."""
    text = script.decode(errors="replace")
    simulation = host.simulation
    if host.fate is Fate.FAILS:
        yield from _failing(text, host)
    elif simulation.said is Said.APT_FAILURE:
        yield from _told(host, fake_output.apt_failure(host), Stream.STDERR)
        yield End(100)
    elif simulation.said is Said.FLOOD:
        yield from _flood(host)
    elif simulation.text is not None:
        yield from _told(host, f"{simulation.text}\n")
        yield End(0)
    elif simulation.said is not None:
        yield from _told(host, fake_output.of_kind(simulation.said, host))
        yield End(0)
    else:
        yield from _Shell(host).run(text)


def in_turn(script: bytes, mark: str, host: FakeHost) -> Iterator[Step]:
    """Yields what ``script`` does on ``host`` as ``steps`` does; one that goes through the steps of an order tells of
    their ends by ``mark``. Whether a host fails, and what it says, is about the act: the others are played as written.
    """
    parts = parts_of(script)
    if not parts:
        yield from steps(script, host)
    for part, text in parts:
        for step in steps(text, host) if part is Part.ACT else _Shell(host).run(text.decode(errors="replace")):
            if not isinstance(step, End):
                yield step
                continue
            for stream in Stream:
                yield Say(stream, end_line(mark, part, step.status))
            if step.status or part is parts[-1][0]:
                yield step
                return


def _told(host: FakeHost, text: str, stream: Stream = Stream.STDOUT) -> Iterator[Step]:
    yield Wait(host.run_seconds)
    yield Say(stream, text.encode())


def _failing(text: str, host: FakeHost) -> Iterator[Step]:
    word = _first_word(text)
    apt = word.startswith("apt")
    yield from _told(host, fake_output.apt_failure(host) if apt else fake_output.failure(host, word), Stream.STDERR)
    yield End(100 if apt else 1)


def _flood(host: FakeHost) -> Iterator[Step]:
    pieces = fake_output.flood(host)
    for piece in pieces:
        yield Wait(host.run_seconds / len(pieces))
        yield Say(Stream.STDOUT, piece.encode())
    yield End(0)


def _first_word(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    words = lines[0].split() if lines else []
    word = next((word for word in words if word not in {"sudo", "exec", "env"}), "sh")
    return word.rpartition("/")[2][:_SHOWN_CHARS]


class _Shell:
    """Plays one text. The time that the host takes for a command passes once, unless the text itself waits."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self._status = 0

    def run(self, text: str) -> Iterator[Step]:
        """Yields the steps of ``text``."""
        try:
            commands = list(_commands(text))
        except ValueError:
            yield Say(Stream.STDERR, b"sh: 1: Syntax error: Unterminated quoted string\n")
            yield End(2)
            return
        if any(words[0] in _CONTROL for _, words, _ in commands):
            yield from _told(self._host, _simulated(text))
            yield End(0)
            return
        waited = any(words[0] == "sleep" for _, words, _ in commands)
        if not waited:
            yield Wait(self._host.run_seconds)
        for operator, words, stream in commands:
            if (operator == "&&" and self._status) or (operator == "||" and not self._status):
                continue
            if words[0] == "exit":
                self._status = _number(words[1:], 255) if words[1:] else self._status
                break
            yield from self._command(words, stream)
        yield End(self._status)

    def _command(self, words: list[str], stream: Stream) -> Iterator[Step]:
        name, arguments = words[0].rpartition("/")[2], words[1:]
        if name == "sleep":
            self._status = 0
            yield Wait(_seconds(arguments))
            return
        said, status = self._said(name, arguments, words)
        self._status = status
        if said:
            yield Say(Stream.STDERR if status and name == "cat" else stream, said.encode())

    def _said(self, name: str, arguments: list[str], words: list[str]) -> tuple[str, int]:
        """Returns what a command prints and its status."""
        host = self._host
        if name in _QUIET or name == "false":
            return "", int(name == "false")
        if name in {"echo", "printf"}:
            line = arguments[1:] if arguments[:1] == ["-n"] else arguments
            end = "" if arguments[:1] == ["-n"] or name == "printf" else "\n"
            return _expanded(" ".join(line), host) + end, 0
        if name == "cat":
            return self._cat(arguments)
        known = _KNOWN.get(name)
        return (known(host, arguments) if known is not None else _simulated(shlex.join(words))), 0

    def _cat(self, arguments: list[str]) -> tuple[str, int]:
        files = {"/etc/os-release": fake_output.os_release, "/etc/hostname": _name}
        said = files.get(arguments[0]) if arguments else None
        if said is None:
            return f"cat: {' '.join(arguments) or '-'}: No such file or directory\n", 1
        return said(self._host), 0


def _name(host: FakeHost) -> str:
    return f"{host.name}\n"


def _packages(host: FakeHost, _: list[str]) -> str:
    return fake_output.packages(host)


def _apt(host: FakeHost, _: list[str]) -> str:
    return fake_output.apt(host)


_KNOWN: dict[str, Callable[[FakeHost, list[str]], str]] = {
    "uptime": lambda host, _: fake_output.uptime(host),
    "hostname": lambda host, _: _name(host),
    "uname": fake_output.uname,
    "df": lambda host, _: fake_output.df(host),
    "free": lambda host, _: fake_output.free(host),
    "whoami": lambda _, __: "root\n",
    "id": lambda _, __: "uid=0(root) gid=0(root) groups=0(root)\n",
    "rpm": _packages,
    "dpkg": _packages,
    "dpkg-query": _packages,
    "apt": _apt,
    "apt-get": _apt,
}


def _commands(text: str) -> Iterator[tuple[str, list[str], Stream]]:
    """Yields each command with what stands before it, and where its output goes. Raises ``ValueError`` for a quote
    that is not closed."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    lexer = shlex.shlex("\n".join(lines), posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    before, words, stream, piped = ";", list[str](), Stream.STDOUT, False
    tokens = iter(lexer)
    for token in tokens:
        if token.strip(_PUNCTUATION):
            words.append(token)
            continue
        operator = token.strip("\n") or ";"
        if operator[0] in "<>":
            aim = next(tokens, "")
            if operator == ">&" and aim == "2":
                stream = Stream.STDERR
            if words and words[-1] in {"1", "2"}:
                words.pop()
            continue
        if (said := _stripped(words)) and not piped:
            yield before, said, stream
        before, words, stream = operator, [], Stream.STDOUT
        piped = operator == "|"
    if (said := _stripped(words)) and not piped:
        yield before, said, stream


def _stripped(words: list[str]) -> list[str]:
    """Returns a command without what only says how it is run."""
    rest = list(words)
    while rest and (rest[0] in {"sudo", "exec", "env", "nohup", "-n"} or _ASSIGNMENT.match(rest[0])):
        rest.pop(0)
    return rest


def _expanded(text: str, host: FakeHost) -> str:
    return text.replace("$HOSTNAME", host.name).replace("$(hostname)", host.name)


def _simulated(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"simulated: {line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + '…'}\n"


def _seconds(arguments: list[str]) -> float:
    try:
        return min(max(float(arguments[0].removesuffix("s")), 0.0), _MOST_SECONDS) if arguments else 0.0
    except ValueError:
        return 0.0


def _number(arguments: list[str], wrap: int) -> int:
    return int(arguments[0]) & wrap if arguments[0].isascii() and arguments[0].isdigit() else 2
