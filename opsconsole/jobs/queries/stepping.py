"""Where the hosts of a job are among the steps of its order, and how each step went on one of them."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import HostRun, Job, RunStep
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.states import LETTERS, RunState
from opsconsole.jobs.steps import Step, StepState
from opsconsole.jobs.what import What


def steps_of(session: Session, job: Job) -> dict[str, Any] | None:
    """Returns how many hosts are at each step, or ended there, by state; ``None`` for an order that has only one."""
    what = What.from_json(job.what)
    if not what.steps:
        return None
    query = select(HostRun.step, HostRun.state, func.count()).where(HostRun.job_id == job.id)
    counts = {step.value: dict.fromkeys(LETTERS, 0) for step in what.steps}
    for step, state, count in session.execute(query.group_by(HostRun.step, HostRun.state)):
        counts[step or what.steps[0].value][RunState(state).letter] += count
    return {
        "barrier": what.step_barrier,
        "now": job.step,
        "list": [{"step": step, "counts": found} for step, found in counts.items()],
    }


def host_steps(session: Session, run: HostRun) -> list[dict[str, Any]]:
    """Returns the steps that began on a host, in their order, each as the JSON of the contract."""
    rows = {row.step: row for row in session.scalars(select(RunStep).where(RunStep.host_run_id == run.id))}
    return [_told(rows[step.value], run) for step in Step if step.value in rows]


def get_step(session: Session, run: HostRun, step: str) -> RunStep | None:
    """Returns how ``step`` went on a host; ``None`` when it never began there."""
    return session.get(RunStep, (run.id, step))


def _told(row: RunStep, run: HostRun) -> dict[str, Any]:
    end = row.to_byte if row.to_byte is not None else run.stdout_bytes + run.stderr_bytes
    ended = row.ended_at
    return {
        "step": row.step,
        # Whoever would have told how it ended may be gone.
        "state": run.state if RunState(run.state).terminal and row.state == StepState.RUNNING else row.state,
        "exit": row.exit_status,
        "started_at": iso(row.started_at),
        "ended_at": iso(ended),
        "ms": int((ended - row.started_at).total_seconds() * 1000) if ended else None,
        "bytes": max(end - row.from_byte, 0),
        "lines": row.lines if ended else None,
    }
