"""The stages of a job: when a wave is over and what follows, and how a job is stopped before its end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import SystemRandom

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from opsconsole.jobs import canary, transitions
from opsconsole.jobs.admission import NOT_STARTED, NOT_STARTED_PREFIX
from opsconsole.jobs.models import HostRun, Job, JobEvent, OutputChunk
from opsconsole.jobs.options import AtStop, Gate, RunOptions
from opsconsole.jobs.output import STDOUT
from opsconsole.jobs.states import ACTIVE, FAILURES, JobState, Milestone, PauseReason, RunState, StopReason
from opsconsole.jobs.steps import Step, until
from opsconsole.jobs.waves import WaveKind
from opsconsole.jobs.what import What

_RANDOM = SystemRandom()
_STARTED = (RunState.CONNECTING.value, RunState.RUNNING.value)


def stop(session: Session, job_id: int, reason: StopReason, now: datetime, *, detail: str | None = None) -> bool:
    """Stops a job by ``reason`` and returns whether it could be: what has not started never will, and what is in
    flight goes on or is ended, as the job's ``at_stop`` says. ``detail``: a sentence that says more than the reason's
    own beside the hosts that were not started."""
    if not transitions.move_job(session, job_id, JobState.STOPPING, {"stop_reason": reason.value}):
        return False
    target, why, usual = NOT_STARTED[reason]
    told = (detail or usual).removeprefix(NOT_STARTED_PREFIX)
    _note(session, job_id, Milestone.STOP, now, reason=reason.value, detail=told)
    values = {"reason": why.value, "detail": detail or usual, "finished_at": now}
    for source in (RunState.PENDING, RunState.QUEUED):
        transitions.move_many(session, job_id, source, target, values, now)
    options = RunOptions.from_json(session.execute(select(Job.options).where(Job.id == job_id)).scalar_one())
    if options.at_stop == AtStop.KILL:
        started = update(HostRun).where(HostRun.job_id == job_id, HostRun.state.in_(_STARTED))
        started = started.where(HostRun.cancel_requested_at.is_(None))
        orders = started.values(cancel_requested_at=now)
        session.execute(orders.execution_options(synchronize_session=False))
    return True


def next_wave(
    session: Session, job_id: int, now: datetime, *, hold_ms: int | None = None, step: Step | None = None
) -> None:
    """Lets the hosts of the next wave start, with ``step`` if each waits for the others there, after a pause of
    ``hold_ms`` milliseconds. Needs the job's lock."""
    values = {"wave": Job.wave + 1, "hold_ms": hold_ms, "step": step.value if step else None}
    onward = update(Job).where(Job.id == job_id).values(values).returning(Job.wave)
    wave = session.execute(onward.execution_options(synchronize_session=False)).scalar_one()
    _note(session, job_id, Milestone.WAVE, now, wave=wave, pause_ms=hold_ms)


def _note(session: Session, job_id: int, kind: Milestone, now: datetime, **detail: object) -> None:
    session.execute(insert(JobEvent).values(job_id=job_id, at=now, kind=kind.value, detail=detail))


def advance(session: Session, job_id: int, now: datetime) -> None:
    """Judges the job's wave if it is over, and lets the next one start, pauses or stops the job. Needs its lock.

    Only a job that runs is judged; one that was paused meanwhile is judged when it goes on.
    """
    while _end_of_wave(session, job_id, now):
        pass


_STAGE = (Job.state, Job.wave, Job.step, Job.what, Job.plan, Job.options, Job.hold_ms, Job.n_queued, Job.n_c, Job.n_r)


def _end_of_wave(session: Session, job_id: int, now: datetime) -> bool:
    """Returns whether a next wave may start at once, which may be over already because its hosts were cancelled."""
    job = session.execute(select(*_STAGE).where(Job.id == job_id)).one()
    steps = What.from_json(job.what).steps if job.step is not None else ()
    if job.state not in {JobState.PENDING, JobState.RUNNING} or job.hold_ms is not None or not (job.plan or steps):
        return False
    if job.n_queued + job.n_c + job.n_r or wave_open(session, job_id, job.wave, job.step):
        return False
    goes_on = job.step is not None and wave_open(session, job_id, job.wave)
    if not goes_on and job.wave >= len(job.plan or [{}]) - 1:
        return False
    options = RunOptions.from_json(job.options)
    ended = _ends(session, job_id, job.wave)
    first = bool(job.plan) and job.plan[job.wave]["kind"] == WaveKind.CANARY
    if first and (faults := _canary_faults(session, job_id, job.wave, options)):
        detail = f"{NOT_STARTED_PREFIX}the canary failed ({canary.told(faults)})."
        stop(session, job_id, StopReason.CANARY, now, detail=detail)
        return False
    if goes_on:
        _next_step(session, job_id, steps[steps.index(Step(job.step)) + 1], job.wave, now)
        return True
    pause = _pause(first, ended, options)
    if pause is not None:
        transitions.move_job(session, job_id, JobState.PAUSED, {"pause_reason": pause.value})
        _note(session, job_id, Milestone.GATE, now, reason=pause.value, wave=job.wave)
        return False
    hold_ms = int(1000 * (options.wave_pause + _RANDOM.uniform(0, options.wave_jitter))) or None
    next_wave(session, job_id, now, hold_ms=hold_ms, step=steps[0] if steps else None)
    return hold_ms is None


def _next_step(session: Session, job_id: int, step: Step, wave: int, now: datetime) -> None:
    onward = update(Job).where(Job.id == job_id).values(step=step.value)
    session.execute(onward.execution_options(synchronize_session=False))
    _note(session, job_id, Milestone.STEP, now, step=step.value, wave=wave)


def wave_open(session: Session, job_id: int, wave: int, step: str | None = None) -> bool:
    """Returns whether a host of ``wave``, or of one before it, has not ended; with ``step``, nor passed that one."""
    active = [state.value for state in ACTIVE]
    query = select(HostRun.id).where(HostRun.job_id == job_id, HostRun.state.in_(active), HostRun.wave <= wave)
    if step is not None:
        query = query.where(HostRun.step.in_(until(Step(step))))
    return session.execute(query.limit(1)).first() is not None


def _ends(session: Session, job_id: int, wave: int) -> frozenset[str]:
    query = select(HostRun.state).where(HostRun.job_id == job_id, HostRun.wave == wave)
    return frozenset(session.scalars(query.distinct()))


def _canary_faults(session: Session, job_id: int, wave: int, options: RunOptions) -> Mapping[str, Sequence[str]]:
    """Returns the canary's hosts that were not as they must be, by what is told of them."""
    faults: dict[str, list[str]] = {}
    query = select(HostRun.id, HostRun.host, HostRun.state).where(HostRun.job_id == job_id, HostRun.wave == wave)
    runs = session.execute(query.order_by(HostRun.rank)).all()
    pattern = options.canary_match
    match = canary.CanaryMatch(pattern) if pattern is not None else None
    for run_id, host, state in runs:
        if RunState(state) in ACTIVE:
            # It waits for its next step.
            continue
        if state != RunState.SUCCEEDED:
            faults.setdefault(RunState(state).replace("_", " "), []).append(host)
        elif pattern is not None and match is not None and not match.found_in(_stdout(session, run_id)):
            faults.setdefault(canary.missed(pattern), []).append(host)
    return faults


def _stdout(session: Session, run_id: int) -> bytes:
    chunks = select(OutputChunk.data).where(OutputChunk.host_run_id == run_id, OutputChunk.fd == STDOUT)
    return b"".join(session.scalars(chunks.order_by(OutputChunk.offset)))


def _pause(first: bool, ended: frozenset[str], options: RunOptions) -> PauseReason | None:
    """Returns why a person must say how it goes on after this wave, ``None`` when it goes on by itself."""
    if first and options.canary_gate == Gate.MANUAL:
        return PauseReason.CANARY
    if first:
        return None
    if options.wave_gate == Gate.MANUAL:
        return PauseReason.WAVE
    counted = FAILURES if options.count_unreachable else FAILURES - {RunState.UNREACHABLE}
    failed = any(state in counted for state in ended)
    return PauseReason.WAVE_FAILED if failed and options.wave_gate == Gate.ON_FAILURE else None
