"""Groups hosts that said exactly the same. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from opsconsole.jobs.states import FAILURES, RunState


@dataclass(frozen=True, slots=True)
class Finished:
    """What grouping needs of one run: its place ``i``, host, state, reason, exit and output digest."""

    i: int
    host: str
    state: RunState
    reason: str | None
    detail: str | None
    exit_status: int | None
    exit_signal: str | None
    digest: str | None


@dataclass(slots=True)
class Group:
    """Hosts alike. ``members`` are in the order of the roster."""

    state: RunState
    reason: str | None
    exit_status: int | None
    exit_signal: str | None
    members: list[Finished] = field(default_factory=list)


def gather(runs: Iterable[Finished]) -> list[Group]:
    """Returns groups of identical outcome and output: trouble first, then by size, then by first host.

    Different exit codes never merge, as in clush. Hosts that were never reached group by their reason and its text.
    """
    groups: dict[tuple[object, ...], Group] = {}
    for run in runs:
        key = (run.state, run.reason, run.exit_status, run.exit_signal, run.digest or run.detail)
        group = groups.setdefault(key, Group(run.state, run.reason, run.exit_status, run.exit_signal))
        group.members.append(run)
    return sorted(groups.values(), key=lambda g: (g.state not in FAILURES, -len(g.members), g.members[0].i))
