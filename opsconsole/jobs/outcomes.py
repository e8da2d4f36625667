"""How a run ended, as values that can be written to the database now or later. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from opsconsole.jobs.output import BoundedOutput, Digests, Flush
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.steps import Step, StepFacts


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; or, with a ``next_step``, that it passed a step and waits for that one, as ``pending``."""

    state: RunState
    reason: Reason | None = None
    detail: str | None = None
    exit_status: int | None = None
    exit_signal: str | None = None
    left_children: bool = False
    duration_ms: int | None = None
    pid: int | None = None
    next_step: Step | None = None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What a run's row says of its output. Bytes ``[gap_from, gap_from + gap_bytes)`` were counted but not kept.

    ``done_bytes`` of ``total_bytes`` were carried, where files are."""

    stdout_bytes: int
    stderr_bytes: int
    lines: int
    last_line: str | None
    gap_from: int | None
    gap_bytes: int
    done_bytes: int | None = None
    total_bytes: int | None = None

    @classmethod
    def of(cls, output: BoundedOutput) -> "OutputFacts":
        """Returns the facts as they are now; the output itself goes on growing."""
        gap_from, gap_bytes = output.gap
        return cls(
            output.stdout_bytes,
            output.stderr_bytes,
            output.lines,
            output.last_line,
            gap_from if gap_bytes else None,
            gap_bytes,
            output.done_bytes,
            output.total_bytes,
        )


def joined(first: Flush, then: Flush) -> Flush:
    """Returns one flush for two that follow each other, without what has fallen into the gap since."""
    chunks = (*first.chunks, *then.chunks)
    if then.gap_from is not None:
        start, end = then.gap_from, then.gap_to
        chunks = tuple(chunk for chunk in chunks if not start <= chunk.offset < end)
    return Flush(chunks, then.gap_from, then.gap_to)


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a run that had started, with all of its output that is not stored yet: no secret is in it. ``steps``
    are those that it went through, where its order has several.

    ``generation`` names the database it belongs to, ``fence`` the claim under which the command ran.
    """

    generation: str
    job_id: int
    run_id: int
    i: int
    fence: int
    ended_at: datetime
    outcome: Outcome
    facts: OutputFacts
    digests: Digests
    flush: Flush
    steps: tuple[StepFacts, ...] = ()

    @property
    def key(self) -> str:
        """The run and its fence, as in the mark that the command carries on its host."""
        return f"{self.run_id}-{self.fence}"

    def without_output(self) -> "Result":
        """Returns the result with the output that is not stored yet counted as not kept."""
        if not self.flush.chunks:
            return self
        total = self.facts.stdout_bytes + self.facts.stderr_bytes
        start = min(chunk.offset for chunk in self.flush.chunks)
        if self.facts.gap_from is not None:
            start = min(start, self.facts.gap_from)
        facts = replace(self.facts, gap_from=start, gap_bytes=total - start)
        return replace(self, facts=facts, flush=Flush((), start, total))
