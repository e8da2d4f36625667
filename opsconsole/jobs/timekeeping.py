"""How long jobs have run and how long they are to wait, counted by the leader's monotonic clock.

Wall clocks jump; these counts do not. Of the time between two looks at most five seconds count, so that a leader that
stood still, or a console that was down, neither ends a pause nor uses up a job's time.
"""

from datetime import datetime

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import stages
from opsconsole.jobs.models import Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, StopReason

_MOST_SECONDS = 5.0
_COUNTING = (JobState.RUNNING.value, JobState.STOPPING.value)


class Stopwatch:
    """Measures the time between the looks of one leader, in milliseconds."""

    def __init__(self, least_seconds: float) -> None:
        self._least = least_seconds
        self._looked_at: float | None = None

    def lap(self, monotonic: float) -> int:
        """Returns the time since the last lap that counts; 0 for the first one and when too little has passed."""
        if self._looked_at is None:
            self._looked_at = monotonic
            return 0
        passed = monotonic - self._looked_at
        if passed < self._least:
            return 0
        self._looked_at = monotonic
        return int(min(passed, _MOST_SECONDS) * 1000)

    def forget(self) -> None:
        """Begins anew: somebody else leads, and counts."""
        self._looked_at = None


def pass_time(session: Session, ms: int, now: datetime) -> None:
    """Lets ``ms`` pass for all jobs: pauses between waves count down, running times up, and deadlines end jobs.

    Takes the locks of all running jobs in the order of their ids: a transaction of its own, please.
    """
    query = select(Job.id, Job.state, Job.hold_ms, Job.elapsed_ms, Job.options).where(Job.state.in_(_COUNTING))
    jobs = session.execute(query.order_by(Job.id).with_for_update()).all()
    if not jobs:
        return
    running = (Job.state == JobState.RUNNING.value) & Job.hold_ms.is_not(None)
    values = {
        "elapsed_ms": Job.elapsed_ms + ms,
        # What is over is no pause any more: the next wave may start.
        "hold_ms": case((running & (Job.hold_ms > ms), Job.hold_ms - ms), (running, None), else_=Job.hold_ms),
        # Pages count down by themselves; they are told of the end.
        "ver": case((running & (Job.hold_ms <= ms), Job.ver + 1), else_=Job.ver),
    }
    counted = update(Job).where(Job.id.in_([job.id for job in jobs])).values(values)
    session.execute(counted.execution_options(synchronize_session=False))
    for job in jobs:
        options = RunOptions.from_json(job.options)
        if job.state == JobState.RUNNING and 0 < options.job_timeout * 1000 <= job.elapsed_ms + ms:
            stages.stop(session, job.id, StopReason.DEADLINE, now)
