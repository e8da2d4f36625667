"""Columns from output, for pages, exports and API alike: bounded in time, and what ended hosts wrote is read once."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from sqlalchemy.orm import Session

from opsconsole.errors import Unavailable
from opsconsole.jobs import columning, queries
from opsconsole.jobs.columns import Asked, Values
from opsconsole.jobs.models import Job
from opsconsole.web.exports import ROW_COLUMNS
from opsconsole.web.searches import FILTER_SECONDS, searches, within

_EXTENSION = "opsconsole-columns"
_KEPT = 8


@dataclass(slots=True)
class _Reading:
    read: columning.Read = field(default_factory=columning.Read)
    going_on: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class _Readings:
    """The latest of one process."""

    known: OrderedDict[tuple[object, ...], _Reading] = field(default_factory=OrderedDict)
    looking: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: tuple[object, ...]) -> _Reading:
        with self.looking:
            reading = self.known.setdefault(key, _Reading())
            self.known.move_to_end(key)
            if len(self.known) > _KEPT:
                self.known.popitem(last=False)
            return reading


def asked_columns(texts: Iterable[str]) -> Asked:
    """Returns the columns that are asked for; none has the name of one that there is anyway. Raises ``Invalid``."""
    return Asked.parse(texts, taken=ROW_COLUMNS)


def column_values(session: Session, job: Job, asked: Asked) -> dict[int, Values]:
    """Returns the values of each host by its place in the roster. Raises ``Unavailable`` when that takes too long;
    asked again it goes on."""
    readings = current_app.extensions.setdefault(_EXTENSION, _Readings())
    reading = readings.of((job.id, asked))
    with reading.going_on, searches().slot():
        try:
            return columning.values(session, job, asked, reading.read, within(FILTER_SECONDS))
        except TimeoutError:
            raise Unavailable(
                "{done} of {count} hosts were read in the time. Ask again to go on.",
                done=len(reading.read.rows),
                count=job.target_count,
                code="columns_unfinished",
            ) from None


def ordered_places(
    session: Session,
    job: Job,
    asked: Asked,
    values: dict[int, Values],
    *,
    states: str,
    sort: str,
    q: str,
    places: Collection[int] | None = None,
) -> list[int]:
    """Returns the places of all hosts that ``hosts_page`` gives in pages, in its order. Raises ``Invalid``."""
    own = sort.removeprefix("-") not in asked.names
    meant = queries.places_of(session, job, states=states, q=q, places=places, sort=sort if own else "i")
    return columning.by_column(asked, values, sort, meant) or meant


def hosts_page(
    session: Session,
    job: Job,
    asked: Asked,
    *,
    states: str,
    sort: str,
    q: str,
    limit: int,
    cursor: str | None,
    places: Collection[int] | None = None,
) -> dict[str, Any]:
    """Returns a page of rows as ``queries.hosts`` does, with the columns that are asked for where there are any."""
    if not asked:
        return queries.hosts(session, job, states=states, sort=sort, q=q, limit=limit, cursor=cursor, places=places)
    meant = queries.places_of(session, job, states=states, q=q, places=places)
    values = column_values(session, job, asked)
    return columning.page(session, job, asked, values, sort=sort, places=meant, limit=limit, cursor=cursor)
