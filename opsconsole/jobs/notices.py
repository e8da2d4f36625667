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


class Notice(TypedDict):
    """``code`` is for programs; ``level`` is ``warning`` or ``error``; ``text`` is one or two sentences."""

    code: str
    level: str
    text: str


_PLACES_TOLD = 3
_OPEN = [state.value for state in JobState if not state.terminal]
_BROKER = {
    BrokerFault.UNREACHABLE: ("broker_unreachable", "error", "Broker unreachable"),
    BrokerFault.FULL: ("broker_full", "error", "The broker's memory is full"),
    BrokerFault.EVICTS: (
        "broker_evicts",
        "warning",
        "The broker may throw messages away when its memory is full: set its maxmemory-policy to noeviction",
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
        text = f"No worker process is alive{_waiting(session)}."
        found.append(Notice(code="no_workers", level="error", text=text))
    return found + _of_broker(session, faults) + _of_host_keys(session)


def _hold(session: Session) -> list[Notice]:
    console = session.execute(select(Console.held_at, Console.held_by, Console.held_reason)).one_or_none()
    if console is None or console.held_at is None:
        return []
    why = f": {console.held_reason}" if console.held_reason else ""
    text = f"Nothing starts. {console.held_by} stopped the console{why}"
    return [Notice(code="console_held", level="error", text=text)]


def _of_host_keys(session: Session) -> list[Notice]:
    alarmed = select(HostKey.address, HostKey.port).where(HostKey.status == KeyStatus.ALARM).distinct()
    places = session.execute(alarmed.order_by(HostKey.address, HostKey.port).limit(_PLACES_TOLD + 1)).all()
    if not places:
        return []
    more = ""
    if len(places) > _PLACES_TOLD:
        count = session.scalar(select(func.count()).select_from(alarmed.subquery())) or 0
        more = f" and {count - _PLACES_TOLD:,} more"
    named = ", ".join(dialled_name(address, port) for address, port in places[:_PLACES_TOLD])
    text = f"ANOTHER host key than the trusted one at {named}{more}. "
    text += "Nothing connects there until an administrator decides."
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
            whose = f" for {told[fault]} of {len(faults)} workers" if told[fault] < len(faults) else ""
            waiting = "" if fault is BrokerFault.EVICTS else _waiting(session)
            notices.append(Notice(code=code, level=level, text=f"{what}{whose}{waiting}."))
    return notices


def _waiting(session: Session) -> str:
    """Returns how many hosts wait, as the end of a sentence; nothing when none does."""
    count = int(session.scalar(select(func.sum(Job.n_q)).where(Job.state.in_(_OPEN))) or 0)
    return f", {count:,} {'host waits' if count == 1 else 'hosts wait'}" if count else ""
