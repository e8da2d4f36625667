"""The status body of one job: its counters from its own row; what is late, slow or alike from those of its hosts."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.jobs.admission import NOT_STARTED_PREFIX
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.queries.console import epoch, iso
from opsconsole.jobs.queries.job_list import links
from opsconsole.jobs.queries.stepping import steps_of
from opsconsole.jobs.queries.turns import starts_in_ms, waiting
from opsconsole.jobs.states import TERMINAL, JobState, Priority, Reason, RunState, StopReason

_MIN_DONE_FOR_ETA = 10
_RATE_SECONDS = 30.0


def etag(session: Session, job: Job) -> str:
    """Returns the weak entity tag of the job's status."""
    # How much was carried is told, too, and grows without a change of state.
    carried = f".{_carried_bytes(session, job)[0]}" if _carries(job) else ""
    return f'W/"{epoch(session)}.{job.ver}{carried}"'


def status(session: Session, job: Job, *, now: datetime) -> dict[str, Any]:
    """Returns the status body of the contract; its counts come from the job row alone."""
    counts = job.counts
    done = job.target_count - counts["q"] - counts["c"] - counts["r"]
    options = RunOptions.from_json(job.options)
    used = counts["f"] + counts["k"] + counts["l"] + (counts["u"] if job.count_unreachable else 0)
    return {
        "id": job.id,
        "ver": job.ver,
        "epoch": epoch(session),
        "state": job.state,
        "stop_reason": job.stop_reason,
        "stop_detail": stop_detail(session, job),
        "stopped_by": job.stopped_by,
        "worker_shutdown": ended_by_shutdown(session, job),
        "title": job.title,
        "command": job.command,
        "what": job.what,
        "targets": {
            "expression": job.expression,
            "exclude": job.exclude,
            "folded": job.folded,
            "count": job.target_count,
            "digest": job.digest,
        },
        "options": options.to_json(),
        "priority": Priority(job.priority).name.lower(),
        "durable": job.durable,
        "executor": job.executor,
        **progress_of(session, job, now=now),
        "elapsed_ms": job.elapsed_ms,
        "timeout_ms": round(options.job_timeout * 1000) or None,
        "credential": job.auth["kind"] if not job.auth["name"] else f"{job.auth['kind']}:{job.auth['name']}",
        "user": job.auth["user"],
        "launch_type": job.launch_type,
        "reason": job.reason,
        "rerun_of": job.rerun_of,
        "saved_id": job.saved_id,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "by": job.created_by,
        "counts": counts,
        "done": done,
        "progress": round(done / job.target_count, 4),
        "budget": {"used": used, "allowed": options.allowed_failures(job.target_count)},
        "rate_per_s": _rate(session, job, done, now),
        "eta_ms": _eta_ms(job, done, now),
        "carried": _carried(session, job, now),
        "groups": _group_count(session, job),
        "slowest": _slowest(session, job, now),
        "links": links(job.id),
    }


def stop_detail(session: Session, job: Job) -> str | None:
    """Returns which hosts of the canary stopped the job, and why; ``None`` for a job that went on or stopped by
    something else."""
    if job.stop_reason != StopReason.CANARY:
        return None
    # It stands beside each host that was not started.
    skipped = (HostRun.job_id == job.id, HostRun.state == RunState.SKIPPED, HostRun.reason == Reason.CANARY)
    detail = session.scalar(select(HostRun.detail).where(*skipped).limit(1))
    return detail.removeprefix(NOT_STARTED_PREFIX) if detail else None


def ended_by_shutdown(session: Session, job: Job) -> int:
    """Returns on how many hosts a worker that was told to stop ended the command."""
    if not job.n_x:
        return 0
    ended = (HostRun.job_id == job.id, HostRun.state == RunState.CANCELLED, HostRun.reason == Reason.WORKER_SHUTDOWN)
    return session.scalar(select(func.count()).select_from(HostRun).where(*ended)) or 0


def progress_of(session: Session, job: Job, *, now: datetime) -> dict[str, Any]:
    """Returns what holds a job back at the moment: its pause, its waves and what it waits for."""
    paused = job.state == JobState.PAUSED
    # Before the first wave it is the job itself that is about to start.
    starts_in = starts_in_ms(job) if job.hold_ms is not None and job.wave == 0 and not paused else None
    hold = job.hold_ms if job.wave else None
    waves = {"now": job.wave, "hold_ms": hold, "list": job.plan} if job.plan else None
    return {
        "starts_in_ms": starts_in,
        "pause": {"reason": job.pause_reason, "by": job.paused_by} if paused else None,
        "waves": waves,
        "steps": steps_of(session, job),
        "waiting": waiting(session, job, now=now),
    }


def _carried(session: Session, job: Job, now: datetime) -> dict[str, Any] | None:
    """Returns how many bytes of files all hosts have together, and how fast they come; ``None`` where a command runs.

    ``total`` counts what is known so far: of hosts that have not begun, nothing is.
    """
    if not _carries(job):
        return None
    done, known = _carried_bytes(session, job)
    pushed = sum(int(item.get("size") or 0) for item in (job.what or {}).get("push") or ())
    began, end = job.started_at, job.finished_at or now
    seconds = (end - began).total_seconds() if began is not None else 0.0
    return {
        "done": done,
        "total": pushed * job.target_count or known,
        "bytes_per_s": int(done / seconds) if seconds > 0 else 0,
    }


def _carries(job: Job) -> bool:
    return bool({"push", "pull"} & (job.what or {}).keys())


def _carried_bytes(session: Session, job: Job) -> tuple[int, int]:
    """Returns how many bytes its hosts have, and how many they are to have as far as that is known."""
    sums = select(func.sum(HostRun.done_bytes), func.sum(HostRun.total_bytes)).where(HostRun.job_id == job.id)
    done, known = session.execute(sums).one()
    return int(done or 0), int(known or 0)


def _rate(session: Session, job: Job, done: int, now: datetime) -> float:
    """How many hosts end in a second: of an ended job in all its time, else lately."""
    seconds = _seconds(job, now)
    if seconds <= 0 or not done:
        return 0.0
    if not JobState(job.state).terminal and seconds > _RATE_SECONDS:
        seconds = _RATE_SECONDS
        lately = (HostRun.job_id == job.id, HostRun.finished_at > now - timedelta(seconds=seconds))
        done = session.scalar(select(func.count()).select_from(HostRun).where(*lately)) or 0
    return round(done / seconds, 2)


def _eta_ms(job: Job, done: int, now: datetime) -> int | None:
    """Nothing is said before ten hosts, or one in twenty, are done, nor while nobody knows when it goes on. From then
    on it goes by all that have ended: long commands end in bursts."""
    seconds = _seconds(job, now)
    stands = JobState(job.state).terminal or job.state == JobState.PAUSED.value
    if stands or seconds <= 0 or done < max(_MIN_DONE_FOR_ETA, job.target_count // 20):
        return None
    return int((job.target_count - done) * seconds / done * 1000)


def _seconds(job: Job, now: datetime) -> float:
    return 0.0 if job.started_at is None else ((job.finished_at or now) - job.started_at).total_seconds()


def _group_count(session: Session, job: Job) -> int:
    alike = (
        HostRun.state,
        HostRun.reason,
        HostRun.exit_status,
        HostRun.exit_signal,
        # As output groups are told where nobody asks for another mode.
        func.coalesce(HostRun.digest_similar, HostRun.output_digest, HostRun.detail),
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
        {"i": i, "host": host, "ms": max(int((now - started).total_seconds() * 1000), 0), "started_at": iso(started)}
        for i, host, started in session.execute(query)
        if started is not None
    ]
