"""How long jobs have run and how long they are to wait, counted by the leader's monotonic clock.

Wall clocks jump; these counts do not. Of the time between two looks at most five seconds count, so that a leader that
stood still, or a console that was down, neither ends a pause nor uses up a job's time.
"""

from datetime import datetime

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import stages
from opsconsole.jobs.guard import COUNTDOWN_SLACK_MS
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
    """Lets ``ms`` pass for all jobs: what is left before a wave or the job starts counts down, running times count
    up, and deadlines end jobs.

    Takes the locks of all running jobs in the order of their ids: a transaction of its own, please.
    """
    about_to_start = (Job.state == JobState.PENDING.value) & Job.hold_ms.is_not(None)
    query = select(Job.id, Job.state, Job.hold_ms, Job.elapsed_ms, Job.options).where(
        or_(Job.state.in_(_COUNTING), about_to_start)
    )
    jobs = session.execute(query.order_by(Job.id).with_for_update()).all()
    if not jobs:
        return
    held = Job.state.in_((JobState.PENDING.value, JobState.RUNNING.value)) & Job.hold_ms.is_not(None)
    # Nobody's moment to stop a job is shorter because the leader was late.
    counted_ms = case((Job.wave == 0, min(ms, COUNTDOWN_SLACK_MS)), else_=ms)
    values = {
        "elapsed_ms": case((Job.state.in_(_COUNTING), Job.elapsed_ms + ms), else_=Job.elapsed_ms),
        # What is over is no pause any more: the next wave, or the job, may start.
        "hold_ms": case((held & (Job.hold_ms > counted_ms), Job.hold_ms - counted_ms), (held, None), else_=Job.hold_ms),
        # Pages count down by themselves; they are told of the end.
        "ver": case((held & (Job.hold_ms <= counted_ms), Job.ver + 1), else_=Job.ver),
    }
    counted = update(Job).where(Job.id.in_([job.id for job in jobs])).values(values)
    session.execute(counted.execution_options(synchronize_session=False))
    for job in jobs:
        options = RunOptions.from_json(job.options)
        if job.state == JobState.RUNNING and 0 < options.job_timeout * 1000 <= job.elapsed_ms + ms:
            stages.stop(session, job.id, StopReason.DEADLINE, now)
