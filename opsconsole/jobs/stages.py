"""The stages of a job: when a wave is over and what follows, and how a job is stopped before its end."""

from datetime import datetime
from random import SystemRandom

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import transitions
from opsconsole.jobs.admission import NOT_STARTED
from opsconsole.jobs.canary import CanaryMatch
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.options import AtStop, Gate, RunOptions
from opsconsole.jobs.output import STDOUT
from opsconsole.jobs.states import ACTIVE, FAILURES, JobState, PauseReason, RunState, StopReason
from opsconsole.jobs.waves import WaveKind

_RANDOM = SystemRandom()
_STARTED = (RunState.CONNECTING.value, RunState.RUNNING.value)


def stop(session: Session, job_id: int, reason: StopReason, now: datetime) -> bool:
    """Stops a job by ``reason`` and returns whether it could be: what has not started never will, and what is in
    flight goes on or is ended, as the job's ``at_stop`` says."""
    if not transitions.move_job(session, job_id, JobState.STOPPING, {"stop_reason": reason.value}):
        return False
    target, why, detail = NOT_STARTED[reason]
    values = {"reason": why.value, "detail": detail, "finished_at": now}
    for source in (RunState.PENDING, RunState.QUEUED):
        transitions.move_many(session, job_id, source, target, values, now)
    options = RunOptions.from_json(session.execute(select(Job.options).where(Job.id == job_id)).scalar_one())
    if options.at_stop == AtStop.KILL:
        started = update(HostRun).where(HostRun.job_id == job_id, HostRun.state.in_(_STARTED))
        started = started.where(HostRun.cancel_requested_at.is_(None))
        orders = started.values(cancel_requested_at=now)
        session.execute(orders.execution_options(synchronize_session=False))
    return True


def next_wave(session: Session, job_id: int, *, hold_ms: int | None = None) -> None:
    """Lets the hosts of the next wave start, after a pause of ``hold_ms`` milliseconds. Needs the job's lock."""
    values = {"wave": Job.wave + 1, "hold_ms": hold_ms}
    session.execute(update(Job).where(Job.id == job_id).values(values).execution_options(synchronize_session=False))


def advance(session: Session, job_id: int, now: datetime) -> None:
    """Judges the job's wave if it is over, and lets the next one start, pauses or stops the job. Needs its lock.

    Only a job that runs is judged; one that was paused meanwhile is judged when it goes on.
    """
    while _end_of_wave(session, job_id, now):
        pass


_STAGE = (Job.state, Job.wave, Job.plan, Job.options, Job.hold_ms, Job.n_queued, Job.n_c, Job.n_r)


def _end_of_wave(session: Session, job_id: int, now: datetime) -> bool:
    """Returns whether a next wave may start at once, which may be over already because its hosts were cancelled."""
    job = session.execute(select(*_STAGE).where(Job.id == job_id)).one()
    if job.state not in {JobState.PENDING, JobState.RUNNING} or job.hold_ms is not None or not job.plan:
        return False
    if job.n_queued + job.n_c + job.n_r or job.wave >= len(job.plan) - 1 or wave_open(session, job_id, job.wave):
        return False
    options = RunOptions.from_json(job.options)
    ended = _ends(session, job_id, job.wave)
    canary = job.plan[job.wave]["kind"] == WaveKind.CANARY
    if canary and not _canary_passed(session, job_id, job.wave, ended, options):
        stop(session, job_id, StopReason.CANARY, now)
        return False
    pause = _pause(canary, ended, options)
    if pause is not None:
        transitions.move_job(session, job_id, JobState.PAUSED, {"pause_reason": pause.value})
        return False
    hold_ms = int(1000 * (options.wave_pause + _RANDOM.uniform(0, options.wave_jitter))) or None
    next_wave(session, job_id, hold_ms=hold_ms)
    return hold_ms is None


def wave_open(session: Session, job_id: int, wave: int) -> bool:
    """Returns whether a host of ``wave``, or of one before it, has not ended."""
    active = [state.value for state in ACTIVE]
    query = select(HostRun.id).where(HostRun.job_id == job_id, HostRun.state.in_(active), HostRun.wave <= wave)
    return session.execute(query.limit(1)).first() is not None


def _ends(session: Session, job_id: int, wave: int) -> frozenset[str]:
    query = select(HostRun.state).where(HostRun.job_id == job_id, HostRun.wave == wave)
    return frozenset(session.scalars(query.distinct()))


def _canary_passed(session: Session, job_id: int, wave: int, ended: frozenset[str], options: RunOptions) -> bool:
    if ended - {RunState.SUCCEEDED.value}:
        return False
    if options.canary_match is None:
        return True
    match = CanaryMatch(options.canary_match)
    runs = session.scalars(select(HostRun.id).where(HostRun.job_id == job_id, HostRun.wave == wave))
    return all(match.found_in(_stdout(session, run_id)) for run_id in runs.all())


def _stdout(session: Session, run_id: int) -> bytes:
    chunks = select(OutputChunk.data).where(OutputChunk.host_run_id == run_id, OutputChunk.fd == STDOUT)
    return b"".join(session.scalars(chunks.order_by(OutputChunk.offset)))


def _pause(canary: bool, ended: frozenset[str], options: RunOptions) -> PauseReason | None:
    """Returns why a person must say how it goes on after this wave, ``None`` when it goes on by itself."""
    if canary and options.canary_gate == Gate.MANUAL:
        return PauseReason.CANARY
    if canary:
        return None
    if options.wave_gate == Gate.MANUAL:
        return PauseReason.WAVE
    counted = FAILURES if options.count_unreachable else FAILURES - {RunState.UNREACHABLE}
    failed = any(state in counted for state in ended)
    return PauseReason.WAVE_FAILED if failed and options.wave_gate == Gate.ON_FAILURE else None
