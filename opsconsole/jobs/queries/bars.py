"""The chart of when a job's hosts ran: read as a whole, told in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import HostRun, Job, RunAttempt
from opsconsole.jobs.packing import Bar, Rows, finishes, in_rows, within
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.queries.timeline import timeline
from opsconsole.jobs.states import TERMINAL, RunState
from opsconsole.jobs.waves import WaveKind

_MILLISECOND = timedelta(milliseconds=1)
# What of a job's timeline divides its chart; its beginning and its end are the chart's own.
_MARKS = frozenset({"paused", "resumed", "continued", "cancelled", "stopped", "waits", "wave", "held", "lifted"})


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a chart to tell: ``count`` rows from ``first`` on, between two times in ms since the job began.
    Without an ``end`` until now, or until the job ended; the hosts that ended are counted in ``bins``."""

    rows: Rows = Rows.SLOTS
    start: int = 0
    end: int | None = None
    first: int = 0
    count: int = 60
    bins: int = 60


@dataclass(slots=True)
class Chart:
    """All attempts of a job at version ``ver``, in rows as far as somebody asked for them."""

    ver: int
    bars: Sequence[Bar]
    arranged: dict[Rows, list[list[Bar]]] = field(default_factory=dict)

    def rows(self, kind: Rows, until: int) -> list[list[Bar]]:
        """Returns the rows of a kind, at the moment ``until`` of which the chart was read."""
        if kind not in self.arranged:
            self.arranged[kind] = in_rows(self.bars, kind, until)
        return self.arranged[kind]


def chart(session: Session, job: Job) -> Chart:
    """Returns the chart of when the hosts of ``job`` ran. It costs a look at all of them: keep it while it is true."""
    return Chart(job.ver, _bars(session, job))


def bars(session: Session, job: Job, read: Chart, part: Part, *, now: datetime) -> dict[str, Any]:
    """Returns a part of a chart of ``job`` in the shape of the JSON contract."""
    began = _began(job)
    until = max(_ms(job.finished_at or now, began), 1)
    end = until if part.end is None else max(part.end, part.start + 1)
    rows = read.rows(part.rows, until)
    shown = rows[part.first : part.first + part.count]
    return {
        "ver": read.ver,
        "rows": part.rows.value,
        "began_at": iso(began),
        "until": until,
        "ended": job.finished_at is not None,
        "from": part.start,
        "to": end,
        "total": len(rows),
        "first": part.first,
        "bars": [[_told(bar) for bar in within(row, part.start, end)] for row in shown],
        "finishes": finishes(read.bars, part.start, end, part.bins),
        "marks": _marks(session, job, began),
    }


def _told(bar: Bar) -> list[Any]:
    return [bar.i, bar.letter, bar.start, bar.end, bar.attempt]


def _began(job: Job) -> datetime:
    return job.started_at or job.created_at


def _ms(at: datetime, began: datetime) -> int:
    # A worker's clock may be a little behind the console's.
    return max((at - began) // _MILLISECOND, 0)


def _bars(session: Session, job: Job) -> list[Bar]:
    began = _began(job)
    runs = select(
        HostRun.i, HostRun.state, HostRun.claimed_at, HostRun.started_at, HostRun.finished_at, HostRun.attempt
    ).where(HostRun.job_id == job.id)
    found = []
    for i, state, claimed, started, finished, attempt in session.execute(runs):
        start, run_state = claimed or started, RunState(state)
        under_way = run_state in {RunState.CONNECTING, RunState.RUNNING}
        # What waits, or waits again, has no bar; nor has what ended without anybody having begun with it.
        if start is None or not (under_way or run_state in TERMINAL):
            continue
        end = None if under_way or finished is None else _ms(max(finished, start), began)
        found.append(Bar(i, run_state.letter, _ms(start, began), end, attempt))
    earlier = (
        select(HostRun.i, RunAttempt.claimed_at, RunAttempt.finished_at, RunAttempt.attempt)
        .join(RunAttempt, RunAttempt.host_run_id == HostRun.id)
        .where(HostRun.job_id == job.id, RunAttempt.attempt < HostRun.attempt)
    )
    for i, claimed, finished, attempt in session.execute(earlier):
        if claimed is None:
            continue
        end = _ms(max(finished, claimed), began)
        found.append(Bar(i, RunState.UNREACHABLE.letter, _ms(claimed, began), end, attempt, last=False))
    return found


def _marks(session: Session, job: Job, began: datetime) -> list[dict[str, Any]]:
    told = []
    for event in timeline(session, job)["events"]:
        kind = event["kind"]
        if kind not in _MARKS or (detail := event["detail"]).get("hosts"):
            continue
        if kind == "wave" and detail.get("wave") == 1 and job.plan and job.plan[0]["kind"] == WaveKind.CANARY:
            kind = "canary"
        told.append({"at": _ms(datetime.fromisoformat(event["at"]), began), "kind": kind})
    return told
