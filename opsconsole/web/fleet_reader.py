"""The latest jobs and the console's notices as the fleet-wide stream tells them: read once a second for all."""

import threading
import time
from dataclasses import dataclass

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.jobs import queries
from opsconsole.jobs.notices import notices
from opsconsole.runtime import Runtime
from opsconsole.web.hub import encode

READ_SECONDS = 1.0
_LATEST = 50


@dataclass(frozen=True, slots=True)
class JobNews:
    """A job's ``ver`` and the event that tells its state and counts."""

    job_id: int
    ver: int
    event: bytes


class FleetReader:
    """Reads the latest jobs; those who may see all of them share one reading."""

    def __init__(self, parts: Runtime) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._read: dict[int | None, tuple[float, list[JobNews]]] = {}
        self._notices: tuple[float, bytes] = (-READ_SECONDS, b"")

    def latest(self, viewer: Actor) -> list[JobNews]:
        """Returns the latest jobs that ``viewer`` may see, at most a second old."""
        scope = None if viewer.may(Permission.VIEW_ALL_JOBS) else viewer.user_id
        with self._lock:
            known = self._read.get(scope)
            if known is None or time.monotonic() - known[0] >= READ_SECONDS:
                fresh = time.monotonic() - READ_SECONDS
                self._read = {key: entry for key, entry in self._read.items() if entry[0] >= fresh}
                known = self._read[scope] = (time.monotonic(), self._load(viewer))
            return known[1]

    def notices(self) -> bytes:
        """Returns the event that tells what everybody should know of the console, at most a second old."""
        with self._lock:
            if time.monotonic() - self._notices[0] >= READ_SECONDS:
                seconds = self._parts.settings.worker_dead_seconds
                with self._parts.database.read() as session:
                    body = {"notices": notices(session, dead_seconds=seconds)}
                self._notices = (time.monotonic(), encode("notices", body))
            return self._notices[1]

    def _load(self, viewer: Actor) -> list[JobNews]:
        with self._parts.database.read() as session:
            jobs = queries.list_jobs(session, viewer, limit=_LATEST)
        shown = ("id", "ver", "state", "stop_reason", "counts", "finished_at")
        return [JobNews(job["id"], job["ver"], encode("job", {name: job[name] for name in shown})) for job in jobs]
