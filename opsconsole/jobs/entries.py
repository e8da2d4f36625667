"""What a worker process may have to say of its runs, one class for each thing."""

from dataclasses import dataclass
from datetime import datetime

from opsconsole.jobs import handover
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.outcomes import Outcome, OutputFacts, Result
from opsconsole.jobs.output import Flush
from opsconsole.jobs.ports import ConnectionFacts, Unreached
from opsconsole.jobs.steps import StepFacts


@dataclass(frozen=True, slots=True)
class TakeRun:
    """A message arrived: claim the run if it is still that delivery's turn."""

    run_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class OpenGate:
    """The start gate, committed before the exec request is sent.

    After ``deadline``, by the monotonic clock, nobody would send it any more: then the gate stays shut.
    """

    claim: Claim
    facts: ConnectionFacts
    deadline: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Output that arrived so far, and the steps that the host went through, where that has changed."""

    claim: Claim
    facts: OutputFacts
    flush: Flush
    steps: tuple[StepFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a run. ``result`` is set when its command had started, ``unreached`` carries the host key that was
    offered, if any."""

    claim: Claim
    outcome: Outcome
    ended_at: datetime
    result: Result | None = None
    unreached: Unreached | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A result from the spool. It is nobody's claim any more; its fence says whether it still counts."""

    result: Result


@dataclass(frozen=True, slots=True)
class Again:
    """The host could not be reached for now: the run waits and is tried once more, unless its job has stopped."""

    claim: Claim
    unreached: Unreached


@dataclass(frozen=True, slots=True)
class Look:
    """A question: does the run still belong to this claim, and is it still wanted?"""

    claim: Claim


RunEntry = TakeRun | OpenGate | Progress | Finish | Replay | Again | Look
Entry = RunEntry | handover.Step
Answer = Claim | bool | None
