"""What one start of a run gives to its host: the whole of the order, or the one step that is its turn. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsconsole.jobs.compose import compose
from opsconsole.jobs.sofar import NOTHING, SoFar
from opsconsole.jobs.steps import Step
from opsconsole.jobs.variables import render
from opsconsole.jobs.what import What


@dataclass(frozen=True, slots=True)
class Start:
    """The ``script`` for the host's shell and the ``steps`` that it goes through, none when it has only one.

    ``next_step`` is for a start of its own when they have passed; ``so_far`` lies behind the host.
    """

    script: bytes
    steps: tuple[Step, ...] = ()
    next_step: Step | None = None
    so_far: SoFar = NOTHING


def start_of(
    command: str, what: What, variables: Mapping[str, str] | None, step: str | None, so_far: Mapping[str, Any] | None
) -> Start:
    """Returns the start of an order on one host, which has the ``variables``, is at ``step`` and has ``so_far`` behind
    it."""
    filled = (command, what) if variables is None else render(command, what, variables)
    if step is None or not what.in_lockstep:
        return Start(compose(*filled), what.steps)
    at = what.steps.index(Step(step))
    following = what.steps[at + 1] if at + 1 < len(what.steps) else None
    return Start(compose(*filled, [Step(step)]), (Step(step),), following, SoFar.from_json(so_far))
