"""What a person does to a job that exists: cancel it, or run it again on some of its hosts."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import FieldError, Forbidden, Invalid
from opsconsole.jobs import transitions
from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import LETTERS, JobState, Reason, RunState, StopReason, states_of_letters

_STARTED = (RunState.CONNECTING.value, RunState.RUNNING.value)


def cancel(session: Session, job: Job, actor: Actor, *, now: datetime, hosts: Sequence[str] | None = None) -> Job:
    """Cancels a job, or some of its hosts, and returns it as it is now.

    What has not started is cancelled at once; workers end what runs and report host by host. Cancelling what has
    ended changes nothing. Raises ``Forbidden``, or ``Invalid`` for a host that is not in the job.
    """
    if not actor.may(Permission.RUN):
        raise Forbidden("Your role or token may look at jobs but not cancel them.")
    transitions.lock_job(session, job.id)
    session.refresh(job)
    if JobState(job.state).terminal:
        return job
    indices = None if hosts is None else _places(session, job, hosts)
    if indices is None:
        stop = {"stop_reason": StopReason.OPERATOR.value, "stopped_by": actor.name}
        transitions.move_job(session, job.id, JobState.STOPPING, stop)
    ended = {"reason": Reason.BEFORE_START.value, "detail": "Cancelled before it started.", "finished_at": now}
    for source in (RunState.PENDING, RunState.QUEUED):
        transitions.move_many(session, job.id, source, RunState.CANCELLED, ended, now, indices=indices)
    started = update(HostRun).where(HostRun.job_id == job.id, HostRun.state.in_(_STARTED))
    started = started.where(HostRun.cancel_requested_at.is_(None))
    if indices is not None:
        started = started.where(HostRun.i.in_(indices))
    session.execute(started.values(cancel_requested_at=now).execution_options(synchronize_session=False))
    record(session, actor, "job.cancel", now=now, object=f"job/{job.id}", detail={"hosts": list(hosts or [])})
    session.refresh(job)
    return job


def relaunch(session: Session, job: Job, *, letters: str, hosts: Sequence[str] | None = None) -> Order:
    """Returns the order that runs ``job``'s command again on its hosts in the states ``letters``.

    It aims at the frozen roster and not at the expression, so that it means the same hosts whatever has become of
    the inventory. A password typed for the job is gone and must be given again. Raises ``Invalid`` when no host fits.
    """
    if not letters or any(letter not in LETTERS for letter in letters):
        message = f"Name states by their letters, out of {LETTERS}."
        raise Invalid(message, errors=[FieldError("states", message)])
    states = [state.value for state in states_of_letters(letters)]
    query = select(HostRun.host).where(HostRun.job_id == job.id, HostRun.state.in_(states)).order_by(HostRun.i)
    if hosts is not None:
        query = query.where(HostRun.i.in_(_places(session, job, hosts)))
    names = list(session.scalars(query))
    if not names:
        message = "No host of this job is in those states."
        raise Invalid(message, code="no_hosts", errors=[FieldError("states", message, code="no_hosts")])
    options = RunOptions.from_json(job.options)
    kind, name = job.auth["kind"], job.auth["name"]
    return Order(
        targets="\n".join(names),
        command=job.command,
        title=job.title,
        user=job.auth["user"],
        credential=f"{kind}:{name}" if name else kind,
        concurrency=options.concurrency,
        connect_timeout=options.connect_timeout,
        command_timeout=options.command_timeout,
        idle_timeout=options.idle_timeout,
        max_failures=options.max_failures,
        launch_type=LaunchType.RELAUNCH,
        rerun_of=job.id,
    )


def _places(session: Session, job: Job, hosts: Sequence[str]) -> list[int]:
    """Returns the places in the roster of the named hosts."""
    rows = session.execute(select(HostRun.host, HostRun.i).where(HostRun.job_id == job.id))
    by_name = {host.lower(): i for host, i in rows}
    missing = [host for host in hosts if host.lower() not in by_name]
    if missing:
        message = f"Not a host of job {job.id}: {', '.join(missing[:5])[:200]}"
        raise Invalid(message, errors=[FieldError("hosts", message, code="unknown_hosts")])
    return [by_name[host.lower()] for host in hosts]
