"""What happened to a job, in its order: what people did, from the audit, and what the console decided by itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from opsconsole.audit.models import AuditRecord
from opsconsole.hostset import fold
from opsconsole.jobs.models import HostRun, Job, JobEvent
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.states import JobState, Milestone, PauseReason, Reason, RunState
from opsconsole.jobs.waves import WaveKind

_VERBS = {"job.pause": "paused", "job.resume": "resumed", "job.continue": "continued", "job.cancel": "cancelled"}
_OF_CONSOLE = {"console.hold": "held", "console.lift": "lifted", "console.recover": "recovered"}
_AT_MOST = 1000
_NAMES_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Event:
    at: datetime
    kind: str
    text: str
    detail: Mapping[str, Any]
    by: str | None = None


def timeline(session: Session, job: Job) -> dict[str, Any]:
    """Returns the ``events`` of a job, oldest first, each with its ``kind`` for programs and a ``text`` for people; of
    very many the newest thousand, and how many are ``left_out``."""
    events = [
        *_begin(job),
        *_by_people(session, job),
        *_by_console(session, job),
        *_shutdowns(session, job),
        *_end(job),
    ]
    # Where the clock tells no difference the order of the sources stays: what stopped a job stands before its end.
    events.sort(key=lambda event: event.at)
    shown = events[-_AT_MOST:]
    told = [
        {"at": iso(event.at), "kind": event.kind, "by": event.by, "text": event.text, "detail": dict(event.detail)}
        for event in shown
    ]
    return {"events": told, "left_out": len(events) - len(shown)}


def _begin(job: Job) -> Iterator[_Event]:
    of = f", again after #{job.rerun_of}" if job.rerun_of else ""
    yield _Event(job.created_at, "launched", f"Launched by {job.created_by}{of}.", {}, job.created_by)
    if job.started_at is not None:
        first = f" with {_wave(job.plan, 0)}" if job.plan else ""
        yield _Event(job.started_at, "started", f"Started{first}.", {"wave": 0 if job.plan else None})


def _end(job: Job) -> Iterator[_Event]:
    if job.finished_at is not None and JobState(job.state).terminal:
        yield _Event(job.finished_at, "ended", f"Ended: {job.state}.", {"state": job.state})


def _by_people(session: Session, job: Job) -> Iterator[_Event]:
    end = job.finished_at
    own = (AuditRecord.object == f"job/{job.id}") & AuditRecord.action.in_([*_VERBS, "job.check"])
    meanwhile = AuditRecord.action.in_(_OF_CONSOLE) & (AuditRecord.at >= job.created_at)
    if end is not None:
        meanwhile &= AuditRecord.at <= end
    query = select(AuditRecord).where(or_(own, meanwhile)).order_by(AuditRecord.id.desc()).limit(_AT_MOST)
    for entry in reversed(session.scalars(query).all()):
        if entry.action == "job.check":
            what = "ended there" if entry.detail.get("kill") else "still there"
            text = f"{entry.actor} asked whether the command is {what} on {_count(entry.detail.get('asked', 0))}."
            yield _Event(entry.at, "checked", text, entry.detail, entry.actor)
        elif entry.action in _VERBS:
            verb = _VERBS[entry.action]
            yield _Event(entry.at, verb, _said(job, verb, entry.actor, entry.detail), entry.detail, entry.actor)
        else:
            yield _console_event(entry)


def _console_event(entry: AuditRecord) -> _Event:
    kind = _OF_CONSOLE[entry.action]
    why = entry.text or (entry.detail.get("reason") if kind == "held" else None)
    text = {
        "held": f"The whole console was stopped by {entry.actor}",
        "lifted": f"The stop of the console was lifted by {entry.actor}",
        "recovered": "The console was held after a restore of its database",
    }[kind]
    # Which other jobs were stopped is nothing that every viewer of this one may see.
    detail = {"reason": why} if why else {}
    return _Event(entry.at, kind, f"{text}: {why}" if why else f"{text}.", detail, entry.actor)


def _said(job: Job, verb: str, actor: str, detail: Mapping[str, Any]) -> str:
    hosts, wave = detail.get("hosts") or [], detail.get("wave")
    if detail.get("stop_all"):
        return f"{actor} cancelled everything (emergency stop)."
    if verb == "continued":
        return f"{actor} let the job continue after {_wave(job.plan, wave or 0)}."
    what = ""
    if hosts:
        what = _names(hosts)
    elif wave is not None:
        what = _wave(job.plan, wave)
    elif detail.get("held"):
        what = "all hosts that were held back"
    return f"{actor} {'held back' if what and verb == 'paused' else verb} {what or 'the job'}."


def _by_console(session: Session, job: Job) -> Iterator[_Event]:
    query = select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id.desc()).limit(_AT_MOST)
    for event in reversed(session.scalars(query).all()):
        kind = Milestone(event.kind)
        detail = event.detail
        if kind is Milestone.STOP:
            yield _Event(event.at, "stopped", f"Stopped: {detail['detail']}", detail)
        elif kind is Milestone.STEP:
            of = f" of {_wave(job.plan, detail['wave'])}" if job.plan else ""
            yield _Event(event.at, "step", f"Next is the {detail['step']}{of}.", detail)
        elif kind is Milestone.GATE:
            yield _Event(event.at, "waits", _gate(job, detail), detail)
        else:
            pause = f" after a pause of {round(detail['pause_ms'] / 1000)} s" if detail["pause_ms"] else ""
            yield _Event(event.at, "wave", f"Next is {_wave(job.plan, detail['wave'])}{pause}.", detail)


def _gate(job: Job, detail: Mapping[str, Any]) -> str:
    after = _wave(job.plan, detail["wave"])
    why = ": a host of it failed" if detail["reason"] == PauseReason.WAVE_FAILED else ""
    return f"Waits for a person after {after}{why}."


def _shutdowns(session: Session, job: Job) -> Iterator[_Event]:
    if not job.n_x:
        return
    columns = select(HostRun.worker, func.min(HostRun.finished_at), func.count())
    ended = columns.where(HostRun.job_id == job.id, HostRun.state == RunState.CANCELLED)
    query = ended.where(HostRun.reason == Reason.WORKER_SHUTDOWN).group_by(HostRun.worker)
    for worker, at, count in session.execute(query):
        text = f"The worker {worker} was told to stop and ended the command on {_count(count)}."
        if at is not None:
            yield _Event(at, "shutdown", text, {"worker": worker, "hosts": count})


def _wave(plan: Sequence[Mapping[str, Any]] | None, at: int) -> str:
    """Returns what a wave is called on the page, with its hosts; the canary is not counted among the waves."""
    if not plan or not 0 <= at < len(plan):
        return f"wave {at}"
    size = _count(plan[at]["size"])
    if plan[at]["kind"] == WaveKind.CANARY:
        return f"the canary ({size})"
    return f"wave {at + (0 if plan[0]['kind'] == WaveKind.CANARY else 1)} ({size})"


def _names(hosts: Sequence[str]) -> str:
    folded = fold(hosts)
    return folded if len(folded) <= _NAMES_CHARS else f"{folded[:_NAMES_CHARS]}… ({_count(len(hosts))})"


def _count(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts:,} hosts"
