"""Raw mode: a command for a device that has no shell of ours, given over a terminal. Pure.

Nothing stands beside the command there that could end it or tell how it ended, so what is promised is less: see
``docs/what-runs.md``.
"""

from dataclasses import dataclass

from opsconsole.errors import FieldError
from opsconsole.sentences import Sentence

# Fields of an order that need a shell on the host, or the guard beside the command.
_NEEDS = {
    "interpreter": Sentence("nothing reads a script there"),
    "args": Sentence("there is nobody to hand arguments to"),
    "stdin": Sentence("there is no standard input"),
    "cwd": Sentence("there is no folder to enter"),
    "umask": Sentence("there is no umask"),
    "env": Sentence("there is no environment"),
    "run_as": Sentence("there is no sudo or su"),
    "check": Sentence("there is no shell that goes through steps"),
    "verify": Sentence("there is no shell that goes through steps"),
    "durable": Sentence("nothing there keeps a command for later"),
}


@dataclass(frozen=True, slots=True)
class Manners:
    """How devices speak, as RE2 patterns: what their ``prompt`` looks like, what a ``pager`` waits with, and the
    ``fault`` that a line tells."""

    prompt: str
    pager: str
    fault: str


@dataclass(frozen=True, slots=True)
class RawCommand:
    """What to give to a device: ``text`` in one exec request, or, when that is refused or ``typed`` is set, line by
    line at the prompt of its shell."""

    text: str
    typed: bool
    manners: Manners


@dataclass(frozen=True, slots=True)
class RawEnded:
    """The device's session ended; ``status`` and ``signal`` are ``None`` where it did not tell them.

    ``problem`` is one sentence, set when the device told a fault; ``note`` says how it ended without a status;
    ``doubt`` is set when it was ordered to end and did not tell that the command did.
    """

    status: int | None
    signal: str | None = None
    problem: str | None = None
    note: str | None = None
    doubt: str | None = None


def faults(command: str, asked: dict[str, object]) -> list[FieldError]:
    """Returns why a raw order cannot be obeyed; ``asked`` holds its other fields by name."""
    found = [
        FieldError(
            name,
            Sentence(
                "A raw run has no guard and no shell of ours on the host: {why}. Leave {name} out.", why=why, name=name
            ),
            code="not_in_raw",
        )
        for name, why in _NEEDS.items()
        if asked.get(name)
    ]
    if any(not char.isprintable() and char not in "\r\n" for char in command):
        found.append(FieldError("command", "A terminal would obey control characters, tabs too. Leave them out."))
    return found
