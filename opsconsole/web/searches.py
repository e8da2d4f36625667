"""Searches in the output of jobs, for pages and API alike: bounded in time, and not done twice for an ended job."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import current_app
from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid, Unavailable
from opsconsole.jobs import searching
from opsconsole.jobs.finding import Wanted
from opsconsole.jobs.models import Job
from opsconsole.jobs.searching import GoOn, Totals

# One answer takes at most this long; a search through more output goes on with the next question.
ANSWER_SECONDS = 5.0
# A filter has to know all hosts before its answer can begin.
FILTER_SECONDS = 20.0
_EXTENSION = "opsconsole-searches"
_KEPT = 16
# So many at once: others shall be served meanwhile.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Found:
    """The hosts of a job with a hit for ``wanted``, or those without one."""

    wanted: Wanted
    without: bool = False


@dataclass(slots=True)
class _Search:
    totals: Totals
    going_on: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Searches:
    """The latest searches of one process."""

    _known: OrderedDict[tuple[object, ...], _Search] = field(default_factory=OrderedDict)
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Waits until few enough others search. Raises ``Unavailable`` when that takes too long."""
        if not self._slots.acquire(timeout=ANSWER_SECONDS):
            raise Unavailable("Others are searching. Try again in a moment.", code="search_busy")
        try:
            yield
        finally:
            self._slots.release()

    def totals(self, session: Session, job: Job, wanted: Wanted, seconds: float = ANSWER_SECONDS) -> Totals:
        """Returns how far the search through a job is after at most ``seconds``. Of an ended job it goes on where it
        stopped; of a running one it begins anew. Raises ``Invalid`` when not even one host could be searched."""
        if job.finished_at is None:
            search = _Search(Totals(job.target_count))
        else:
            search = self._search((job.id, job.ver, wanted), job.target_count)
        with search.going_on, self.slot():
            before = search.totals.place
            if not search.totals.complete:
                searching.search(session, job, wanted, search.totals, within(seconds))
            if search.totals.place == before and not search.totals.complete:
                raise too_slow()
            return search.totals

    def places(self, session: Session, job: Job, found: Found) -> set[int]:
        """Returns the places of the hosts that are meant. Raises ``Unavailable`` when that takes too long."""
        totals = self.totals(session, job, found.wanted, FILTER_SECONDS)
        if not totals.complete:
            raise Unavailable(
                "{done} of {count} hosts were searched in the time. "
                "Ask again to go on, or search for something simpler.",
                done=totals.place,
                count=totals.size,
                code="search_unfinished",
            )
        with_hit = set(totals.found)
        return set(range(totals.size)) - with_hit if found.without else with_hit

    def _search(self, key: tuple[object, ...], size: int) -> _Search:
        with self._looking:
            search = self._known.setdefault(key, _Search(Totals(size)))
            self._known.move_to_end(key)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return search


def found_places(session: Session, job: Job, *, find: str, re: bool, case: bool, found: str) -> set[int] | None:
    """Returns the places of the hosts ``with`` or ``without`` a hit, ``None`` where nothing is looked for. Raises
    ``Invalid`` for what cannot be searched for, ``Unavailable`` when that takes too long."""
    if not find:
        return None
    return searches().places(session, job, Found(Wanted(find, regex=re, case=case), without=found == "without"))


def within(seconds: float) -> GoOn:
    """Returns what says yes for so many seconds from now."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def too_slow() -> Invalid:
    """Returns the error for an expression that takes too long on the output of a single host."""
    message = "The search takes too long on the output of one host. Search for something simpler."
    return Invalid(message, code="search_too_slow", errors=[FieldError("q", message, code="search_too_slow")])


def searches() -> Searches:
    """Returns the searches of the current application."""
    found = current_app.extensions.setdefault(_EXTENSION, Searches())
    assert isinstance(found, Searches)  # noqa: S101  nobody else writes there; this is for the type checker
    return found
