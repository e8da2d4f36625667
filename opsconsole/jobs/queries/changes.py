"""What live views read: which jobs changed, all hosts as letters, and what changed since a version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.queries.job_status import status
from opsconsole.jobs.states import TERMINAL, RunState


def versions(session: Session, job_ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Returns version and state of each job that exists: the cheap question that live streams ask."""
    query = select(Job.id, Job.ver, Job.state).where(Job.id.in_(job_ids))
    return {job_id: (ver, state) for job_id, ver, state in session.execute(query)}


def roster(session: Session, job: Job) -> dict[str, Any]:
    """Returns the job's hosts in the order of their index, and what they can be arranged by: the tags that they had at
    the launch and, where there is more than one, their wave. It never changes."""
    rows = session.execute(select(HostRun.host, HostRun.wave).where(HostRun.job_id == job.id).order_by(HostRun.i)).all()
    tags = dict(job.tags or {})
    if job.plan and len(job.plan) > 1:
        names = [_wave_name(at, wave["kind"]) for at, wave in enumerate(job.plan, start=1)]
        tags.setdefault("wave", {"values": names, "of": [wave for _, wave in rows]})
    return {"v": 1, "hosts": [host for host, _ in rows], "tags": tags}


def _wave_name(number: int, kind: str) -> str:
    return f"{number}" if kind == "wave" else f"{number} ({kind})"


_LETTER = {state.value: state.letter for state in RunState}


def grid(session: Session, job: Job) -> dict[str, Any]:
    """Returns one letter a host in the order of the roster, with the version it shows."""
    states = session.scalars(select(HostRun.state).where(HostRun.job_id == job.id).order_by(HostRun.i))
    return {"ver": job.ver, "grid": "".join(_LETTER[state] for state in states)}


def snapshot(session: Session, job: Job, *, now: datetime) -> dict[str, Any]:
    """Returns status and grid together."""
    return {"ver": job.ver, "job": status(session, job, now=now), "grid": grid(session, job)["grid"]}


def delta(session: Session, job: Job, since: int, *, now: datetime) -> dict[str, Any] | None:
    """Returns what changed after version ``since``, or ``None`` when a snapshot is due: more than half changed, or
    ``since`` is not a version of this job's past."""
    if not 0 < since <= job.ver:
        return None
    changed = and_(HostRun.job_id == job.id, HostRun.ver > since)
    columns = (HostRun.i, HostRun.state, HostRun.exit_status, HostRun.duration_ms, HostRun.reason)
    most = max(job.target_count // 2, 50)
    rows = session.execute(select(*columns).where(changed).order_by(HostRun.i).limit(most + 1)).all()
    if len(rows) > most:
        return None
    body = status(session, job, now=now)
    return {
        "ver": job.ver,
        "t": iso(now),
        "state": job.state,
        "started_at": body["started_at"],
        "counts": body["counts"],
        "done": body["done"],
        "budget": body["budget"],
        "pause": body["pause"],
        "waves": body["waves"],
        "steps": body["steps"],
        "waiting": body["waiting"],
        "rate": body["rate_per_s"],
        "eta_ms": body["eta_ms"],
        "groups": body["groups"],
        "slowest": body["slowest"],
        "h": [_delta_row(*row) for row in rows],
    }


_TERMINAL_VALUES = frozenset(state.value for state in TERMINAL)


def _delta_row(i: int, state: str, exit_status: int | None, ms: int | None, reason: str | None) -> list[Any]:
    row: list[Any] = [i, _LETTER[state]]
    if state in _TERMINAL_VALUES:
        row += [exit_status, ms]
        if reason:
            row.append(reason)
    return row
