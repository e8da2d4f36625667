"""What the launcher knows of worker processes: whether they have reported in, whether they live, and when they end."""

import contextlib
import json
import logging
import os
import socket
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from opsconsole.clock import Clock
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.jobs import recover
from opsconsole.jobs.models import WorkerProcess
from opsconsole.launcher.folder import write_private
from opsconsole.settings import Settings

# A worker is killed for want of a heartbeat only long after the others have given up on it: until then it may recover.
_PATIENCE = 2
_SETTLED_SECONDS = 1.0
_NO_ANSWER = (Unavailable, SQLAlchemyError)

_log = logging.getLogger(__name__)


class WorkerWatch:
    """Looks at the rows of the worker processes of this machine. A database that does not answer proves nothing."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._host = socket.gethostname()
        self._observer = recover.Observer(settings.worker_dead_seconds * _PATIENCE)
        self._still: set[int] = set()
        self._looked_at = float("-inf")
        self._known: set[int] = set()
        self._ledger = settings.run_dir / "workers.json"

    def ready(self, pid: int) -> bool:
        """Returns whether worker ``pid`` has reported in."""
        try:
            reported = pid in self._beats()
        except _NO_ANSWER:
            return False
        if reported:
            self._keep(self._known | {pid})
        return reported

    def alive(self, pid: int) -> bool:
        """Returns whether the heartbeat of worker ``pid`` advances, as far as can be known."""
        if self._clock.monotonic() - self._looked_at > _SETTLED_SECONDS:
            self._look()
        return pid not in self._still

    def gone(self, pid: int) -> None:
        """Notes that worker ``pid`` has ended, so that its runs are settled now and not after the reaper's patience."""
        try:
            with self._database.transaction() as session:
                recover.mark_gone(session, self._host, pid, self._clock.now())
        except _NO_ANSWER as error:
            # The reaper finds out by itself.
            _log.warning("the end of worker process %s could not be noted: %s", pid, type(error).__name__)
        self._keep(self._known - {pid})

    def settle_former(self) -> None:
        """Notes the end of the workers of a former launcher that was killed before it could."""
        for pid in _read_pids(self._ledger):
            if not _exists(pid):
                self.gone(pid)

    def _keep(self, pids: set[int]) -> None:
        """Keeps the process ids on disk, for the launcher after this one."""
        if pids != self._known:
            self._known = pids
            with contextlib.suppress(OSError):
                write_private(self._ledger, json.dumps(sorted(pids)))

    def _look(self) -> None:
        try:
            beats = self._beats()
        except _NO_ANSWER:
            return
        self._looked_at = self._clock.monotonic()
        pairs = [(str(pid), beat) for pid, beat in beats.items()]
        self._still = {int(name) for name in self._observer.still(pairs, self._looked_at)}

    def _beats(self) -> dict[int, int]:
        columns = select(WorkerProcess.name, WorkerProcess.pid, WorkerProcess.beat)
        with self._database.read() as session:
            rows = session.execute(columns.where(WorkerProcess.gone_at.is_(None))).all()
        return {pid: beat for name, pid, beat in rows if name.split(":", 1)[0] == self._host}


def _read_pids(path: Path) -> list[int]:
    try:
        return [int(pid) for pid in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
