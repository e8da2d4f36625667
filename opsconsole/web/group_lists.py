"""The lists of output groups that pages show: made once for all viewers of a job, as is its stream."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from sqlalchemy.orm import Session

from opsconsole.jobs import grouping
from opsconsole.jobs.models import Job
from opsconsole.jobs.similarity import Mode

_EXTENSION = "opsconsole-group-lists"
_FRESH_SECONDS = 1.0
_KEPT = 256


@dataclass(slots=True)
class _List:
    body: dict[str, Any]
    made_at: float
    fresh_seconds: float


@dataclass(slots=True)
class GroupLists:
    """The latest lists of one process. A running job's list may be a second old; ``ver`` in it says of which moment."""

    _lists: dict[tuple[object, ...], _List] = field(default_factory=dict)
    _shorts: grouping.Shorts = field(default_factory=dict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def get(
        self, session: Session, job: Job, mode: Mode, states: str, limit: int, places: Collection[int] | None = None
    ) -> dict[str, Any]:
        """Returns the groups as ``grouping.groups`` does."""
        key = (job.id, mode, states, limit, None if places is None else frozenset(places))
        with self._making:
            known = self._lists.get(key)
            if known is not None and (known.body["ver"] == job.ver or self._fresh(known, job)):
                return known.body
            started = time.monotonic()
            body = grouping.groups(session, job, mode, states=states, limit=limit, shorts=self._shorts, places=places)
            ended = time.monotonic()
            if len(self._lists) >= _KEPT:
                self._lists.clear()
            # Never more than a tenth of the time, however large the job.
            self._lists[key] = _List(body, ended, max(_FRESH_SECONDS, 10 * (ended - started)))
            return body

    def _fresh(self, known: _List, job: Job) -> bool:
        return job.finished_at is None and time.monotonic() - known.made_at < known.fresh_seconds


def group_lists() -> GroupLists:
    """Returns the lists of the current application."""
    found = current_app.extensions.setdefault(_EXTENSION, GroupLists())
    assert isinstance(found, GroupLists)  # noqa: S101  nobody else writes there; this is for the type checker
    return found
