"""The shell text that a host is given for a command and what belongs to it. Pure.

A host's guard reads this text from its standard input and runs it in its own shell, so none of it is in a process list.
A script and what it reads as its input reach their programs through pipes, and nothing is left on the host's disk.
"""

import shlex
from collections.abc import Sequence

from opsconsole.jobs.steps import Step, in_turn
from opsconsole.jobs.what import What

# The script's end of its pipe is number 9, the input is kept as 8 meanwhile: numbers of one digit, which is all that
# every shell takes. Most programs take the pipe by its path as they would take a file.
_SCRIPT = (
    "{{ printf %s {script} 2>/dev/null 8<&- | "
    "{{ d=/dev/fd; [ -d $d ] || d=/proc/self/fd; exec {program} $d/9 {args} 9<&0 <&8 8<&-; }}; }} 8<&0"
)


def compose(command: str, what: What, steps: Sequence[Step] | None = None) -> bytes:
    """Returns the text for the host's ``/bin/sh``; that of a plain command is the command itself, that of an order with
    steps runs them in turn, or those of them that are given.

    A folder that cannot be entered ends it with status 126 before the command begins.
    """
    chosen = what.steps if steps is None else steps
    if not chosen:
        return _alone(command, what).encode()
    return in_turn({step: _alone(what.text_of(step, command), what.of_step(step)) for step in chosen}).encode()


def _alone(command: str, what: What) -> str:
    lines = []
    if what.umask is not None:
        lines.append(f"umask {what.umask}")
    if what.cwd is not None:
        lines.append(f"CDPATH= cd -- {shlex.quote(what.cwd)} || exit 126")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in what.env.items()]
    if what.args and what.interpreter is None:
        lines.append(f"set -- {shlex.join(what.args)}")
    lines.append(_with_input(command, what))
    return "\n".join(lines)


def _with_input(command: str, what: What) -> str:
    body = command
    if what.interpreter is not None:
        program = shlex.join(shlex.split(what.interpreter))
        body = _SCRIPT.format(script=shlex.quote(command), program=program, args=shlex.join(what.args))
    if what.stdin is None:
        return body
    reader = f"eval {shlex.quote(body)}" if what.interpreter is None else body
    return f"printf %s {shlex.quote(what.stdin)} 2>/dev/null | {reader}"
