"""The live stream of every page: what everybody should know of the console, and for the jobs list the state and counts
of the latest jobs, at most once a second."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from opsconsole.accounts.permissions import Actor
from opsconsole.jobs.queries import iso
from opsconsole.web.fleet_reader import READ_SECONDS
from opsconsole.web.hub import encode
from opsconsole.web.sse import API_VERSION, RETRY, Stream


@dataclass(slots=True, eq=False, kw_only=True)
class FleetStream(Stream):
    """What ``viewer`` may see. It has no end of its own."""

    viewer: Actor
    # Whether the viewer wants to hear of jobs, or of the console's notices alone.
    jobs: bool = True
    _told: dict[int, int] = field(default_factory=dict)
    _notices: bytes = b""

    def hello(self) -> bytes:
        """Returns the greeting."""
        body = {"api": API_VERSION, "hz": 1 / READ_SECONDS, "server_time": iso(self.streams.parts.clock.now())}
        return RETRY + encode("hello", body)

    def news(self) -> Iterator[bytes]:
        """Yields the notices when they changed, then each job that did, oldest first."""
        notices = self.streams.fleet.notices()
        if notices != self._notices:
            self._notices = notices
            yield notices
        if not self.jobs:
            return
        for job in reversed(self.streams.fleet.latest(self.viewer)):
            if self._told.get(job.job_id) != job.ver:
                self._told[job.job_id] = job.ver
                yield job.event

    def farewell(self) -> bytes | None:
        """Returns nothing: there is always a next job."""
        return None

    def sleep(self, doubts: int) -> None:
        """Waits a second, or less when the process stops."""
        if self.streams.doubts == doubts:
            self.streams.stopping.wait(READ_SECONDS)

    def close(self) -> None:
        """Holds nothing."""
