"""Notices that the database is not the one of a moment ago: restored from an older copy, or begun anew.

Two numbers of the database only grow: the beat of the leader's lease and the count of audit records. This machine
remembers how high it has seen them. A database below that mark has forgotten what ran since, and whoever starts a run
from it may start it a second time; so nothing is claimed, started or sent until a person has looked
(``opsconsole recover --hold``).
"""

import json
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.db.console import Console
from opsconsole.errors import Unavailable
from opsconsole.jobs.models import LeaderLease
from opsconsole.sentences import Sentence

LEADER = "housekeeping"
_log = structlog.get_logger(__name__)
# Former generations of the database that this folder remembers; each is one ``recover``.
_GENERATIONS_KEPT = 20


class Refusal(StrEnum):
    """Why this process carries out nothing more."""

    RESTORED = "restored"
    GENERATION = "generation"


TEXTS = {
    Refusal.RESTORED: Sentence(
        "The database has gone back in time: it was restored from an older copy, or has lost its last changes. "
        "Nothing is started from it. Run: opsconsole recover --hold; then start the console again."
    ),
    Refusal.GENERATION: Sentence(
        "The database was put on hold after a restore while this worker ran. It starts nothing more; start it again."
    ),
}


class Mark(NamedTuple):
    """How far the database has come."""

    beat: int
    audit: int


class Tide:
    """What one process knows of the database's age. ``path`` is where this machine remembers it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = Mark(0, 0)
        self.generation = ""
        self.refusal: Refusal | None = None

    def look(self, session: Session) -> None:
        """Compares the database with what is known of it. Call it as the first thing of a transaction.

        The first look settles which generation of the database this process works for.
        """
        # What was known before the question was asked: meanwhile another thread or process may come to know more.
        memory, known = None if self.generation else _read(self._path), self._mark
        query = select(Console.generation, Console.audit_count, LeaderLease.beat)
        query = query.join(LeaderLease, LeaderLease.name == LEADER, isouter=True).where(Console.id == 1)
        generation, audit, beat = session.execute(query).one()
        now = Mark(beat or 0, audit)
        if memory is not None:
            known = self._begin(generation, memory)
        elif generation != self.generation:
            self._refuse(Refusal.GENERATION)
        if now.beat < known.beat or now.audit < known.audit:
            self._refuse(Refusal.RESTORED)
        elif self.refusal is None:
            self._mark = _higher(now, self._mark)

    def check(self) -> None:
        """Raises ``Unavailable`` when this process must not write to the database as it is now."""
        if self.refusal is not None:
            raise Unavailable(TEXTS[self.refusal], code=self.refusal.value)

    def remember(self) -> None:
        """Writes down how far the database has come, for the next process on this machine."""
        if self.refusal is not None or not self.generation:
            return
        known = _read(self._path)
        # Several processes write here; each brings what it knows.
        mark = _higher(self._mark, known.marks.pop(self.generation, Mark(0, 0)))
        known.marks[self.generation] = mark
        _write(self._path, _Memory(self.generation, dict(list(known.marks.items())[-_GENERATIONS_KEPT:])))

    def _begin(self, generation: str, memory: "_Memory") -> Mark:
        self.generation = generation
        if memory.current != generation and generation in memory.marks:
            # It was followed by another generation, which this database knows nothing of.
            self._refuse(Refusal.RESTORED)
        return memory.marks.get(generation, Mark(0, 0))

    def _refuse(self, why: Refusal) -> None:
        self.refusal = self.refusal or why


class _Memory(NamedTuple):
    current: str
    marks: dict[str, Mark]


def _higher(one: Mark, other: Mark) -> Mark:
    return Mark(max(one.beat, other.beat), max(one.audit, other.audit))


def _read(path: Path) -> _Memory:
    try:
        found = json.loads(path.read_text())
        marks = {str(name): Mark(int(beat), int(audit)) for name, (beat, audit) in found["marks"].items()}
        return _Memory(str(found["current"]), marks)
    except FileNotFoundError:
        return _Memory("", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        _log.warning("what this machine knew of the database's age cannot be read; it begins anew", file=str(path))
        return _Memory("", {})


def _write(path: Path, memory: _Memory) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w") as handle:
            json.dump({"current": memory.current, "marks": memory.marks}, handle)
        Path(draft).replace(path)
    except OSError as error:
        _log.warning("how far the database has come cannot be written down", file=str(path), reason=error.strerror)
