"""How the end of a run, and its output, come into the database."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from opsconsole.db.inserts import insert_missing
from opsconsole.jobs.admission import BACK_TO_PENDING
from opsconsole.jobs.alike import detail_digest
from opsconsole.jobs.models import HostRun, OutputChunk, RunStep
from opsconsole.jobs.outcomes import Outcome, Result
from opsconsole.jobs.output import Flush
from opsconsole.jobs.similarity import NOBODY, Own
from opsconsole.jobs.sofar import after
from opsconsole.jobs.states import RunState
from opsconsole.jobs.steps import StepFacts
from opsconsole.jobs.transitions import Change, Moved

# What the row of a run that waits for its next step does not say.
_OF_AN_END = ("reason", "detail", "exit_status", "exit_signal", "finished_at", "pid")


def columns(outcome: Outcome, result: Result | None, ended_at: datetime, own: Own = NOBODY) -> dict[str, object]:
    """Returns the columns of a run that ended at ``ended_at``; ``result`` is there when its command had started.

    ``own`` are the names of its host, which a reason that is told to a person may hold.
    """
    values: dict[str, object] = {
        "reason": outcome.reason.value if outcome.reason else None,
        "detail": outcome.detail[:500] if outcome.detail else None,
        "exit_status": outcome.exit_status,
        "exit_signal": outcome.exit_signal,
        "left_children": outcome.left_children,
        "duration_ms": outcome.duration_ms,
        "pid": outcome.pid,
        "finished_at": ended_at,
    }
    if result is not None:
        values.update(asdict(result.facts))
        values["output_digest"] = result.digests.exact
        values["digest_clean"] = result.digests.clean
        values["digest_similar"] = result.digests.similar
        if result.steps:
            values["step"] = result.steps[-1].step.value
    elif outcome.detail:
        values["digest_similar"] = detail_digest(outcome.detail, own)
    return values


def change(
    run_id: int, job_id: int, fence: int, outcome: Outcome, result: Result | None, values: dict[str, object]
) -> Change:
    """Returns the change that ends a run with the columns ``values``, or lets it wait for its next step."""
    if outcome.next_step is None or result is None:
        return Change(run_id, job_id, outcome.state, fence=fence, values=values)
    onward = {**values, **BACK_TO_PENDING, **dict.fromkeys(_OF_AN_END), "step": outcome.next_step.value}
    onward["so_far"] = after(outcome, result)
    # The fence rises, so that whoever started this step can write nothing more about the run. One that was given up as
    # lost stays so: its wave may be over.
    running = frozenset({RunState.RUNNING})
    return Change(run_id, job_id, RunState.PENDING, fence=fence, claim=True, from_states=running, values=onward)


def known(session: Session, results: Sequence[Result]) -> set[str]:
    """Returns the keys of the results whose runs are in the database."""
    query = select(HostRun.id, HostRun.job_id, HostRun.i).where(HostRun.id.in_([result.run_id for result in results]))
    rows = {tuple(row) for row in session.execute(query)} if results else set()
    return {result.key for result in results if (result.run_id, result.job_id, result.i) in rows}


def settle_end(session: Session, run_id: int, move: Moved | None, result: Result | None) -> bool:
    """Writes what goes with the change that ended a run, if it won, and returns whether it did."""
    if move is None or not move.won:
        return False
    if result is not None:
        store(session, run_id, result.flush)
        store_steps(session, run_id, result.steps)
    if move.before is RunState.LOST:
        session.execute(update(HostRun).where(HostRun.id == run_id).values(late=True))
    return True


def store(session: Session, run_id: int, flush: Flush) -> None:
    """Stores output, and deletes what has fallen into the gap meanwhile."""
    if flush.chunks:
        rows = [
            {"host_run_id": run_id, "offset": chunk.offset, "fd": chunk.fd, "at_ms": chunk.at_ms, "data": chunk.data}
            for chunk in flush.chunks
        ]
        # After a commit whose outcome was unknown the same chunks come again.
        session.execute(insert_missing(session, OutputChunk), rows)
    if flush.gap_from is not None:
        gone = delete(OutputChunk).where(OutputChunk.host_run_id == run_id)
        gone = gone.where(OutputChunk.offset >= flush.gap_from, OutputChunk.offset < flush.gap_to)
        session.execute(gone.execution_options(synchronize_session=False))


def store_steps(session: Session, run_id: int, steps: Sequence[StepFacts]) -> None:
    """Stores how far a run has come. What is known already of the times stays: of a durable run that was taken over,
    its host tells anew what happened, but not when."""
    if not steps:
        return
    known = {row.step: row for row in session.scalars(select(RunStep).where(RunStep.host_run_id == run_id))}
    for facts in steps:
        row = known.get(facts.step.value)
        if row is None:
            row = RunStep(host_run_id=run_id, step=facts.step.value, started_at=facts.started_at)
            session.add(row)
        row.state, row.exit_status = facts.state.value, facts.exit_status
        row.ended_at = row.ended_at or facts.ended_at
        row.from_byte, row.to_byte, row.lines = facts.from_byte, facts.to_byte, facts.lines
    session.flush()
