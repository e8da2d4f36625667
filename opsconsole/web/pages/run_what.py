"""How the Run page's form says what is run: arguments as a shell's words, variables as lines of ``NAME=value``."""

import shlex
from collections.abc import Iterator

from opsconsole.errors import FieldError
from opsconsole.jobs.order import Order
from opsconsole.sentences import Sentence

# What a person writes: lines for the remote shell, or a script for a program.
COMMAND, SCRIPT = "command", "script"
_STEPPING = ("check", "verify", "step_barrier")
_BECOMING = ("run_as", "run_as_method", "run_as_credential")


def fields_of(order: Order) -> dict[str, str]:
    """Returns the form's fields that mean how the command of ``order`` is run."""
    script = {"kind": SCRIPT, "interpreter": order.interpreter} if order.interpreter else {"kind": COMMAND}
    return {
        **script,
        "args": shlex.join(order.args or ()),
        "stdin": order.stdin or "",
        "cwd": order.cwd or "",
        "umask": order.umask or "",
        **{name: getattr(order, name) or "" for name in _BECOMING},
        **{name: getattr(order, name) or "" for name in _STEPPING},
        **{name: "yes" if getattr(order, name) else "" for name in ("raw", "raw_typed")},
        "env": "\n".join(f"{name}={_shown(value)}" for name, value in (order.env or {}).items()),
    }


def words(text: str, faults: list[FieldError]) -> tuple[str, ...] | None:
    """Returns the words of ``text``, as a shell splits them; a fault when a quote is left open."""
    try:
        return tuple(shlex.split(text)) or None
    except ValueError:
        faults.append(FieldError("args", "A quote is not closed."))
        return None


def variables(text: str, faults: list[FieldError]) -> dict[str, str] | None:
    """Returns the variables that lines of ``NAME=value`` say; a fault for a line that says none.

    A value that begins with a quote is read as a shell reads it, and may then have several lines.
    """
    found: dict[str, str] = {}
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for line in lines:
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            faults.append(
                FieldError(
                    "env",
                    Sentence("Write NAME=value on each line: {line!r} has no equals sign.", line=line.strip()[:40]),
                )
            )
            return None
        if value[:1] in {"'", '"'}:
            value = _unquoted(value, lines, faults)
        found[name.strip()] = value
    return found or None


def becoming(user: str, method: str, credential: str) -> dict[str, str | None]:
    """Returns what the fields of another account mean; the form always says how, which counts once a name is there."""
    said = (user.strip(), method, credential.strip()) if user.strip() else (None, None, None)
    return dict(zip(_BECOMING, (text or None for text in said), strict=True))


def stepping(check: str, verify: str, barrier: str) -> dict[str, str | None]:
    """Returns what the fields of the steps mean; the form always says what a host waits for, which counts once there
    are steps."""
    texts = [text.replace("\r\n", "\n") if text.strip() else None for text in (check, verify)]
    return dict(zip(_STEPPING, (*texts, barrier or None if any(texts) else None), strict=True))


def _shown(value: str) -> str:
    plain = value.isprintable() and value[:1] not in {"'", '"'}
    return value if plain else shlex.quote(value)


def _unquoted(value: str, lines: Iterator[str], faults: list[FieldError]) -> str:
    while True:
        try:
            return "".join(shlex.split(value))
        except ValueError:
            more = next(lines, None)
            if more is None:
                faults.append(FieldError("env", "A quote is not closed."))
                return value
            value = f"{value}\n{more}"
