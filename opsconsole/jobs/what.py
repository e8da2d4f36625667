"""What is run besides the command's text: who reads it, with which arguments and input, where, in which environment.

Pure. What is here is the same for all hosts of a job; ``compose`` turns it into what a host's shell is given.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from opsconsole.errors import FieldError, Invalid, all_of
from opsconsole.jobs import carried, raw
from opsconsole.jobs.order import Order
from opsconsole.jobs.ports import BecomeMethod
from opsconsole.jobs.steps import Barrier, Step
from opsconsole.sentences import Sentence

_PROGRAM = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]{0,199}")
_UMASK = re.compile(r"0?[0-7]{3}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
# By these the guard finds what belongs to a run; another value would hide it.
_RESERVED = frozenset({"OPSC_RUN", "OPSC_KEEPER"})
# The kernel of a host takes 128 KiB for one argument and for one variable, and rather more for all of them together.
_MOST_WORDS_BYTES = 100_000
_MOST_WORDS = 200
_MOST_PATH_CHARS = 4096


class RunAs(StrEnum):
    """What the other account is reached with, besides ``cred:<name>``: nothing, the password of the login, or one that
    is typed for the job."""

    UNASKED = "none"
    LOGIN = "login"
    TYPED = "password"


@dataclass(frozen=True, slots=True)
class What:
    """How a command's text is run; the plain ``What()`` means: by the login's ``/bin/sh``, as it is.

    With an ``interpreter`` (a program and its options) the text is a script that this program reads; without one
    ``args`` are the shell's ``$1`` and so on. ``stdin`` is what the command reads, ``cwd`` a folder, relative to the
    one that the login starts in. ``run_as`` is the account it runs as when that is not the login's, ``run_as_method``
    how it becomes that, ``run_as_credential`` with what: see ``RunAs``; the password itself is never here.
    ``raw``: none of that, the text is given to the host as it is over a terminal (``jobs.raw``); with ``raw_typed``
    line by line at a prompt, without asking for it to be run first.
    ``check`` and ``verify`` are what a shell runs before and after it, in the same folder and environment and as the
    same account; ``step_barrier`` is set when there is one.

    Instead of a command files may be carried: ``push`` (each with ``file``, its SHA-256, ``to``, and perhaps ``mode``
    and ``owner``), making folders that are missing with ``make_folders``, or ``pull`` (paths on the hosts).
    """

    interpreter: str | None = None
    args: tuple[str, ...] = ()
    stdin: str | None = None
    cwd: str | None = None
    umask: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    run_as: str | None = None
    run_as_method: str | None = None
    run_as_credential: str | None = None
    raw: bool = False
    raw_typed: bool = False
    check: str | None = None
    verify: str | None = None
    step_barrier: str | None = None
    push: tuple[Mapping[str, Any], ...] = ()
    pull: tuple[str, ...] = ()
    make_folders: bool = False

    @property
    def carries(self) -> bool:
        """Whether it carries files instead of running a command."""
        return bool(self.push or self.pull)

    @classmethod
    def of(cls, order: Order, *, max_stdin_bytes: int) -> "What":
        """Returns what ``order`` says. Raises ``Invalid`` naming each field that has no meaning."""
        what = cls(
            interpreter=" ".join((order.interpreter or "").split()) or None,
            args=tuple(order.args or ()),
            stdin=order.stdin or None,
            cwd=order.cwd or None,
            umask=order.umask or None,
            env=dict(order.env or {}),
            push=carried.pushed(order.push),
            pull=tuple(path.strip() for path in order.pull or () if path.strip()),
            make_folders=bool(order.make_folders),
            **_run_as_of(order),
            raw=bool(order.raw),
            raw_typed=bool(order.raw_typed),
            **_steps_of(order),
        )
        faults = [
            *_interpreter_faults(what.interpreter),
            *_size_faults("args", what.args),
            *_stdin_faults(what.stdin, max_stdin_bytes),
            *_cwd_faults(what.cwd),
            *_umask_faults(what.umask),
            *_env_faults(what.env),
            *_run_as_faults(what),
            *_raw_faults(order),
            *_steps_faults(what, max_stdin_bytes),
            *carried.faults(what.push, what.pull),
            *_carrying_faults(what),
        ]
        if faults:
            raise Invalid(all_of(faults), errors=faults)
        return what

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "What":
        """Returns what ``to_json`` stored."""
        known = {item.name: stored[item.name] for item in fields(cls) if item.name in stored} if stored else {}
        for name in ("args", "push", "pull"):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)

    def to_json(self) -> dict[str, Any] | None:
        """Returns a JSON object of what is said, ``None`` for a plain command."""
        said = {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name)}
        for name in ("args", "push", "pull"):
            if name in said:
                said[name] = list(said[name])
        return said or None

    def digested(self) -> dict[str, Any] | None:
        """Returns ``to_json`` for the audit, with the SHA-256 of the input instead of the input."""
        said = self.to_json()
        if said and self.stdin is not None:
            said["stdin"] = hashlib.sha256(self.stdin.encode()).hexdigest()
        return said

    def asked(self) -> dict[str, Any]:
        """Returns what an order for the same says, by the names of its fields."""
        return {item.name: getattr(self, item.name) or None for item in fields(self)}

    def readable(self, command: str) -> str:
        """Returns every text of the order that something may read as commands, for the advice on dangerous ones."""
        words = " ".join(self.args)
        # What a program, its options and its arguments say together may be what none of them says alone.
        together = " ".join(text for text in (self.interpreter, command, words) if text)
        program = " ".join(text for text in (self.interpreter, words) if text)
        texts = [command, together, words, program, self.stdin, self.check, self.verify]
        return "\n".join(dict.fromkeys(text for text in texts if text))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the order in their turn; none for an order that has only the act."""
        if self.check is None and self.verify is None:
            return ()
        said = {Step.CHECK: self.check, Step.ACT: "", Step.VERIFY: self.verify}
        return tuple(step for step, text in said.items() if text is not None)

    @property
    def in_lockstep(self) -> bool:
        """Whether no host of a wave begins a step before all others have the one before it behind them."""
        return self.step_barrier == Barrier.WAVE

    def text_of(self, step: Step, command: str) -> str:
        """Returns the text of one of the ``steps``; that of the act is ``command``."""
        return {Step.CHECK: self.check, Step.VERIFY: self.verify}.get(step) or command

    def of_step(self, step: Step) -> "What":
        """Returns how the text of one of the ``steps`` is run: an interpreter, arguments and input are the act's."""
        if step is Step.ACT:
            return self
        return What(cwd=self.cwd, umask=self.umask, env=self.env)


_NO_STEPS_OF_FILES = (
    "Files have no check and no verify: a push leaves alone what is there already and compares what arrived by itself. "
    "What is to be run before or after it is a job of its own."
)


def _carrying_faults(what: What) -> Iterator[FieldError]:
    if not what.carries:
        if what.make_folders:
            yield FieldError("make_folders", "It goes with files to push, and with them only.")
        return
    for name in ("interpreter", "args", "stdin", "cwd", "umask", "env", "raw"):
        if getattr(what, name):
            yield FieldError(name, "It goes with a command; a job either runs one or carries files.")
    for name in ("check", "verify"):
        if getattr(what, name):
            yield FieldError(name, _NO_STEPS_OF_FILES)


def _interpreter_faults(text: str | None) -> list[FieldError]:
    if text is None:
        return []
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words or not _PROGRAM.fullmatch(words[0]) or not text.isprintable() or len(text) > _MOST_PATH_CHARS:
        return [FieldError("interpreter", "Write a program such as bash, python3 -u or /opt/ruby/bin/ruby.")]
    return []


def _stdin_faults(text: str | None, limit: int) -> list[FieldError]:
    if text is None:
        return []
    if unreadable := _unreadable("stdin", text):
        return [unreadable]
    size = len(text.encode())
    return (
        [FieldError("stdin", Sentence("It has {size:,} bytes, the limit is {limit:,}.", size=size, limit=limit))]
        if size > limit
        else []
    )


def _cwd_faults(text: str | None) -> list[FieldError]:
    if text is None:
        return []
    if text.startswith("~"):
        return [FieldError("cwd", "Leave the ~ out: a path without a slash in front begins in the login's own folder.")]
    if len(text) > _MOST_PATH_CHARS:
        return [FieldError("cwd", "The path is too long.")]
    return [fault] if (fault := _unreadable("cwd", text)) else []


def _umask_faults(text: str | None) -> list[FieldError]:
    if text is None or _UMASK.fullmatch(text):
        return []
    return [FieldError("umask", "Write three octal digits such as 027.")]


def _env_faults(env: Mapping[str, str]) -> list[FieldError]:
    wrong = [name for name in env if not _NAME.fullmatch(name)]
    if wrong:
        message = Sentence(
            "{wrong!r} is no name of a variable: letters, digits and underscores only.", wrong=wrong[0][:40]
        )
        return [FieldError("env", message)]
    if reserved := _RESERVED & env.keys():
        return [FieldError("env", Sentence("{reserved} belongs to the console.", reserved=min(reserved)))]
    return _size_faults("env", [f"{name}={value}" for name, value in env.items()])


def _raw_faults(order: Order) -> list[FieldError]:
    if order.raw:
        return raw.faults(order.command, {item.name: getattr(order, item.name) for item in fields(order)})
    if order.raw_typed:
        return [FieldError("raw_typed", "It says how a raw command is given: set raw, too.")]
    return []


def _run_as_of(order: Order) -> dict[str, str | None]:
    if not order.run_as:
        said = ("run_as_method", "run_as_credential")
        return {name: getattr(order, name) or None for name in said}
    typed = RunAs.TYPED if order.run_as_password is not None else None
    return {
        "run_as": order.run_as.strip(),
        "run_as_method": order.run_as_method or BecomeMethod.SUDO.value,
        "run_as_credential": order.run_as_credential or typed,
    }


def _run_as_faults(what: What) -> list[FieldError]:
    faults = []
    if what.run_as is None:
        message = "It says how to become another account: name that as run_as."
        said = {"run_as_method": what.run_as_method, "run_as_credential": what.run_as_credential}
        return [FieldError(name, message) for name, value in said.items() if value]
    if not _USER.fullmatch(what.run_as):
        faults.append(FieldError("run_as", "Not a user name: letters, digits, dot, dash and underscore only."))
    if what.run_as_method not in set(BecomeMethod):
        faults.append(FieldError("run_as_method", Sentence("Choose {methods}.", methods=" or ".join(BecomeMethod))))
    choice = what.run_as_credential
    if choice is not None and choice not in set(RunAs) and not choice.startswith("cred:"):
        faults.append(FieldError("run_as_credential", "Choose none, login, password or cred:<name>."))
    return faults


def _steps_of(order: Order) -> dict[str, str | None]:
    # A form sends CRLF, which a shell would take as part of the last word of each line.
    texts = {name: (getattr(order, name) or "").replace("\r\n", "\n") for name in ("check", "verify")}
    said: dict[str, str | None] = {name: text if text.strip() else None for name, text in texts.items()}
    usual = Barrier.HOST.value if any(said.values()) else None
    return {**said, "step_barrier": order.step_barrier or usual}


def _steps_faults(what: What, limit: int) -> list[FieldError]:
    faults = []
    for name, text in (("check", what.check), ("verify", what.verify)):
        if text is None:
            continue
        if unreadable := _unreadable(name, text):
            faults.append(unreadable)
        elif (size := len(text.encode())) > limit:
            faults.append(
                FieldError(name, Sentence("It has {size:,} bytes, the limit is {limit:,}.", size=size, limit=limit))
            )
    if what.step_barrier is not None and not what.steps:
        faults.append(FieldError("step_barrier", "There is one step alone: give a check or a verify, too."))
    elif what.step_barrier is not None and what.step_barrier not in set(Barrier):
        faults.append(FieldError("step_barrier", Sentence("Choose {choices}.", choices=" or ".join(Barrier))))
    return faults


def _size_faults(name: str, words: Sequence[str]) -> list[FieldError]:
    for word in words:
        if unreadable := _unreadable(name, word):
            return [unreadable]
    if len(words) > _MOST_WORDS:
        return [FieldError(name, Sentence("At most {limit} of them.", limit=_MOST_WORDS))]
    if sum(len(word.encode()) + 1 for word in words) > _MOST_WORDS_BYTES:
        return [
            FieldError(
                name,
                Sentence(
                    "At most {limit:,} bytes together; give what is longer as stdin.",
                    limit=_MOST_WORDS_BYTES,
                ),
            )
        ]
    return []


def _unreadable(name: str, text: str) -> FieldError | None:
    if "\0" in text:
        return FieldError(name, "A NUL byte cannot be handed over.")
    try:
        text.encode()
    except UnicodeEncodeError:
        return FieldError(name, "This is not valid text.")
    return None
