"""The charts of when hosts ran that pages show: read once for all viewers of a job, as is its stream."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise

from flask import current_app
from sqlalchemy.orm import Session

from opsconsole.jobs import queries
from opsconsole.jobs.models import Job
from opsconsole.web.unit_of_work import now
from opsconsole.web.view_models import TROUBLE

_EXTENSION = "opsconsole-charts"
_FRESH_SECONDS = 1.0
_KEPT = 16
_TABLE_ROWS = 12


@dataclass(slots=True)
class _Kept:
    chart: queries.Chart
    stale_at: float


@dataclass(slots=True)
class Charts:
    """The latest charts of one process. A running job's may be a second old; ``ver`` in it says of which moment."""

    _kept: OrderedDict[int, _Kept] = field(default_factory=OrderedDict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def get(self, session: Session, job: Job) -> queries.Chart:
        """Returns the chart of ``job``."""
        with self._making:
            known = self._kept.pop(job.id, None)
            if known is None or not self._true(known, job):
                began = time.monotonic()
                chart = queries.chart(session, job)
                ended = time.monotonic()
                # Never more than a tenth of the time, however large the job.
                known = _Kept(chart, ended + max(_FRESH_SECONDS, 10 * (ended - began)))
            self._kept[job.id] = known
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return known.chart

    def _true(self, known: _Kept, job: Job) -> bool:
        return known.chart.ver == job.ver or (job.finished_at is None and time.monotonic() < known.stale_at)


def chart_table(session: Session, job: Job) -> list[dict[str, int]]:
    """Returns how many hosts ended in each of some equal stretches of time, for a page without script: ``start`` and
    ``end`` in ms since the job began, and how many hosts ``ended`` and were in ``trouble``."""
    part = queries.Part(count=0, bins=_TABLE_ROWS)
    told = queries.bars(session, job, charts().get(session, job), part, now=now())
    edges = [told["to"] * at // _TABLE_ROWS for at in range(_TABLE_ROWS + 1)]
    return [
        {
            "start": start,
            "end": end,
            "ended": sum(counts.values()),
            "trouble": sum(count for letter, count in counts.items() if letter in TROUBLE),
        }
        for (start, end), counts in zip(pairwise(edges), told["finishes"], strict=True)
    ]


def charts() -> Charts:
    """Returns the charts of the current application."""
    found = current_app.extensions.setdefault(_EXTENSION, Charts())
    assert isinstance(found, Charts)  # noqa: S101  nobody else writes there; this is for the type checker
    return found
