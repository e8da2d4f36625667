"""Patterns over inventory names. Both kinds take time in proportion to pattern and name, whatever is written."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

from opsconsole.hostset.faults import Fault, shown
from opsconsole.sentences import Sentence

# One pattern's compiled form may take this much memory; RE2 refuses what would need more.
_REGEX_MEMORY_BYTES = 1 << 20


def wildcard_matches(patterns: Iterable[str], names: Sequence[str]) -> list[str]:
    """Returns the names, in their order, that match one of the patterns with ``*`` and ``?``; case does not count."""
    matched: dict[int, None] = {}
    lowered = [name.lower() for name in names]
    for pattern in patterns:
        matches = _wildcard(pattern)
        matched |= dict.fromkeys(index for index, name in enumerate(lowered) if matches(name))
    return [names[index] for index in sorted(matched)]


def regex_matches(pattern: str, at: int, names: Iterable[str]) -> list[str]:
    """Returns the names that the regular expression matches as a whole; case does not count. Raises Fault."""
    compiled = _compiled(pattern, pattern, at, case_sensitive=False)
    return [name for name in names if compiled.fullmatch(name) is not None]


def output_search(pattern: str, at: int) -> Callable[[bytes], bool]:
    """Returns the test whether the regular expression is found in a host's output; ``^`` and ``$`` are the ends of
    its lines, and case counts. Raises Fault."""
    compiled = _compiled(b"(?m)" + pattern.encode(errors="replace"), pattern, at, case_sensitive=True)
    return lambda output: compiled.search(output) is not None


def _compiled(pattern: str | bytes, written: str, at: int, *, case_sensitive: bool) -> Any:
    options = re2.Options()
    options.max_mem = _REGEX_MEMORY_BYTES
    options.log_errors = False
    options.case_sensitive = case_sensitive
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error:
        hint = "RE2 syntax: no look-around, no back-references, at most 1000 repetitions."
        hint += "" if case_sensitive else " Example: ~web[0-9]+"
        raise Fault(
            "bad_regex", Sentence("{written} is not a regular expression.", written=shown(written)), at, hint
        ) from None


def _wildcard(pattern: str) -> Callable[[str], object]:
    # Runs of stars mean one star. translate() makes atomic groups of them, so that matching never backtracks far.
    single = re.sub(r"\*+", "*", pattern.lower())
    return re.compile(fnmatch.translate(single)).match
