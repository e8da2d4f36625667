"""Which pending runs of one job may be queued now: by rank, within its wave, and within what limits leave room for."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.jobs.limits import Caps, Room
from opsconsole.jobs.models import HostRun
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import IN_FLIGHT, RunState
from opsconsole.jobs.steps import Step, until
from opsconsole.jobs.waves import parse_limit_per

_IN_FLIGHT = [state.value for state in IN_FLIGHT]
# A page holds some more than is needed, for those that do not fit.
_PAGE_SPARE = 50


class Place(NamedTuple):
    """What choosing asks of a job: its id, whether it goes in waves, in which one it is, and at which step of its order
    if hosts wait for each other there."""

    job_id: int
    staged: bool
    wave: int
    step: str | None = None


def choose(session: Session, place: Place, options: RunOptions, caps: Caps, *, room: int, now: datetime) -> list[int]:
    """Returns the ids of at most ``room`` runs in the order of starting. Exact while the job's lock is held and, with
    ``caps``, while nobody else queues."""
    query = _pending(place, now)
    if options.limit_per is None and not caps.of_hosts:
        return list(session.scalars(query.with_only_columns(HostRun.id).limit(room)))
    limits = parse_limit_per(options.limit_per) if options.limit_per else {}
    left = Room(
        limits,
        caps,
        own=_in_flight(session, place.job_id) if limits else (),
        everyones=_in_flight(session) if caps.of_hosts else (),
    )
    return _fitting(session, query, left, room)


def _pending(place: Place, now: datetime) -> Select[int, int, list[str] | None]:
    query = (
        select(HostRun.id, HostRun.rank, HostRun.limit_keys)
        .where(HostRun.job_id == place.job_id, HostRun.state == RunState.PENDING.value, HostRun.held.is_(False))
        .where(or_(HostRun.next_publish_at.is_(None), HostRun.next_publish_at <= now))
        .order_by(HostRun.rank)
    )
    if place.step is not None:
        query = query.where(HostRun.step.in_(until(Step(place.step))))
    return query.where(HostRun.wave <= place.wave) if place.staged else query


def _in_flight(session: Session, job_id: int | None = None) -> list[list[str]]:
    query = select(HostRun.limit_keys).where(HostRun.state.in_(_IN_FLIGHT), HostRun.limit_keys.is_not(None))
    if job_id is not None:
        query = query.where(HostRun.job_id == job_id)
    return [keys for keys in session.scalars(query) if keys]


def _fitting(session: Session, query: Select[int, int, list[str] | None], left: Room, room: int) -> list[int]:
    chosen: list[int] = []
    for run in _pages(session, query, left, room):
        if left.take(run.limit_keys or ()):
            chosen.append(run.id)
            if len(chosen) == room:
                break
    return chosen


def _pages(
    session: Session, query: Select[int, int, list[str] | None], left: Room, room: int
) -> Iterator[Row[int, int, list[str] | None]]:
    """Yields pending runs by rank. What is known to be full is passed over by the database, page by page."""
    rank, size = -1, room + _PAGE_SPARE
    while True:
        page = query.where(HostRun.rank > rank, *(_lacks(session, key) for key in sorted(left.full())))
        rows = session.execute(page.limit(size)).all()
        yield from rows
        if len(rows) < size:
            return
        rank = rows[-1].rank


def _lacks(session: Session, key: str) -> ColumnElement[bool]:
    # Not LIKE, which has wildcards and, on SQLite, does not tell upper from lower case.
    find = func.instr if session.get_bind().dialect.name == "sqlite" else func.strpos
    text = func.coalesce(cast(HostRun.limit_keys, Text), "")
    return find(text, json.dumps(key)) == 0
