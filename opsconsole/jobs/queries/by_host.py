"""What happened on a host lately, whatever became of the jobs."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import RunState


def recent(session: Session, actor: Actor, hosts: Iterable[str], *, limit: int = 10) -> dict[str, list[dict[str, Any]]]:
    """Returns the last runs on each host that ``actor`` may see, newest first; hosts without any are left out.

    One short look by index for each host: ask for as many as a person sees at once.
    """
    columns = select(HostRun.job_id, Job.title, HostRun.state, HostRun.reason, HostRun.exit_status, HostRun.finished_at)
    query = columns.join(Job, Job.id == HostRun.job_id).order_by(HostRun.id.desc()).limit(limit)
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(Job.created_by_id == actor.user_id)
    found = {}
    for host in hosts:
        rows = session.execute(query.where(HostRun.host == host)).all()
        if rows:
            found[host] = [
                {
                    "job": row.job_id,
                    "title": row.title,
                    "state": RunState(row.state).letter,
                    "reason": row.reason,
                    "exit": row.exit_status,
                    "at": row.finished_at,
                }
                for row in rows
            ]
    return found


def visible_jobs(session: Session, actor: Actor, job_ids: Collection[int]) -> set[int]:
    """Returns those of the jobs that are there and that ``actor`` may see."""
    query = select(Job.id).where(Job.id.in_(job_ids))
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(Job.created_by_id == actor.user_id)
    return set(session.scalars(query)) if job_ids else set()
