"""The list of jobs, newest first, and which job is whose to see."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.errors import NotFound
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.targets import may_see

_HEAD_CHARS = 200


def get_job(session: Session, job_id: int, actor: Actor) -> Job:
    """Returns the job. Raises ``NotFound`` for one that does not exist or is not the actor's to see."""
    job = session.get(Job, job_id) if 0 < job_id < 2**63 else None
    if job is None or not may_see(job, actor):
        raise NotFound("There is no job {job}.", job=job_id)
    return job


def links(job_id: int) -> dict[str, str]:
    """Returns where the parts of a job are found."""
    base = f"/api/v1/jobs/{job_id}"
    return {"self": base, "events": f"{base}/events", "hosts": f"{base}/hosts", "html": f"/jobs/{job_id}"}


def list_jobs(
    session: Session,
    actor: Actor,
    *,
    state: str | None = None,
    by: str | None = None,
    q: str | None = None,
    host: str | None = None,
    since: datetime | None = None,
    like_targets: str | None = None,
    like_command: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Returns jobs, newest first, that ``actor`` may see and that fit every filter given.

    ``q`` is looked for in title, command and targets; ``host`` is an exact host name; those launched at ``since`` or
    later are meant; ``before`` is a job id.
    ``like_targets`` and ``like_command`` find jobs with the same targets as they were written, or with the same first
    line of the command; a job that fits either fits.
    """
    query = select(Job).order_by(Job.id.desc()).limit(min(max(limit, 1), 200))
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(Job.created_by_id == actor.user_id)
    if state:
        query = query.where(Job.state.in_([part.strip() for part in state.split(",")]))
    if by:
        query = query.where(Job.created_by == by)
    if q:
        found = [column.icontains(q, autoescape=True) for column in (Job.title, Job.command, Job.expression)]
        query = query.where(or_(*found))
    if host:
        query = query.where(Job.id.in_(select(HostRun.job_id).where(HostRun.host == host)))
    if since:
        query = query.where(Job.created_at >= since)
    like = [*_same_targets(like_targets), *_same_first_line(like_command)]
    if like:
        query = query.where(or_(*like))
    if before:
        query = query.where(Job.id < before)
    return [_summary(job) for job in session.scalars(query)]


def _same_targets(expression: str | None) -> list[ColumnElement[bool]]:
    written = (expression or "").strip()
    return [func.trim(Job.expression, " \t\r\n") == written] if written else []


def _same_first_line(command: str | None) -> list[ColumnElement[bool]]:
    lines = (command or "").strip().splitlines()
    return [or_(Job.command == lines[0], Job.command.startswith(f"{lines[0]}\n", autoescape=True))] if lines else []


def _summary(job: Job) -> dict[str, Any]:
    end = job.finished_at
    took = int((end - (job.started_at or job.created_at)).total_seconds() * 1000) if end else None
    return {
        "id": job.id,
        "ver": job.ver,
        "state": job.state,
        "executor": job.executor,
        "stop_reason": job.stop_reason,
        "title": job.title,
        "command": job.command[:_HEAD_CHARS],
        "targets": {"expression": job.expression[:_HEAD_CHARS], "folded": job.folded[:500], "count": job.target_count},
        "counts": job.counts,
        "by": job.created_by,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(end),
        "duration_ms": took,
        "links": links(job.id),
    }
