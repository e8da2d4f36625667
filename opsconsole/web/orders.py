"""Giving an order, for pages and API alike: one transaction, then a nudge to the workers."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import IntegrityError

from opsconsole import crash
from opsconsole.accounts.permissions import Actor
from opsconsole.crash import CrashPoint
from opsconsole.jobs import drain, hold
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.models import Job
from opsconsole.jobs.queries import get_job
from opsconsole.web.unit_of_work import now, runtime, transaction


def launcher() -> Launcher:
    """Returns the launcher of this console."""
    return Launcher(runtime().settings, runtime().cipher)


def place(order: Order, actor: Actor) -> tuple[Job, bool]:
    """Returns the job that ``order`` makes and whether it is new; workers look for it at once.

    Raises what ``Launcher.launch`` raises; then nothing was written.
    """
    try:
        job, created = _launch(order, actor)
    except IntegrityError:
        # The same order came twice in one moment and the other one was first: now it is found by its key.
        job, created = _launch(order, actor)
    runtime().dispatcher.nudge()
    return job, created


def act(job_id: int, verb: Callable[..., Job], actor: Actor, **options: Any) -> Job:
    """Returns the job after ``verb`` (one of ``jobs.control``) was done to it; workers are told at once.

    Raises ``NotFound`` and what the verb raises.
    """
    with transaction() as session:
        job = verb(session, get_job(session, job_id, actor), actor, now=now(), **options)
    runtime().dispatcher.nudge()
    return job


def stop_all(actor: Actor, *, reason: str | None, cancel: bool) -> dict[str, Any]:
    """Returns the hold of the console, which nothing starts under, after all jobs were cancelled unless not wanted.

    The broker is only nudged, from a thread of its own: whether it is there makes no difference.
    """
    with transaction() as session:
        body = hold.stop_all(session, actor, reason=reason, cancel=cancel, now=now())
    runtime().dispatcher.nudge()
    return body


def lift(actor: Actor) -> dict[str, Any]:
    """Returns the hold of the console, which is none any more; workers look for work at once."""
    with transaction() as session:
        body = hold.lift(session, actor, now=now())
    runtime().dispatcher.nudge()
    return body


def drain_worker(actor: Actor, name: str) -> dict[str, Any]:
    """Returns the worker ``name``, which takes no further run; raises what ``drain.drain`` raises."""
    with transaction() as session:
        return drain.drain(session, name, actor, now=now())


def resume_worker(actor: Actor, name: str) -> dict[str, Any]:
    """Returns the worker ``name``, which takes runs again; raises what ``drain.resume`` raises."""
    with transaction() as session:
        body = drain.resume(session, name, actor, now=now())
    runtime().dispatcher.nudge()
    return body


def _launch(order: Order, actor: Actor) -> tuple[Job, bool]:
    with transaction() as session:
        launched = launcher().launch(session, order, actor, now=now())
        session.flush()
        crash.passing(CrashPoint.WEB_BEFORE_COMMIT)
    crash.passing(CrashPoint.WEB_AFTER_COMMIT)
    return launched
