"""The read side of jobs: plain values in the shape of the JSON contract. Nothing here writes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.db.console import Console
from opsconsole.errors import FieldError, Invalid, NotFound
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import LETTERS, TERMINAL, JobState, Reason, RunState, states_of_letters
from opsconsole.jobs.targets import may_see

_HEAD_CHARS = 200
_MIN_DONE_FOR_ETA = 10
_SORTABLE = {
    "i": HostRun.i,
    "host": HostRun.host,
    "state": HostRun.state,
    "exit": HostRun.exit_status,
    "ms": HostRun.duration_ms,
    "bytes": HostRun.stdout_bytes + HostRun.stderr_bytes,
    "attempt": HostRun.attempt,
}


def iso(moment: datetime | None) -> str | None:
    """Returns ISO 8601 in UTC with milliseconds, as the contract writes times."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(session: Session) -> str:
    """Returns the console's epoch: another one means another database, so versions cannot be compared."""
    return session.get_one(Console, 1).epoch


def get_job(session: Session, job_id: int, actor: Actor) -> Job:
    """Returns the job. Raises ``NotFound`` for one that does not exist or is not the actor's to see."""
    job = session.get(Job, job_id) if 0 < job_id < 2**63 else None
    if job is None or not may_see(job, actor):
        raise NotFound(f"There is no job {job_id}.")
    return job


def etag(session: Session, job: Job) -> str:
    """Returns the weak entity tag of the job's status."""
    return f'W/"{epoch(session)}.{job.ver}"'


def status(session: Session, job: Job, *, now: datetime) -> dict[str, Any]:
    """Returns the status body of the contract; its counts come from the job row alone."""
    counts = job.counts
    done = job.target_count - counts["q"] - counts["c"] - counts["r"]
    options = RunOptions.from_json(job.options)
    used = counts["f"] + counts["k"] + counts["u"] + counts["l"]
    rate = _rate(job, done, now)
    return {
        "id": job.id,
        "ver": job.ver,
        "epoch": epoch(session),
        "state": job.state,
        "stop_reason": job.stop_reason,
        "stopped_by": job.stopped_by,
        "title": job.title,
        "command": job.command,
        "targets": {
            "expression": job.expression,
            "exclude": job.exclude,
            "folded": job.folded,
            "count": job.target_count,
            "digest": job.digest,
        },
        "options": options.to_json(),
        "credential": job.auth["kind"] if not job.auth["name"] else f"{job.auth['kind']}:{job.auth['name']}",
        "user": job.auth["user"],
        "launch_type": job.launch_type,
        "reason": job.reason,
        "rerun_of": job.rerun_of,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "by": job.created_by,
        "counts": counts,
        "done": done,
        "progress": round(done / job.target_count, 4),
        "budget": {"used": used, "allowed": options.allowed_failures(job.target_count)},
        "rate_per_s": rate,
        "eta_ms": _eta_ms(job, done, rate),
        "groups": _group_count(session, job),
        "slowest": _slowest(session, job, now),
        "links": links(job.id),
    }


def links(job_id: int) -> dict[str, str]:
    """Returns where the parts of a job are found."""
    base = f"/api/v1/jobs/{job_id}"
    return {"self": base, "events": f"{base}/events", "hosts": f"{base}/hosts", "html": f"/jobs/{job_id}"}


def _rate(job: Job, done: int, now: datetime) -> float:
    if job.started_at is None or not done:
        return 0.0
    end: datetime = job.finished_at or now
    began: datetime = job.started_at
    seconds = (end - began).total_seconds()
    return round(done / seconds, 2) if seconds > 0 else 0.0


def _eta_ms(job: Job, done: int, rate: float) -> int | None:
    """Nothing is said before ten hosts, or one in twenty, are done."""
    if JobState(job.state).terminal or rate <= 0 or done < max(_MIN_DONE_FOR_ETA, job.target_count // 20):
        return None
    return int((job.target_count - done) / rate * 1000)


def _group_count(session: Session, job: Job) -> int:
    alike = (
        HostRun.state,
        HostRun.reason,
        HostRun.exit_status,
        HostRun.exit_signal,
        func.coalesce(HostRun.output_digest, HostRun.detail),
    )
    ended = [state.value for state in TERMINAL]
    distinct = select(*alike).where(HostRun.job_id == job.id, HostRun.state.in_(ended)).distinct()
    return session.scalar(select(func.count()).select_from(distinct.subquery())) or 0


def _slowest(session: Session, job: Job, now: datetime) -> list[dict[str, Any]]:
    if not job.n_r:
        return []
    query = (
        select(HostRun.i, HostRun.host, HostRun.started_at)
        .where(HostRun.job_id == job.id, HostRun.state == RunState.RUNNING.value)
        .order_by(HostRun.started_at)
        .limit(3)
    )
    return [
        {"i": i, "host": host, "ms": max(int((now - started).total_seconds() * 1000), 0)}
        for i, host, started in session.execute(query)
        if started is not None
    ]


def list_jobs(
    session: Session,
    actor: Actor,
    *,
    state: str | None = None,
    by: str | None = None,
    q: str | None = None,
    host: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Returns jobs, newest first, that ``actor`` may see and that fit every filter given.

    ``q`` is looked for in title, command and targets; ``host`` is an exact host name; ``before`` a job id.
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
    if before:
        query = query.where(Job.id < before)
    return [_summary(job) for job in session.scalars(query)]


def _summary(job: Job) -> dict[str, Any]:
    end = job.finished_at
    took = int((end - (job.started_at or job.created_at)).total_seconds() * 1000) if end else None
    return {
        "id": job.id,
        "ver": job.ver,
        "state": job.state,
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


def versions(session: Session, job_ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Returns version and state of each job that exists: the cheap question that live streams ask."""
    query = select(Job.id, Job.ver, Job.state).where(Job.id.in_(job_ids))
    return {job_id: (ver, state) for job_id, ver, state in session.execute(query)}


def roster(session: Session, job: Job) -> dict[str, Any]:
    """Returns the job's hosts in the order of their index; it never changes."""
    hosts = session.scalars(select(HostRun.host).where(HostRun.job_id == job.id).order_by(HostRun.i))
    return {"v": 1, "hosts": list(hosts), "tags": {}}


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


def hosts(
    session: Session,
    job: Job,
    *,
    states: str = "",
    sort: str = "i",
    q: str = "",
    limit: int = 200,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Returns a page of host rows. ``states`` are letters, ``sort`` a column with ``-`` for descending, ``q`` a part
    of a host name, ``cursor`` what the page before gave. Raises ``Invalid`` for a value out of its list."""
    query = select(HostRun).where(HostRun.job_id == job.id)
    wanted = states.replace(",", "")
    if any(letter not in LETTERS for letter in wanted):
        raise invalid_query("state", f"Name states by their letters, out of {LETTERS}.")
    if wanted:
        query = query.where(HostRun.state.in_([state.value for state in states_of_letters(wanted)]))
    if q:
        query = query.where(HostRun.host.icontains(q, autoescape=True))
    column = _SORTABLE.get(sort.removeprefix("-"))
    if column is None:
        raise invalid_query("sort", f"Sort by one of {', '.join(_SORTABLE)}, with - before it to turn it round.")
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = column.desc().nulls_last() if sort.startswith("-") else column.asc().nulls_last()
    offset = _offset(cursor)
    limit = min(max(limit, 1), 1000)
    rows = session.scalars(query.order_by(ordered, HostRun.i).offset(offset).limit(limit)).all()
    following = offset + len(rows)
    return {
        "ver": job.ver,
        "total": total,
        "rows": [run_row(run) for run in rows],
        "next": str(following) if following < total else None,
    }


def _offset(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 8):
        raise invalid_query("cursor", "Use the cursor of the page before.")
    return int(cursor)


def invalid_query(field: str, message: str) -> Invalid:
    """Returns the error for a query parameter out of its list."""
    return Invalid(message, errors=[FieldError(field, message)])


def run_row(run: HostRun) -> dict[str, Any]:
    """Returns one host's row of the contract."""
    return {
        "i": run.i,
        "host": run.host,
        "address": run.address,
        "port": run.port,
        "user": run.user,
        "state": run.state,
        "reason": run.reason,
        "detail": run.detail,
        "exit": run.exit_status,
        "signal": run.exit_signal,
        "ms": run.duration_ms,
        "connect_ms": run.connect_ms,
        "reused": run.reused,
        "attempt": run.attempt,
        "worker": run.worker,
        "pid": run.pid,
        "bytes": run.stdout_bytes + run.stderr_bytes,
        "stderr_bytes": run.stderr_bytes,
        "lines": run.lines,
        "last_line": run.last_line,
        "group": run.output_digest[:12] if run.output_digest else None,
        "late": run.late,
        "left_children": run.left_children,
        "host_key": run.host_key,
        "queued_at": iso(run.queued_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
    }


def get_run(session: Session, job: Job, host: str | int) -> HostRun:
    """Returns the run of a host by its name or its place in the roster. Raises ``NotFound``."""
    query = select(HostRun).where(HostRun.job_id == job.id)
    if isinstance(host, int) or (host.isascii() and host.isdigit() and len(host) < 8):
        run = session.scalars(query.where(HostRun.i == int(host))).one_or_none()
    else:
        run = session.scalars(query.where(func.lower(HostRun.host) == host.lower())).first()
    if run is None:
        raise NotFound(f"Job {job.id} has no such host.")
    return run


def offered_keys(session: Session, job: Job) -> list[dict[str, Any]]:
    """Returns the host keys that hosts of this job offered and nobody has decided on: what trusting them would mean."""
    refused = [Reason.HOST_KEY_UNKNOWN.value, Reason.HOST_KEY_CHANGED.value]
    query = (
        select(HostRun.i, HostRun.host, HostRun.reason, HostKey)
        .join(HostKey, and_(HostKey.address == HostRun.address, HostKey.port == HostRun.port))
        .where(HostRun.job_id == job.id, HostRun.reason.in_(refused), HostKey.status == KeyStatus.OFFERED.value)
        .order_by(HostRun.i)
    )
    return [
        {
            "i": i,
            "host": host,
            "reason": reason,
            "address": key.address,
            "port": key.port,
            "algorithm": key.algorithm,
            "fingerprint": key.fingerprint,
        }
        for i, host, reason, key in session.execute(query)
    ]


def workers(session: Session) -> dict[str, Any]:
    """Returns the live worker processes and the sums that the top bar shows."""
    alive = session.scalars(select(WorkerProcess).where(WorkerProcess.gone_at.is_(None)).order_by(WorkerProcess.name))
    plain = ("id", "name", "pid", "version", "slots", "busy", "draining")
    listed: list[dict[str, Any]] = [
        {name: getattr(worker, name) for name in plain}
        | {"beat_at": iso(worker.beat_at), "started_at": iso(worker.started_at)}
        for worker in alive
    ]
    slots, busy = (sum(worker[name] for worker in listed) for name in ("slots", "busy"))
    return {"workers": len(listed), "slots": slots, "busy": busy, "list": listed}
