"""What the output of a canary must hold. Pure, and in time proportional to pattern and output, whatever is written."""

from collections.abc import Mapping, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

from opsconsole.errors import FieldError, Invalid
from opsconsole.sentences import Sentence

_MOST_CHARS = 500
# One pattern's compiled form may take this much memory; RE2 refuses what would need more.
_REGEX_MEMORY_BYTES = 1 << 20
_HOSTS_NAMED = 5
# What is told is kept beside every host that was not started.
_MOST_TOLD_CHARS = 400
_HOST_CHARS = 64


class CanaryMatch:
    """A regular expression to be found anywhere in the standard output; ``^`` and ``$`` stand for the ends of lines."""

    def __init__(self, pattern: str) -> None:
        """Takes RE2 syntax. Raises ``Invalid``."""
        options = re2.Options()
        options.max_mem = _REGEX_MEMORY_BYTES
        options.log_errors = False
        options.never_capture = True
        try:
            if len(pattern) > _MOST_CHARS:
                raise _fault(Sentence("The pattern may have {limit} characters.", limit=_MOST_CHARS))
            self._compiled: Any = re2.compile(b"(?m)" + pattern.encode(), options)
        except (re2.error, UnicodeEncodeError):
            raise _fault(Sentence("{pattern!r} is not a regular expression.", pattern=pattern[:60])) from None

    def found_in(self, stdout: bytes) -> bool:
        """Returns whether the output holds it."""
        return self._compiled.search(stdout) is not None


def missed(pattern: str) -> str:
    """Returns what is told of a host whose output does not hold ``pattern``."""
    return f"the output does not match {_clipped(pattern, 80)}"


def told(faults: Mapping[str, Sequence[str]]) -> str:
    """Returns which canary hosts failed, in one line of limited length; ``faults`` has the hosts by what is told of
    them."""
    parts = []
    for what, hosts in faults.items():
        names = ", ".join(_clipped(host, _HOST_CHARS) for host in hosts[:_HOSTS_NAMED])
        more = f" and {len(hosts) - _HOSTS_NAMED} more" if len(hosts) > _HOSTS_NAMED else ""
        parts.append(f"{names}{more}: {what}")
    return _clipped("; ".join(parts), _MOST_TOLD_CHARS)


def _clipped(text: str, most: int) -> str:
    shown = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)


def _fault(message: str) -> Invalid:
    hint = "RE2 syntax: no look-around, no back-references. Example: ^version 2[.][0-9]+$"
    return Invalid(message, errors=[FieldError("canary_match", message, code="bad_regex", hint=hint)])
