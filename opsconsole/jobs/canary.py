"""What the output of a canary must hold. Pure, and in time proportional to pattern and output, whatever is written."""

from typing import Any

import re2  # type: ignore[import-untyped]

from opsconsole.errors import FieldError, Invalid

_MOST_CHARS = 500
# One pattern's compiled form may take this much memory; RE2 refuses what would need more.
_REGEX_MEMORY_BYTES = 1 << 20


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
                raise _fault(f"The pattern may have {_MOST_CHARS} characters.")
            self._compiled: Any = re2.compile(b"(?m)" + pattern.encode(), options)
        except (re2.error, UnicodeEncodeError):
            raise _fault(f"{pattern[:60]!r} is not a regular expression.") from None

    def found_in(self, stdout: bytes) -> bool:
        """Returns whether the output holds it."""
        return self._compiled.search(stdout) is not None


def _fault(message: str) -> Invalid:
    hint = "RE2 syntax: no look-around, no back-references. Example: ^version 2[.][0-9]+$"
    return Invalid(message, errors=[FieldError("canary_match", message, code="bad_regex", hint=hint)])
