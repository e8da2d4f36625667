"""The only writer of ``state``: every change is a compare-and-set under the job row's lock.

The lock is taken by raising the job's ``ver``, so the order of commits is the order of versions and "what changed
since V" needs no event log. Counters live on the job row and move in the same transaction; when the last active run
ends, the verdict is written there too, which is safe because the lock serialises the last two finishers.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Table, bindparam, delete, select, update
from sqlalchemy.orm import Session

from opsconsole.credentials.models import JobSecret
from opsconsole.jobs.admission import BACK_TO_PENDING, Admission, between_steps
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import (
    JobState,
    Reason,
    RunState,
    StopReason,
    job_move_allowed,
    run_move_allowed,
    verdict,
)

_RUNS = cast(Table, HostRun.__table__)
_JOBS = cast(Table, Job.__table__)
# SQLite allows 32,766 parameters a statement; a thousand ids at a time stays far below on every database.
_IDS_AT_ONCE = 1000
_WAITING = frozenset({RunState.PENDING, RunState.QUEUED, RunState.CONNECTING})
_NOT_STARTED = frozenset({RunState.SKIPPED, RunState.CANCELLED})
# Whether a run has steps behind it, of which each is a start of its own.
_BEGUN = HostRun.so_far.is_not(None).label("begun")


@dataclass(frozen=True, slots=True)
class Change:
    """An order to move one run to ``target``. ``fence`` and ``attempt`` must match when given; ``values`` are further
    columns. ``claim`` raises the fence. ``unless_cancelled`` loses when a cancel was asked for.

    A worker's claim loses while the console is held. The start gate, which is a change to running, stays shut when
    ``Admission`` says so, counting what the other changes of the same transaction made of the job: the run then goes
    where a stopped job's runs go. So does one that was to be queued for a further attempt, and one that passed a step
    and was to wait for the next. A run that some steps of have run is never skipped: it is cancelled between two steps.
    """

    run_id: int
    job_id: int
    target: RunState
    fence: int | None = None
    attempt: int | None = None
    claim: bool = False
    unless_cancelled: bool = False
    from_states: frozenset[RunState] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a ``Change``: ``won`` or not, the run's state before and after, and its fence now.

    A start gate that stayed shut has won, too, and led somewhere else than to running.
    """

    won: bool
    before: RunState | None
    fence: int
    cancel_requested: bool = False
    after: RunState | None = None


class Counters:
    """The movement of one job's counters within a transaction."""

    def __init__(self) -> None:
        self._moves: dict[str, int] = defaultdict(int)

    def move(self, before: RunState, after: RunState, times: int = 1) -> None:
        """Takes ``times`` runs from one state's counter to another's."""
        self._moves[f"n_{before.letter}"] -= times
        self._moves[f"n_{after.letter}"] += times
        if before is RunState.QUEUED:
            self._moves["n_queued"] -= times
        if after is RunState.QUEUED:
            self._moves["n_queued"] += times

    @property
    def moved(self) -> Mapping[str, int]:
        """By how much each counter changes, by the name of its column."""
        return self._moves

    def assignments(self) -> dict[str, Any]:
        """Returns ``column -> expression`` for an UPDATE of the job row."""
        return {name: _JOBS.c[name] + by for name, by in self._moves.items() if by}


def lock_job(session: Session, job_id: int) -> int:
    """Takes the job's lock until the transaction ends and returns its new version."""
    statement = update(Job).where(Job.id == job_id).values(ver=Job.ver + 1).returning(Job.ver)
    return session.execute(statement).scalar_one()


def apply(session: Session, changes: Sequence[Change], now: datetime, *, touching: Collection[int] = ()) -> list[Moved]:
    """Carries out ``changes`` and returns what became of each. Takes each job's lock once, those of ``touching`` too.

    They are carried out in their order, but start gates and further attempts after all else: what ended in the same
    transaction counts.
    """
    versions = {
        job_id: lock_job(session, job_id) for job_id in sorted({change.job_id for change in changes}.union(touching))
    }
    rows = _read_runs(session, [change.run_id for change in changes])
    starting = {change.job_id for change in changes if _starts(change) or change.target is RunState.PENDING}
    admission = Admission(session, starting) if starting else None
    counters: dict[int, Counters] = {job_id: Counters() for job_id in versions}
    updates: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    outcomes: dict[int, Moved] = {}
    for place in sorted(range(len(changes)), key=lambda place: _asks_last(changes[place])):
        change = changes[place]
        row = rows.get(change.run_id)
        if row is None or not _allowed(change, row):
            outcomes[place] = _lost(row)
            continue
        if admission is not None and row.state is RunState.RUNNING and change.target is RunState.PENDING:
            change = _onward(change, row, admission, counters[change.job_id], now)
        if admission is not None and _starts(change):
            admitted = _admitted(change, admission, counters[change.job_id], now)
            if admitted is None:
                outcomes[place] = _lost(row)
                continue
            change = admitted
        if row.begun and row.state in _WAITING and change.target in _NOT_STARTED:
            change = replace(change, target=RunState.CANCELLED, values=between_steps(change.values))
        before, fence = row.state, row.fence + 1 if change.claim else row.fence
        values = dict(change.values, state=change.target.value, ver=versions[change.job_id])
        values["fence"] = fence
        updates[tuple(sorted(values))].append({**values, "b_id": row.id, "b_state": before.value, "b_fence": row.fence})
        counters[change.job_id].move(before, change.target)
        row.state, row.fence = change.target, fence
        outcomes[place] = Moved(True, before, fence, row.cancelled, change.target)
    for parameters in updates.values():
        _update_runs(session, parameters)
    for job_id, moved in counters.items():
        settle(session, job_id, moved, now)
    return [outcomes[place] for place in range(len(changes))]


def _starts(change: Change) -> bool:
    return change.target in {RunState.RUNNING, RunState.CONNECTING, RunState.QUEUED}


def _asks_last(change: Change) -> bool:
    return change.target is RunState.PENDING or (_starts(change) and change.target is not RunState.CONNECTING)


def _onward(change: Change, row: "_Row", admission: Admission, counters: Counters, now: datetime) -> Change:
    """Returns what becomes of a run that passed a step and is to wait for its next one: it may be wanted no more."""
    refusal = admission.refusal(change.job_id, counters.moved)
    why: Mapping[str, Any] | None = refusal[1] if refusal is not None and refusal[0].terminal else None
    if row.cancelled:
        why = {"reason": Reason.BEFORE_START.value}
    if why is None:
        return change
    ended = {**change.values, **between_steps(why), "finished_at": now}
    return replace(change, target=RunState.CANCELLED, claim=False, values=ended)


def _admitted(change: Change, admission: Admission, counters: Counters, now: datetime) -> Change | None:
    """Returns the change that may be made instead of a claim, a start gate or a further attempt, ``None`` for none."""
    if change.target is RunState.CONNECTING:
        return None if admission.held else change
    refusal = admission.refusal(change.job_id, counters.moved)
    again = change.target is RunState.QUEUED
    if refusal is None and again and admission.paused(change.job_id):
        refusal = RunState.PENDING, dict(BACK_TO_PENDING)
    if refusal is None:
        return change
    target, values = refusal
    if target.terminal:
        values["finished_at"] = now
    if again:
        return replace(change, target=target, values={**change.values, "next_publish_at": None, **values})
    # Back to waiting, its fence rises so that whoever held it can write nothing more about it.
    return replace(change, target=target, values=values, claim=not target.terminal)


def move_many(
    session: Session,
    job_id: int,
    source: RunState,
    target: RunState,
    values: Mapping[str, Any],
    now: datetime,
    *,
    indices: Sequence[int] | None = None,
    limit: int | None = None,
    only: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """Moves many runs of one job from ``source`` to ``target`` in the order of starting.

    ``indices`` restricts to places in the roster, ``only`` to run ids, ``limit`` to the first so many. Returns the
    ``(id, attempt)`` of those moved.
    """
    if not run_move_allowed(source, target):
        raise ValueError(f"no such change: {source} to {target}")
    version = lock_job(session, job_id)
    query = select(HostRun.id, HostRun.attempt, _BEGUN).where(HostRun.job_id == job_id, HostRun.state == source.value)
    if indices is not None:
        query = query.where(HostRun.i.in_(indices))
    if only is not None:
        query = query.where(HostRun.id.in_(only))
    found = session.execute(query.order_by(HostRun.rank).limit(limit)).all()
    begun = [row.id for row in found if row.begun] if target in _NOT_STARTED else []
    if begun:
        _move(session, begun, source, dict(between_steps(values), state=RunState.CANCELLED.value, ver=version))
    others = [row.id for row in found if not (begun and row.begun)]
    _move(session, others, source, dict(values, state=target.value, ver=version))
    counters = Counters()
    counters.move(source, RunState.CANCELLED, len(begun))
    counters.move(source, target, len(others))
    settle(session, job_id, counters, now)
    return [(row.id, row.attempt) for row in found]


def _move(session: Session, run_ids: Sequence[int], source: RunState, values: Mapping[str, Any]) -> None:
    for start in range(0, len(run_ids), _IDS_AT_ONCE):
        ids = run_ids[start : start + _IDS_AT_ONCE]
        moved = update(_RUNS).where(_RUNS.c.id.in_(ids), _RUNS.c.state == source.value).values(**values)
        _execute_exactly(session, moved, None, len(ids))


def take_back(session: Session, job_id: int, now: datetime, *, indices: Sequence[int] | None = None) -> int:
    """Makes queued runs that no worker has claimed wait again, and returns how many. Their messages start nothing
    until they are queued again."""
    return len(move_many(session, job_id, RunState.QUEUED, RunState.PENDING, BACK_TO_PENDING, now, indices=indices))


def settle(session: Session, job_id: int, counters: Counters, now: datetime) -> None:
    """Writes the counters' movement and, when no run is active any more, the job's verdict. Needs the job's lock."""
    moves = counters.assignments()
    if moves:
        session.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(**moves))
    job = session.execute(
        select(Job.state, Job.stop_reason, Job.n_o, Job.n_x, Job.target_count, Job.n_q + Job.n_c + Job.n_r).where(
            Job.id == job_id
        )
    ).one()
    state, stop_reason, ok, cancelled, total, active = job
    final = verdict(ok, cancelled, total, StopReason(stop_reason) if stop_reason else None)
    if active or final == state:
        return
    values: dict[str, Any] = {"state": final.value}
    # A late result may still better the verdict of a job that had ended; its end stays when it was.
    if not JobState(state).terminal:
        values.update(finished_at=now, hold_ms=None, pause_reason=None, paused_by=None)
        session.execute(delete(JobSecret).where(JobSecret.job_id == job_id))
    session.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(**values))


def move_job(session: Session, job_id: int, target: JobState, values: Mapping[str, Any]) -> bool:
    """Moves a job to ``target`` with further column ``values`` and returns whether its state allowed it."""
    lock_job(session, job_id)
    state = JobState(session.execute(select(Job.state).where(Job.id == job_id)).scalar_one())
    if not job_move_allowed(state, target):
        return False
    session.execute(update(_JOBS).where(_JOBS.c.id == job_id).values(state=target.value, **values))
    return True


@dataclass(slots=True)
class _Row:
    id: int
    state: RunState
    fence: int
    attempt: int
    cancelled: bool
    begun: bool


def _lost(row: _Row | None) -> Moved:
    return Moved(False, row.state, row.fence, row.cancelled) if row else Moved(False, None, 0)


_READ = (HostRun.id, HostRun.state, HostRun.fence, HostRun.attempt, HostRun.cancel_requested_at, _BEGUN)


def _read_runs(session: Session, ids: Sequence[int]) -> dict[int, _Row]:
    rows: dict[int, _Row] = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        query = select(*_READ).where(HostRun.id.in_(ids[start : start + _IDS_AT_ONCE]))
        for run_id, state, fence, attempt, cancelled, begun in session.execute(query):
            rows[run_id] = _Row(run_id, RunState(state), fence, attempt, cancelled is not None, begun)
    return rows


def _allowed(change: Change, row: _Row) -> bool:
    if change.from_states is not None and row.state not in change.from_states:
        return False
    return (
        run_move_allowed(row.state, change.target)
        and (change.fence is None or change.fence == row.fence)
        and (change.attempt is None or change.attempt == row.attempt)
        and not (change.unless_cancelled and row.cancelled)
    )


def _update_runs(session: Session, parameters: list[dict[str, Any]]) -> None:
    # The columns to set are those of the parameters, which are the same in all of them.
    statement = (
        update(_RUNS)
        .where(_RUNS.c.id == bindparam("b_id"), _RUNS.c.state == bindparam("b_state"))
        .where(_RUNS.c.fence == bindparam("b_fence"))
    )
    _execute_exactly(session, statement, parameters, len(parameters))


def _execute_exactly(session: Session, statement: Any, parameters: list[dict[str, Any]] | None, rows: int) -> None:
    result = cast("CursorResult[Any]", session.connection().execute(statement, parameters))
    # The rows were read under the job's lock. Any other count means somebody wrote ``state`` without it; rolling
    # back keeps the counters true.
    if result.rowcount != rows:
        raise RuntimeError(f"compare-and-set touched {result.rowcount} of {rows} rows under the job's lock")
