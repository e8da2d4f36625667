"""What somebody may have meant by names that the inventory does not know."""

import difflib
import re
from collections.abc import Sequence

from opsconsole.hostset.folding import fold

_NUMBER = re.compile(r"[0-9]+")
_MOST_STEMS = 2_000
_MOST_SUGGESTIONS = 10
_MOST_CHARS = 200


def suggestions(unknown: Sequence[str], known: Sequence[str]) -> list[tuple[str, str]]:
    """Returns pairs of unknown names and what to write instead, both folded: ``("wbe[1-3]", "web[1-3]")``.

    Names that differ in their numbers alone belong together. Of the nearest ones that are known those with the same
    numbers are meant, else all of them: ``("web[118-125]", "web[001-117]")``. What resembles nothing is left out.
    """
    by_stem: dict[str, dict[tuple[int, ...], str]] = {}
    for name in known:
        by_stem.setdefault(_stem(name), {})[_numbers(name)] = name
    wanted: dict[str, list[str]] = {}
    for name in unknown:
        wanted.setdefault(_stem(name), []).append(name)
    stems = list(by_stem)[:_MOST_STEMS]
    found = []
    for stem, names in list(wanted.items())[:_MOST_SUGGESTIONS]:
        near = [stem] if stem in by_stem else difflib.get_close_matches(stem[:64], stems, n=1, cutoff=0.7)
        if near:
            there = by_stem[near[0]]
            same = [there[_numbers(name)] for name in names if _numbers(name) in there]
            instead = fold(same or there.values())
            if len(instead) <= _MOST_CHARS:
                found.append((fold(names), instead))
    return found


def _stem(name: str) -> str:
    return _NUMBER.sub("#", name.lower())


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number[:18]) for number in _NUMBER.findall(name))
