"""The live stream of one job: where a viewer stands, and what it still has to hear."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs import queries
from opsconsole.sentences import Sentence
from opsconsole.web.hub import OUTPUT_SECONDS, JobHub, encode, tick_seconds
from opsconsole.web.sse import API_VERSION, RETRY, Stream

MAX_FOLLOWED = 4
_OUT = re.compile(r"(\d{1,7})@(\d{1,15})", re.ASCII)
_EVENT_ID = re.compile(r"([0-9a-f]{1,8})\.(\d{1,18})((?:;\d{1,7}@\d{1,15}){0,4})", re.ASCII)


@dataclass(slots=True)
class Position:
    """How far a viewer is: its version (``None``: nothing yet) and the byte offsets of the hosts it follows."""

    ver: int | None = None
    offsets: dict[int, int] = field(default_factory=dict)

    def event_id(self, epoch: str) -> bytes:
        """Returns the ``id:`` line that lets a reconnecting browser go on from here."""
        followed = "".join(f";{i}@{offset}" for i, offset in self.offsets.items())
        return f"id: {epoch}.{self.ver}{followed}\n".encode()


def read_position(out: str, last_event_id: str, epoch: str) -> Position:
    """Returns where a viewer stands. An id of another epoch counts as none. Raises ``Invalid`` for a broken ``out``."""
    offsets: dict[int, int] = {}
    for part in out.split(",") if out else []:
        found = _OUT.fullmatch(part.strip())
        if found is None:
            raise _bad_out("Write <index>@<byte offset>, for example out=371@8192.")
        offsets[int(found[1])] = int(found[2])
    if len(offsets) > MAX_FOLLOWED:
        raise _bad_out(Sentence("At most {limit} hosts can be followed.", limit=MAX_FOLLOWED))
    position = Position(offsets=offsets)
    known = _EVENT_ID.fullmatch(last_event_id.strip())
    if known is not None and known[1] == epoch:
        position.ver = int(known[2])
        for i, offset in _OUT.findall(known[3]):
            # The address names the hosts to follow; the id only says how far each has been read.
            if int(i) in offsets:
                offsets[int(i)] = int(offset)
    return position


def _bad_out(message: str) -> Invalid:
    return Invalid(message, errors=[FieldError("out", message)])


@dataclass(slots=True, eq=False, kw_only=True)
class JobStream(Stream):
    """``runs`` are the ids of the host runs whose output is followed, by place in the roster. With ``notices`` it also
    tells what everybody should know of the console."""

    hub: JobHub
    epoch: str
    position: Position
    runs: dict[int, int]
    notices: bool = False
    _sent_notices: bytes = b""
    _sent_job: int = 0
    _sent_groups: int = 0
    _ended: set[int] = field(default_factory=set)

    def close(self) -> None:
        """Leaves the hub."""
        self.streams.hubs.leave(self.hub)

    def hello(self) -> bytes:
        """Returns the greeting, and forgets a version that this job has never had."""
        hub, ver = self.hub, self.position.ver
        self._sent_job = hub.notices.job[0]
        if ver is None or not 0 < ver <= hub.ver:
            self.position.ver = None
        body = {
            "api": API_VERSION,
            "job": hub.job_id,
            "ver": hub.ver,
            "hz": 1 / tick_seconds(hub.hosts, self.streams.hubs.viewers),
            "server_time": queries.iso(self.streams.parts.clock.now()),
            "resume": "snapshot" if self.position.ver is None else "delta",
        }
        return RETRY + encode("hello", body)

    def news(self) -> Iterator[bytes]:
        """Yields what changed: the grid, followed output, the job's own state, the groups."""
        hub, position = self.hub, self.position
        if position.ver is None or position.ver < hub.ver:
            frame = hub.since(position.ver)
            position.ver = frame.ver
            yield position.event_id(self.epoch) + frame.event
        for i in position.offsets:
            yield from self._output(i)
        number, notice = hub.notices.job
        if number != self._sent_job:
            self._sent_job = number
            yield notice
        number, notice = hub.notices.groups
        if number != self._sent_groups:
            self._sent_groups = number
            yield notice
        if self.notices and (told := self.streams.fleet.notices()) != self._sent_notices:
            self._sent_notices = told
            yield told

    def _output(self, i: int) -> Iterator[bytes]:
        if i in self._ended:
            return
        written = self.hub.outputs(self.runs[i], self.position.offsets[i])
        for event, offset in written.events:
            self.position.offsets[i] = offset
            yield self.position.event_id(self.epoch) + event
        if written.ended:
            self._ended.add(i)

    def farewell(self) -> bytes | None:
        """Returns ``done`` once the job has ended and the viewer has heard everything."""
        behind = self.position.ver is None or self.position.ver < self.hub.ver
        done = self.hub.notices.done
        if done is None or behind or not self._ended.issuperset(self.position.offsets):
            return None
        return self.position.event_id(self.epoch) + done

    def sleep(self, doubts: int) -> None:
        """Waits for the next change; for followed output, which has no version, only until the next look at it."""
        hub, streams = self.hub, self.streams
        follows = len(self._ended) < len(self.position.offsets)
        seconds = OUTPUT_SECONDS if follows else streams.pace.look

        def woken() -> bool:
            return (
                hub.ver > (self.position.ver or 0)
                or hub.notices.job[0] != self._sent_job
                or hub.notices.groups[0] != self._sent_groups
                or streams.stopping.is_set()
                or streams.doubts != doubts
            )

        hub.wait(woken, seconds)
