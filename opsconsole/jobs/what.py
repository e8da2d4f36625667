"""What is run besides the command's text: who reads it, with which arguments and input, where, in which environment.

Pure. What is here is the same for all hosts of a job; ``compose`` turns it into what a host's shell is given.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs.order import Order

_PROGRAM = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]{0,199}")
_UMASK = re.compile(r"0?[0-7]{3}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
# By these the guard finds what belongs to a run; another value would hide it.
_RESERVED = frozenset({"OPSC_RUN", "OPSC_KEEPER"})
# The kernel of a host takes 128 KiB for one argument and for one variable, and rather more for all of them together.
_MOST_WORDS_BYTES = 100_000
_MOST_WORDS = 200
_MOST_PATH_CHARS = 4096


@dataclass(frozen=True, slots=True)
class What:
    """How a command's text is run; the plain ``What()`` means: by the login's ``/bin/sh``, as it is.

    With an ``interpreter`` (a program and its options) the text is a script that this program reads; without one
    ``args`` are the shell's ``$1`` and so on. ``stdin`` is what the command reads, ``cwd`` a folder, relative to the
    one that the login starts in.
    """

    interpreter: str | None = None
    args: tuple[str, ...] = ()
    stdin: str | None = None
    cwd: str | None = None
    umask: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

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
        )
        faults = [
            *_interpreter_faults(what.interpreter),
            *_size_faults("args", what.args),
            *_stdin_faults(what.stdin, max_stdin_bytes),
            *_cwd_faults(what.cwd),
            *_umask_faults(what.umask),
            *_env_faults(what.env),
        ]
        if faults:
            raise Invalid("; ".join(f"{fault.field}: {fault.message}" for fault in faults), errors=faults)
        return what

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "What":
        """Returns what ``to_json`` stored."""
        known = {item.name: stored[item.name] for item in fields(cls) if item.name in stored} if stored else {}
        if "args" in known:
            known["args"] = tuple(known["args"])
        return cls(**known)

    def to_json(self) -> dict[str, Any] | None:
        """Returns a JSON object of what is said, ``None`` for a plain command."""
        said = {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name)}
        if "args" in said:
            said["args"] = list(self.args)
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
        return "\n".join([command, " ".join(self.args), self.stdin or ""]) if self.args or self.stdin else command


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
    return [FieldError("stdin", f"It has {size:,} bytes, the limit is {limit:,}.")] if size > limit else []


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
        message = f"{wrong[0][:40]!r} is no name of a variable: letters, digits and underscores only."
        return [FieldError("env", message)]
    if reserved := _RESERVED & env.keys():
        return [FieldError("env", f"{min(reserved)} belongs to the console.")]
    return _size_faults("env", [f"{name}={value}" for name, value in env.items()])


def _size_faults(name: str, words: Sequence[str]) -> list[FieldError]:
    for word in words:
        if unreadable := _unreadable(name, word):
            return [unreadable]
    if len(words) > _MOST_WORDS:
        return [FieldError(name, f"At most {_MOST_WORDS} of them.")]
    if sum(len(word.encode()) + 1 for word in words) > _MOST_WORDS_BYTES:
        return [FieldError(name, f"At most {_MOST_WORDS_BYTES:,} bytes together; give what is longer as stdin.")]
    return []


def _unreadable(name: str, text: str) -> FieldError | None:
    if "\0" in text:
        return FieldError(name, "A NUL byte cannot be handed over.")
    try:
        text.encode()
    except UnicodeEncodeError:
        return FieldError(name, "This is not valid text.")
    return None
