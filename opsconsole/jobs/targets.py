"""Answers what a target expression asks of the inventory and of earlier jobs."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import states_of_letters


class TargetResolver(InventoryResolver):
    """The inventory, and the results of the jobs that ``actor`` may see: ``failed:#1041``, ``state(f,u):#1041``."""

    def __init__(self, session: Session, actor: Actor) -> None:
        super().__init__(session)
        self._jobs_session = session
        self._actor = actor

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        """Returns the job's hosts in the states ``letters``; ``None`` for a job that is unknown or another person's."""
        job = self._jobs_session.get(Job, job_id)
        if job is None or not may_see(job, self._actor):
            return None
        states = [state.value for state in states_of_letters(letters)]
        query = select(HostRun.host).where(HostRun.job_id == job_id, HostRun.state.in_(states))
        return list(self._jobs_session.scalars(query.order_by(HostRun.i)))


def may_see(job: Job, actor: Actor) -> bool:
    """Returns whether ``actor`` may know of ``job``: one's own, or anybody's with the right to see all."""
    return job.created_by_id == actor.user_id or actor.may(Permission.VIEW_ALL_JOBS)
