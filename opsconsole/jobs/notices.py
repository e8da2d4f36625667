"""What everybody should know of the console right now: what keeps hosts waiting, and who has to do something."""

from collections import Counter
from datetime import timedelta
from typing import TypedDict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.db.database import database_time
from opsconsole.inventory.known_hosts import dialled_name
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.jobs.models import Job, WorkerProcess
from opsconsole.jobs.states import BrokerFault, JobState
from opsconsole.jobs.tide import TEXTS, Refusal
from opsconsole.sentences import Sentence


class Notice(TypedDict):
    """``code`` is for programs; ``level`` is ``warning`` or ``error``; ``text`` is one or two sentences."""

    code: str
    level: str
    text: str


_PLACES_TOLD = 3
_OPEN = [state.value for state in JobState if not state.terminal]
_BROKER = {
    BrokerFault.UNREACHABLE: ("broker_unreachable", "error", Sentence("Broker unreachable")),
    BrokerFault.FULL: ("broker_full", "error", Sentence("The broker's memory is full")),
    BrokerFault.EVICTS: (
        "broker_evicts",
        "warning",
        Sentence("The broker may throw messages away when its memory is full: set its maxmemory-policy to noeviction"),
    ),
}


def notices(session: Session, *, dead_seconds: float) -> list[Notice]:
    """Returns what holds now, the worst first; nothing when all is well. They go away by themselves.

    A worker counts as alive while it has reported within ``dead_seconds`` by the database's clock.
    """
    found = _hold(session)
    seen = database_time(session) - timedelta(seconds=dead_seconds)
    columns = select(WorkerProcess.broker_fault, WorkerProcess.refuses)
    alive = session.execute(columns.where(WorkerProcess.gone_at.is_(None), WorkerProcess.beat_at > seen)).all()
    found += _of_restore(Counter(Refusal(refuses) for _, refuses in alive if refuses))
    faults = [fault for fault, _ in alive]
    if not faults:
        text = _waited(Sentence("No worker process is alive"), _waiting(session))
        found.append(Notice(code="no_workers", level="error", text=text))
    return found + _of_broker(session, faults) + _of_host_keys(session)


def _hold(session: Session) -> list[Notice]:
    console = session.execute(select(Console.held_at, Console.held_by, Console.held_reason)).one_or_none()
    if console is None or console.held_at is None:
        return []
    if console.held_reason:
        text = Sentence(
            "Nothing starts. {name} stopped the console: {why}", name=console.held_by, why=console.held_reason
        )
    else:
        text = Sentence("Nothing starts. {name} stopped the console", name=console.held_by)
    return [Notice(code="console_held", level="error", text=text)]


def _of_host_keys(session: Session) -> list[Notice]:
    alarmed = select(HostKey.address, HostKey.port).where(HostKey.status == KeyStatus.ALARM).distinct()
    places = session.execute(alarmed.order_by(HostKey.address, HostKey.port).limit(_PLACES_TOLD + 1)).all()
    if not places:
        return []
    named = ", ".join(dialled_name(address, port) for address, port in places[:_PLACES_TOLD])
    if len(places) > _PLACES_TOLD:
        count = session.scalar(select(func.count()).select_from(alarmed.subquery())) or 0
        text = Sentence(
            "ANOTHER host key than the trusted one at {places} and {count:,} more. Nothing connects there until an "
            "administrator decides.",
            places=named,
            count=count - _PLACES_TOLD,
        )
    else:
        text = Sentence(
            "ANOTHER host key than the trusted one at {places}. Nothing connects there until an administrator decides.",
            places=named,
        )
    return [Notice(code="host_keys_changed", level="error", text=text)]


def _of_restore(told: Counter[Refusal]) -> list[Notice]:
    return [
        Notice(code=f"database_{refusal.value}", level="error", text=TEXTS[refusal])
        for refusal in Refusal
        if told[refusal]
    ]


def _of_broker(session: Session, faults: list[str | None]) -> list[Notice]:
    told = Counter(BrokerFault(fault) for fault in faults if fault)
    notices = []
    for fault, (code, level, what) in _BROKER.items():
        if told[fault]:
            # Where only some workers cannot reach it, the way there is what is broken.
            few = Sentence("{fault} for {some} of {all} workers", fault=what, some=told[fault], all=len(faults))
            waiting = 0 if fault is BrokerFault.EVICTS else _waiting(session)
            text = _waited(few if told[fault] < len(faults) else what, waiting)
            notices.append(Notice(code=code, level=level, text=text))
    return notices


def _waiting(session: Session) -> int:
    """Returns how many hosts wait."""
    return int(session.scalar(select(func.sum(Job.n_q)).where(Job.state.in_(_OPEN))) or 0)


def _waited(message: Sentence, count: int) -> Sentence:
    """Returns what is wrong as a sentence, with how many hosts wait for it."""
    if not count:
        return Sentence("{fault}.", fault=message)
    if count == 1:
        return Sentence("{fault}, 1 host waits.", fault=message)
    return Sentence("{fault}, {count:,} hosts wait.", fault=message, count=count)
