"""A job and those that ran it again: the chain of jobs, and every attempt at one host over all of them."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.hostset import fold
from opsconsole.jobs.models import HostRun, Job, RunAttempt
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.states import RunState
from opsconsole.jobs.targets import may_see

_JOBS_AT_MOST = 200


def lineage(session: Session, job: Job, actor: Actor) -> dict[str, Any]:
    """Returns the job, those it is a rerun of, and all reruns of any of them, oldest first, as far as ``actor`` may
    see them; the newest 200 when there are more."""
    return {"jobs": [_listed(found) for found in _related(session, job, actor)]}


def attempts(session: Session, job: Job, run: HostRun, actor: Actor) -> dict[str, Any]:
    """Returns every attempt at the host of ``run`` in the job's lineage, oldest first, with its state as a word."""
    found: list[dict[str, Any]] = []
    for related in _related(session, job, actor):
        query = select(HostRun).where(HostRun.job_id == related.id, func.lower(HostRun.host) == run.host.lower())
        for its in session.scalars(query):
            found += _attempts_of(session, its)
    return {"host": run.host, "attempts": found}


def histories(session: Session, job: Job, actor: Actor) -> dict[str, Any]:
    """Returns the lineage side by side: its ``jobs``, and ``rows`` of hosts with the same history, each with their
    ``count``, ``folded`` names and ``letters``, one a job and empty where they were not part of it."""
    related = _related(session, job, actor)
    told: dict[str, list[str]] = {}
    for at, one in enumerate(related):
        query = select(func.lower(HostRun.host), HostRun.state).where(HostRun.job_id == one.id).order_by(HostRun.i)
        for host, state in session.execute(query):
            told.setdefault(host, [""] * len(related))[at] = RunState(state).letter
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, letters in told.items():
        alike.setdefault(tuple(letters), []).append(host)
    rows = [{"letters": letters, "count": len(hosts), "folded": fold(hosts)} for letters, hosts in alike.items()]
    return {"jobs": [_listed(one) for one in related], "rows": sorted(rows, key=lambda row: row["count"])}


def _related(session: Session, job: Job, actor: Actor) -> list[Job]:
    first = job
    for _ in range(_JOBS_AT_MOST):
        before = session.get(Job, first.rerun_of) if first.rerun_of is not None else None
        if before is None:
            break
        first = before
    tree = select(Job.id).where(Job.id == first.id).cte("lineage", recursive=True)
    tree = tree.union(select(Job.id).join(tree, Job.rerun_of == tree.c.id))
    query = select(Job).where(Job.id.in_(select(tree.c.id))).order_by(Job.id.desc())
    seen = [found for found in session.scalars(query.limit(_JOBS_AT_MOST)) if may_see(found, actor)]
    return seen[::-1]


def _listed(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "rerun_of": job.rerun_of,
        "title": job.title,
        "state": job.state,
        "created_at": iso(job.created_at),
        "by": job.created_by,
        "counts": job.counts,
    }


def _attempts_of(session: Session, run: HostRun) -> Iterator[dict[str, Any]]:
    earlier = select(RunAttempt).where(RunAttempt.host_run_id == run.id).order_by(RunAttempt.attempt)
    for ended in session.scalars(earlier):
        yield {
            "job": run.job_id,
            "attempt": ended.attempt,
            # An attempt that another one followed ended before the command started.
            "state": RunState.UNREACHABLE.value,
            "reason": ended.reason,
            "detail": ended.detail,
            "exit": None,
            "worker": ended.worker,
            "started_at": iso(ended.claimed_at),
            "finished_at": iso(ended.finished_at),
        }
    yield {
        "job": run.job_id,
        "attempt": run.attempt,
        "state": run.state,
        "reason": run.reason,
        "detail": run.detail,
        "exit": run.exit_status,
        "worker": run.worker,
        "started_at": iso(run.started_at or run.claimed_at),
        "finished_at": iso(run.finished_at),
    }
