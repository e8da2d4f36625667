"""Groups hosts that ended alike and said the same. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from opsconsole.jobs.similarity import Mode
from opsconsole.jobs.states import FAILURES, RunState

_ID_CHARS = 12


@dataclass(frozen=True, slots=True)
class Finished:
    """What grouping needs of one run: its place ``i``, host, state, reason, exit, and what it said.

    ``exact`` is the digest of that to the byte, or the reason in words of a host that was never reached; ``alike`` what
    counts in the mode that is asked for.
    """

    i: int
    host: str
    state: RunState
    reason: str | None
    exit_status: int | None
    exit_signal: str | None
    ran: bool
    exact: str | None
    alike: str | None


@dataclass(slots=True)
class Group:
    """Hosts alike. ``members`` are in the order of the roster; ``g`` names the group for as long as its job is kept."""

    g: str
    state: RunState
    reason: str | None
    exit_status: int | None
    exit_signal: str | None
    members: list[Finished] = field(default_factory=list)
    # What the other groups are compared with.
    reference: bool = False

    @property
    def variants(self) -> int:
        """How many different things its hosts said, to the byte."""
        return len({member.exact for member in self.members})


def gather(runs: Iterable[Finished], mode: Mode = Mode.EXACT) -> list[Group]:
    """Returns groups of alike outcome and output: trouble by size, then the reference, then the others by size.

    Different exit codes never merge, as in clush. Hosts that were never reached group by their reason and its text.
    """
    groups: dict[tuple[object, ...], Group] = {}
    for run in runs:
        key = _key(run)
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(name_of(run, mode), run.state, run.reason, run.exit_status, run.exit_signal)
        group.members.append(run)
    found = list(groups.values())
    reference = _reference(found)
    if reference is not None:
        reference.reference = True
    return sorted(found, key=_rank)


def _reference(groups: Sequence[Group]) -> Group | None:
    """Returns what clush would compare with: the lowest exit code, then the most hosts, then the first name."""
    ran = [group for group in groups if group.members[0].ran]
    return min(
        ran,
        key=lambda g: (g.exit_status is None, g.exit_status or 0, -len(g.members), g.members[0].i),
        default=None,
    )


def _rank(group: Group) -> tuple[int, int, int]:
    if group.state in FAILURES:
        kind = 0
    elif group.reference:
        kind = 1
    else:
        kind = 2 if group.members[0].ran else 3
    return kind, -len(group.members), group.members[0].i


def _key(run: Finished) -> tuple[object, ...]:
    return run.state, run.reason, run.exit_status, run.exit_signal, run.alike


def name_of(run: Finished, mode: Mode) -> str:
    """Returns the name of the group that ``run`` is in."""
    text = "\0".join([mode.value, *("" if part is None else str(part) for part in _key(run))])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_ID_CHARS]
