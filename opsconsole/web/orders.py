"""Giving an order, for pages and API alike: one transaction, then a nudge to the workers."""

from sqlalchemy.exc import IntegrityError

from opsconsole import crash
from opsconsole.accounts.permissions import Actor
from opsconsole.crash import CrashPoint
from opsconsole.jobs import control
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


def stop(job_id: int, actor: Actor, *, hosts: list[str] | None = None) -> Job:
    """Returns the job, cancelled as far as that is possible at once; workers end the rest. Raises ``NotFound``."""
    with transaction() as session:
        job = control.cancel(session, get_job(session, job_id, actor), actor, now=now(), hosts=hosts)
    runtime().dispatcher.nudge()
    return job


def _launch(order: Order, actor: Actor) -> tuple[Job, bool]:
    with transaction() as session:
        launched = launcher().launch(session, order, actor, now=now())
        session.flush()
        crash.passing(CrashPoint.WEB_BEFORE_COMMIT)
    crash.passing(CrashPoint.WEB_AFTER_COMMIT)
    return launched
