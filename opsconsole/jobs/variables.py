"""Variables of a host in the texts of an order: ``{host.name}``, ``{tag.rack}``, ``{n}``. Pure.

They stand in the command, a check and a verify, the arguments, the folder, the environment and the paths of files; a
script that an interpreter reads is sent as it is, and is given them as arguments. A value is data: in a command it is
quoted for the shell, and where quotes of another kind are already open it must need none. Braces with anything else
inside, and ``${n}``, are the shell's own.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs import carried
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence

HOST_NAMES = ("host.name", "host.address", "host.port")
# With doubled braces a name stands for itself in single ones.
_VARIABLE = re.compile(r"\{\{((?:host|tag)\.[^{}\s]{1,100}|n)\}\}|(?<![${])\{((?:host|tag)\.[^{}\s]{1,100}|n)\}")
# After these the state of the shell's quotes is no longer followed, and nothing is taken for plain.
_OPAQUE = ("`", "<<", "((", "${", "$'")
_OPAQUE_IN_QUOTES = ("`", "$(", "${")


def used(command: str, what: What) -> frozenset[str]:
    """Returns the names of the variables in the texts of an order. Raises ``Invalid`` for one that there is not."""
    found = set()
    for field, text in _texts(command, what):
        for name in _names(text):
            if name.startswith("host.") and name not in HOST_NAMES:
                known = ", ".join(f"{{{one}}}" for one in HOST_NAMES)
                message = Sentence(
                    "There is no variable {{{name}}}: there are {known}, {{tag.<name>}} and {{n}}.",
                    name=name[:60],
                    known=known,
                )
                hint = "For braces as they are, double them: {{...}}."
                fault = FieldError(field, message, code="unknown_variable", hint=hint)
                raise Invalid(message, errors=[fault])
            found.add(name)
    return frozenset(found)


def touches(command: str, what: What) -> bool:
    """Returns whether ``render`` would change anything: also where doubled braces are to become single ones."""
    return any(_VARIABLE.search(text) for _, text in _texts(command, what))


def quoted_already(command: str, what: What) -> dict[str, str]:
    """Returns the variables that stand somewhere in a text where the shell may read quotes differently, and in which
    field."""
    if what.raw:
        # What quotes mean to a device nobody knows here.
        return dict.fromkeys(_names(command), "command")
    found: dict[str, str] = {}
    for field, text in _shell_texts(command, what):
        plain = _plain_places(text)
        matches = (match for match in _VARIABLE.finditer(text) if match[2] is not None)
        found |= {match[2]: field for match in matches if match.start() not in plain}
    return found


def needs_quotes(value: str) -> bool:
    """Returns whether a shell would read something else than ``value`` where it stands bare."""
    return shlex.quote(value) != value


def render(command: str, what: What, values: Mapping[str, str]) -> tuple[str, What]:
    """Returns the command and what belongs to it for one host, whose ``values`` hold every variable that is used."""
    filled = replace(
        what,
        args=tuple(_filled(word, values, str) for word in what.args),
        cwd=None if what.cwd is None else _filled(what.cwd, values, str),
        env={name: _filled(text, values, str) for name, text in what.env.items()},
        check=None if what.check is None else _filled(what.check, values, shlex.quote),
        verify=None if what.verify is None else _filled(what.verify, values, shlex.quote),
        push=tuple({**item, "to": _filled(item["to"], values, str)} for item in what.push),
        pull=tuple(_filled(path, values, str) for path in what.pull),
    )
    if what.carries:
        return carried.summary(filled.push, filled.pull), filled
    return (command if what.interpreter is not None else _filled(command, values, shlex.quote)), filled


def _texts(command: str, what: What) -> Iterator[tuple[str, str]]:
    yield from _shell_texts(command, what)
    yield from (("push", str(item["to"])) for item in what.push)
    yield from (("pull", path) for path in what.pull)
    yield from (("args", word) for word in what.args)
    yield "cwd", what.cwd or ""
    yield from (("env", text) for text in what.env.values())


def _shell_texts(command: str, what: What) -> Iterator[tuple[str, str]]:
    if what.interpreter is None and not what.carries:
        yield "command", command
    yield from ((step, text) for step, text in (("check", what.check), ("verify", what.verify)) if text is not None)


def _names(text: str) -> Iterator[str]:
    return (match[2] for match in _VARIABLE.finditer(text) if match[2] is not None)


def _filled(text: str, values: Mapping[str, str], quote: Callable[[str], str]) -> str:
    return _VARIABLE.sub(lambda match: f"{{{match[1]}}}" if match[1] is not None else quote(values[match[2]]), text)


def _plain_places(command: str) -> set[int]:
    """Returns the places in ``command`` that are outside all quotes, comments and here-documents for certain."""
    plain: set[int] = set()
    quote, at = "", 0
    while at < len(command):
        char = command[at]
        if quote == "'":
            quote = "" if char == "'" else quote
        elif quote == '"':
            if command.startswith(_OPAQUE_IN_QUOTES, at):
                return plain
            at += char == "\\"
            quote = "" if char == '"' else quote
        elif command.startswith(_OPAQUE, at):
            return plain
        elif char in {"'", '"'}:
            quote = char
        elif char == "\\":
            at += 1
        elif char == "#" and (at == 0 or command[at - 1] in " \t\n;&|()"):
            end = command.find("\n", at)
            at = len(command) if end < 0 else end
        else:
            plain.add(at)
        at += 1
    return plain
