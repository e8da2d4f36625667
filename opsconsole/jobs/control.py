"""What a person does to a job that exists: pause it and let it go on, cancel it, or run it again on some hosts.

Every verb may be asked again without doing more, and leaves its audit record in the same transaction when it did
something.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Forbidden, Invalid
from opsconsole.hostset import STATES_HINT, state_letters
from opsconsole.jobs import naming, stages, transitions
from opsconsole.jobs.launch import LaunchType, Order, title_of
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import (
    JobState,
    PauseReason,
    Priority,
    Reason,
    RunState,
    StopReason,
    states_of_letters,
)
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence

_STARTED = (RunState.CONNECTING.value, RunState.RUNNING.value)
_WAITING = (RunState.PENDING, RunState.QUEUED)
_MOST_GRACE_SECONDS = 300


def pause(
    session: Session,
    job: Job,
    actor: Actor,
    *,
    now: datetime,
    hosts: Sequence[str] | None = None,
    wave: int | None = None,
) -> Job:
    """Pauses a job, or holds ``hosts`` or a wave of it back (waves count from 0), and returns it as it is now.

    What no worker has taken up waits; what connects or runs goes on to its end. At the gate after a wave the pause
    comes first, and the gate is there again when it ends. Raises ``Forbidden``, ``Conflict``
    for a job that has ended or is being stopped, or ``Invalid`` for a host or wave it does not have.
    """
    state = _lock(session, job, actor, Sentence("Your role or token may look at jobs but not pause them."))
    _refuse_ended(job, state, Sentence("paused"))
    places = _places(session, job, hosts, wave)
    done = _begin_pause(session, job, actor, state, now) if places is None else _hold_back(session, job, places, now)
    return _done(session, actor, "job.pause", job, _told(hosts, wave), now=now, changed=done)


def resume(
    session: Session,
    job: Job,
    actor: Actor,
    *,
    now: datetime,
    hosts: Sequence[str] | None = None,
    wave: int | None = None,
    held: bool = False,
) -> Job:
    """Lets a paused job go on, or hosts that were held back (``held``: all of them), and returns it as it is now.

    The pause of the job and the hold of its hosts are two things: ending one leaves the other. Raises ``Forbidden``,
    ``Conflict`` for a job that has ended, is being stopped or waits between two waves, or ``Invalid``.
    """
    state = _lock(session, job, actor, Sentence("Your role or token may look at jobs but not resume them."))
    _refuse_ended(job, state, Sentence("resumed"))
    places = _places(session, job, hosts, wave)
    if places is None and not held:
        done = _end_pause(session, job, state, now)
    else:
        query = update(HostRun).where(HostRun.job_id == job.id, HostRun.held.is_(True))
        if places is not None:
            query = query.where(HostRun.i.in_(places))
        done = bool(_written(session, query.values(held=False, ver=job.ver)))
    return _done(session, actor, "job.resume", job, {**_told(hosts, wave), "held": held}, now=now, changed=done)


def proceed(session: Session, job: Job, actor: Actor, *, now: datetime, wave: int | None = None) -> Job:
    """Lets a job that waits between two waves go on with the next one at once, and returns it as it is now.

    With ``wave`` (the status's ``waves.now`` that the person saw) it does so only after that wave, so that asking
    twice never skips a second gate. Raises ``Forbidden``, ``Invalid`` for a wave that is not in the job, or
    ``Conflict`` for one that is not reached yet and for a job that has ended, is being stopped or paused by a person.
    """
    state = _lock(session, job, actor, Sentence("Your role or token may look at jobs but not continue them."))
    if wave is not None:
        _check_wave(job, wave)
    _refuse_ended(job, state, Sentence("continued"))
    if state is JobState.PAUSED and job.pause_reason == PauseReason.OPERATOR:
        raise Conflict(
            "Job {job} is paused by {paused_by}: resume it.", job=job.id, paused_by=job.paused_by, code="paused"
        )
    if wave is not None and wave > job.wave:
        raise Conflict(
            "Job {job} has not reached wave {wave}: it is in wave {present}.",
            job=job.id,
            wave=wave,
            present=job.wave,
            code="wave_not_reached",
        )
    done = False
    if wave is None or wave == job.wave:
        if state is JobState.PAUSED:
            # A gate is between waves, and the next one begins with the first step.
            first = What.from_json(job.what).steps[0].value if job.step is not None else None
            onward = {"wave": job.wave + 1, "step": first, "hold_ms": None, "pause_reason": None, "paused_by": None}
            done = transitions.move_job(session, job.id, JobState.RUNNING, onward)
        elif job.hold_ms is not None:
            session.execute(update(Job).where(Job.id == job.id).values(hold_ms=None))
            done = True
    return _done(session, actor, "job.continue", job, {"wave": job.wave}, now=now, changed=done)


def cancel(
    session: Session,
    job: Job,
    actor: Actor,
    *,
    now: datetime,
    hosts: Sequence[str] | None = None,
    wave: int | None = None,
    grace: float | None = None,
) -> Job:
    """Cancels a job, or ``hosts`` or a wave of it (waves count from 0), and returns it as it is now.

    What has not started is cancelled at once; workers end what runs, KILL following TERM after ``grace`` seconds
    (``None``: as ordered), and report host by host. Cancelling what has ended changes nothing. Raises ``Forbidden``,
    or ``Invalid`` for a host or wave that is not in the job.
    """
    state = _lock(session, job, actor, Sentence("Your role or token may look at jobs but not cancel them."))
    if grace is not None and not 0 <= grace <= _MOST_GRACE_SECONDS:
        raise _invalid(
            "grace_s",
            Sentence(
                "Must lie between 0 and {limit}, is {grace:g}.",
                limit=_MOST_GRACE_SECONDS,
                grace=grace,
            ),
        )
    if state.terminal:
        return job
    places = _places(session, job, hosts, wave)
    done = stop(session, job.id, actor, now=now, places=places, grace=grace)
    return _done(session, actor, "job.cancel", job, {**_told(hosts, wave), "grace_s": grace}, now=now, changed=done)


def stop(
    session: Session,
    job_id: int,
    actor: Actor,
    *,
    now: datetime,
    places: Sequence[int] | None = None,
    grace: float | None = None,
) -> bool:
    """Cancels hosts of a job that has not ended, all without ``places``; returns whether that changed anything.

    For those who have asked for the permission and write the audit record.
    """
    done = 0
    if places is None:
        why = {"stop_reason": StopReason.OPERATOR.value, "stopped_by": actor.name}
        done += transitions.move_job(session, job_id, JobState.STOPPING, why)
    ended = {"reason": Reason.BEFORE_START.value, "detail": "Cancelled before it started.", "finished_at": now}
    for source in _WAITING:
        done += len(transitions.move_many(session, job_id, source, RunState.CANCELLED, ended, now, indices=places))
    started = update(HostRun).where(HostRun.job_id == job_id, HostRun.state.in_(_STARTED))
    started = started.where(HostRun.cancel_requested_at.is_(None))
    if places is not None:
        started = started.where(HostRun.i.in_(places))
    done += _written(session, started.values(cancel_requested_at=now, cancel_grace=grace))
    return done > 0


def relaunch(
    session: Session,
    job: Job,
    *,
    letters: str,
    hosts: Sequence[str] | None = None,
    places: Collection[int] | None = None,
) -> Order:
    """Returns the order that runs ``job``'s command again on its hosts in the states ``letters``; those are letters
    or names, separated by commas. With ``places`` only hosts of these are meant.

    It aims at the frozen roster and not at the expression, so that it means the same hosts whatever has become of
    the inventory, and carries over every option. A password typed for the job is gone and must be given again.
    Raises ``Invalid`` when no host fits.
    """
    try:
        letters = state_letters(letters)
    except ValueError as error:
        raise _invalid(
            "states",
            Sentence(
                "{word!r} is no state. Give letters or names: {states_hint}.",
                word=str(error)[:20],
                states_hint=STATES_HINT,
            ),
        ) from None
    if not letters:
        raise _invalid("states", Sentence("No state is given. Give letters or names: {states}.", states=STATES_HINT))
    states = [state.value for state in states_of_letters(letters)]
    query = select(HostRun.host).where(HostRun.job_id == job.id, HostRun.state.in_(states)).order_by(HostRun.i)
    if hosts is not None:
        query = query.where(HostRun.i.in_(naming.places(session, job, hosts)))
    rows = session.execute(query.add_columns(HostRun.i)).all()
    names = [host for host, i in rows if places is None or i in places]
    if not names:
        raise _invalid("states", "No host of this job is in those states.", code="no_hosts")
    kind, name = job.auth["kind"], job.auth["name"]
    # Every option of a run has its field of the same name in an order.
    options = RunOptions.from_json(job.options).to_json()
    what = What.from_json(job.what)
    return Order(
        targets="\n".join(names),
        # Of a job that carries files it is words alone.
        command="" if what.carries else job.command,
        title=job.title,
        user=job.auth["user"],
        credential=f"{kind}:{name}" if name else kind,
        priority=Priority(job.priority).name.lower(),
        launch_type=LaunchType.RELAUNCH,
        rerun_of=job.id,
        # The hosts in those states may be others by the time the same request comes again.
        asked=f"rerun {job.id} {''.join(sorted(set(letters)))} {sorted(hosts) if hosts is not None else 'all'}"
        + ("" if places is None else f" {sorted(places)}"),
        **what.asked(),
        **{option: value for option, value in options.items() if option in Order.__dataclass_fields__},
    )


def entitle(session: Session, job: Job, actor: Actor, *, now: datetime, title: str) -> Job:
    """Gives a job another title, or the first line of its command when that is empty, and returns it. A title is for
    people: it may change after the job's end, too. Raises ``Forbidden``."""
    _lock(session, job, actor, Sentence("Your role or token may look at jobs but not rename them."))
    before, job.title = job.title, title_of(title, job.command)
    session.flush()
    told = {"before": before, "after": job.title}
    return _done(session, actor, "job.title", job, told, now=now, changed=before != job.title)


def _lock(session: Session, job: Job, actor: Actor, refusal: Sentence) -> JobState:
    """Takes the job's lock and returns its state under it. Raises ``Forbidden`` with ``refusal``."""
    if not actor.may(Permission.RUN):
        raise Forbidden(refusal)
    transitions.lock_job(session, job.id)
    session.refresh(job)
    return JobState(job.state)


def _places(session: Session, job: Job, hosts: Sequence[str] | None, wave: int | None) -> list[int] | None:
    """Returns the places in the roster that a verb is meant for, ``None`` for the whole job."""
    if hosts is not None and wave is not None:
        raise _invalid("wave", "Name hosts or a wave, not both.")
    if hosts is not None:
        return naming.places(session, job, hosts)
    if wave is None:
        return None
    _check_wave(job, wave)
    in_wave = select(HostRun.i).where(HostRun.job_id == job.id, HostRun.wave == wave).order_by(HostRun.i)
    return list(session.scalars(in_wave))


def _check_wave(job: Job, wave: int) -> None:
    waves = len(job.plan or [{}])
    if not 0 <= wave < waves:
        if waves == 1:
            raise _invalid("wave", Sentence("Job {job} has wave 0 alone.", job=job.id))
        raise _invalid("wave", Sentence("Job {job} has the waves 0 to {last}.", job=job.id, last=waves - 1))


def _told(hosts: Sequence[str] | None, wave: int | None) -> dict[str, Any]:
    return {"hosts": list(hosts or []), "wave": wave}


def _refuse_ended(job: Job, state: JobState, done: Sentence) -> None:
    if state.terminal:
        raise Conflict(
            "Job {job} has ended, it cannot be {done}. Run it again instead.", job=job.id, done=done, code="job_ended"
        )
    if state is JobState.STOPPING:
        raise Conflict(
            "Job {job} is being stopped, it cannot be {done}. Run the rest again.",
            job=job.id,
            done=done,
            code="job_stopping",
        )


def _begin_pause(session: Session, job: Job, actor: Actor, state: JobState, now: datetime) -> bool:
    why = {"pause_reason": PauseReason.OPERATOR.value, "paused_by": actor.name}
    if state is JobState.PAUSED:
        if job.pause_reason == PauseReason.OPERATOR:
            return False
        session.execute(update(Job).where(Job.id == job.id).values(why))
        return True
    done = transitions.move_job(session, job.id, JobState.PAUSED, why)
    if done:
        transitions.take_back(session, job.id, now)
    return done


def _end_pause(session: Session, job: Job, state: JobState, now: datetime) -> bool:
    if state is not JobState.PAUSED:
        return False
    if job.pause_reason != PauseReason.OPERATOR:
        raise Conflict(
            "Job {job} waits between two waves: continue it, or cancel it.", job=job.id, code="waits_for_continue"
        )
    onward: dict[str, Any] = {"pause_reason": None, "paused_by": None}
    if job.started_at is None:
        onward["started_at"] = now
    done = transitions.move_job(session, job.id, JobState.RUNNING, onward)
    # The wave may be over: then its gate is still to be passed.
    stages.advance(session, job.id, now)
    return done


def _hold_back(session: Session, job: Job, places: Sequence[int], now: datetime) -> bool:
    transitions.take_back(session, job.id, now, indices=places)
    still = update(HostRun).where(HostRun.job_id == job.id, HostRun.i.in_(places), HostRun.held.is_(False))
    still = still.where(HostRun.state == RunState.PENDING.value)
    session.refresh(job, ["ver"])
    return bool(_written(session, still.values(held=True, ver=job.ver)))


def _written(session: Session, statement: Any) -> int:
    """Carries out an UPDATE of host runs and returns how many rows it changed."""
    changed = session.execute(statement.returning(HostRun.id).execution_options(synchronize_session=False))
    return len(changed.all())


def _done(
    session: Session, actor: Actor, action: str, job: Job, detail: Mapping[str, Any], *, now: datetime, changed: bool
) -> Job:
    if changed:
        record(session, actor, action, now=now, object=f"job/{job.id}", detail=dict(detail))
    session.refresh(job)
    return job


def _invalid(field: str, message: str, *, code: str = "invalid") -> Invalid:
    return Invalid(message, code=code, errors=[FieldError(field, message, code=code)])
