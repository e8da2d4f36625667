"""The live stream of one job (docs/contracts): who may open one, what it says, and when it ends.

A stream holds a thread of the server, so there are few and they are short: each ends after less than a minute and the
browser comes back with the version it has. A viewer that does not read holds up nobody but itself, and not for long.
"""

import re
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import randbelow

from flask import Flask, Response, current_app

from opsconsole.errors import FieldError, Invalid, Unavailable
from opsconsole.jobs import queries
from opsconsole.runtime import Runtime
from opsconsole.web.hub import Hubs, JobHub, encode, tick_seconds
from opsconsole.web.request_log import EXTENSION as LOG

_EXTENSION = "opsconsole-streams"
_API = 1
_RETRY_MS = 2000
_RESUME_MS = 200
MAX_FOLLOWED = 4
_OUT = re.compile(r"(\d{1,7})@(\d{1,15})", re.ASCII)
_EVENT_ID = re.compile(r"([0-9a-f]{1,8})\.(\d{1,18})((?:;\d{1,7}@\d{1,15}){0,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between heartbeats, between looks at the viewer's rights, of a stream's life, until a viewer that does
    not read is let go, and between looks whether the viewer is still there."""

    heartbeat: float = 15.0
    recheck: float = 30.0
    life: float = 55.0
    stall: float = 30.0
    look: float = 1.0


class Streams:
    """The streams and waiting polls of one process: counted, limited, and ended together when the process ends."""

    def __init__(self, parts: Runtime, on_failure: Callable[[BaseException], None]) -> None:
        self.parts = parts
        self.hubs = Hubs(parts, on_failure, self._let_go_of_stalled)
        self.pace = Pace()
        self.on_failure = on_failure
        self.stopping = threading.Event()
        settings = parts.settings
        self._most = min(settings.max_streams, settings.web_threads // 2)
        # One person, or one script, must leave room for the others.
        self._most_each = max(self._most // 2, 4)
        self._polls = threading.BoundedSemaphore(max(settings.web_threads // 4, 1))
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()
        self._streams: set[Stream] = set()
        self._doubts = 0

    @property
    def doubts(self) -> int:
        """Grows whenever somebody signs out: open streams then look at once whether they still may."""
        return self._doubts

    def doubt(self) -> None:
        """Makes every open stream look again whether its viewer still may see it."""
        self._doubts += 1

    def enter(self, user_id: int) -> None:
        """Takes a place. Raises ``Unavailable`` with ``retry_after`` when all are taken; the client polls instead."""
        with self._lock:
            if self.stopping.is_set() or self._open.total() >= self._most or self._open[user_id] >= self._most_each:
                raise Unavailable(
                    "All live streams are taken. Poll instead, or try later.",
                    code="streams_full",
                    extra={"retry_after": 5 + randbelow(10)},
                )
            self._open[user_id] += 1

    def leave(self, user_id: int) -> None:
        """Gives the place back."""
        with self._lock:
            self._open[user_id] -= 1

    def respond(self, stream: "Stream", user_id: int) -> Response:
        """Returns the answer that sends ``stream``. When it is closed, the viewer's place and hub are given back."""
        response = Response(iter(stream), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        with self._lock:
            self._streams.add(stream)

        def close() -> None:
            with self._lock:
                self._streams.discard(stream)
            self.leave(user_id)
            self.hubs.leave(stream.hub)

        response.call_on_close(close)
        return response

    def _let_go_of_stalled(self) -> None:
        """Cuts the connection of a viewer that has not read for long: its thread is stuck in sending."""
        limit = time.monotonic() - self.pace.stall
        with self._lock:
            stuck = [stream for stream in self._streams if (stream.writing_since or limit) < limit]
        for stream in stuck:
            if stream.endpoint is not None:
                with suppress(OSError):
                    stream.endpoint.shutdown(socket.SHUT_RDWR)

    @property
    def count(self) -> int:
        """How many streams are open."""
        with self._lock:
            return self._open.total()

    def wait(self, job_id: int, since: int, seconds: float) -> None:
        """Sleeps until the job's version is over ``since`` or the job has ended, at most ``seconds``.

        Returns at once when too many wait already: the client then just polls more often.
        """
        if seconds <= 0 or not self._polls.acquire(blocking=False):
            return
        try:
            with self.hubs.watching(job_id) as hub:
                hub.wait(lambda: hub.ver > since or hub.finished or self.stopping.is_set(), seconds)
        finally:
            self._polls.release()

    def stop(self) -> None:
        """Ends every stream with ``bye`` and every waiting poll, for a process that is about to end."""
        self.stopping.set()
        self.hubs.stop()


def register(app: Flask, parts: Runtime) -> None:
    """Gives ``app`` its streams."""
    log = app.extensions[LOG]
    app.extensions[_EXTENSION] = Streams(parts, lambda error: log.error("live view failed", exc_info=error))


def streams_of(app: Flask) -> Streams:
    """Returns the streams of ``app``, for the server's own shutdown: ``streams_of(app).stop()``."""
    found = app.extensions[_EXTENSION]
    assert isinstance(found, Streams)  # noqa: S101  the factory put it there; this is for the type checker
    return found


def streams() -> Streams:
    """Returns the streams of the current application."""
    return streams_of(current_app)


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
        raise _bad_out(f"At most {MAX_FOLLOWED} hosts can be followed.")
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


@dataclass(slots=True, eq=False)
class Stream:
    """One viewer's stream. Iterating yields the bytes to send; nothing is held while the server writes them.

    ``runs`` are the ids of the host runs whose output is followed, by place in the roster.
    """

    streams: Streams
    hub: JobHub
    epoch: str
    position: Position
    runs: dict[int, int]
    allowed: Callable[[], bool]
    endpoint: socket.socket | None = None
    writing_since: float | None = None
    _sent_job: int = 0
    _sent_groups: int = 0
    _ended: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[bytes]:
        """Yields until the job is done, the viewer gone, its rights withdrawn, or its time over."""
        try:
            for piece in self._pieces():
                self.writing_since = time.monotonic()
                yield piece
                self.writing_since = None
        except Exception as error:  # noqa: BLE001  the headers are out: all that is left is to say good-bye
            self.streams.on_failure(error)
            yield self._bye()

    def _pieces(self) -> Iterator[bytes]:
        pace, started = self.streams.pace, time.monotonic()
        spoke, checked, doubts = started, started, self.streams.doubts
        self._sent_job = self.hub.notices.job[0]
        yield self._hello()
        while not _gone(self.endpoint):
            news = b"".join(self._news())
            if news:
                yield news
                spoke = time.monotonic()
            if self._is_done():
                yield self.position.event_id(self.epoch) + (self.hub.notices.done or b"")
                return
            now = time.monotonic()
            if now - checked >= pace.recheck or doubts != self.streams.doubts:
                checked, doubts = now, self.streams.doubts
                if not self.allowed():
                    yield self._bye()
                    return
            if self.streams.stopping.is_set():
                yield self._bye()
                return
            if now - started >= pace.life:
                # No "bye": the browser comes back by itself, soon, and goes on where it is.
                yield f"retry: {_RESUME_MS}\n\n".encode()
                return
            if now - spoke >= pace.heartbeat:
                yield b": hb\n\n"
                spoke = now
            self._sleep(doubts)

    def _hello(self) -> bytes:
        hub, ver = self.hub, self.position.ver
        if ver is None or not 0 < ver <= hub.ver:
            self.position.ver = None
        body = {
            "api": _API,
            "job": hub.job_id,
            "ver": hub.ver,
            "hz": 1 / tick_seconds(hub.hosts, self.streams.hubs.viewers),
            "server_time": queries.iso(self.streams.parts.clock.now()),
            "resume": "snapshot" if self.position.ver is None else "delta",
        }
        return f"retry: {_RETRY_MS}\n".encode() + encode("hello", body)

    def _news(self) -> Iterator[bytes]:
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

    def _output(self, i: int) -> Iterator[bytes]:
        if i in self._ended:
            return
        written = self.hub.outputs(self.runs[i], self.position.offsets[i])
        for event, offset in written.events:
            self.position.offsets[i] = offset
            yield self.position.event_id(self.epoch) + event
        if written.ended:
            self._ended.add(i)

    def _is_done(self) -> bool:
        behind = self.position.ver is None or self.position.ver < self.hub.ver
        return self.hub.notices.done is not None and not behind and self._ended.issuperset(self.position.offsets)

    def _bye(self) -> bytes:
        # Spread out, so that all viewers of a process that restarts do not come back in the same moment.
        return encode("bye", {"retry_ms": 1000 + randbelow(4000), "poll": True})

    def _sleep(self, doubts: int) -> None:
        hub, streams = self.hub, self.streams
        follows = len(self._ended) < len(self.position.offsets)
        seconds = tick_seconds(hub.hosts, streams.hubs.viewers) if follows else streams.pace.look

        def woken() -> bool:
            return (
                hub.ver > (self.position.ver or 0)
                or hub.notices.job[0] != self._sent_job
                or hub.notices.groups[0] != self._sent_groups
                or streams.stopping.is_set()
                or streams.doubts != doubts
            )

        hub.wait(woken, seconds)


def _gone(endpoint: socket.socket | None) -> bool:
    """Returns whether the viewer has closed its side; without this its thread would wait for the next heartbeat."""
    if endpoint is None or isinstance(endpoint, ssl.SSLSocket):
        return False
    try:
        poll = select.poll()
        poll.register(endpoint, select.POLLIN)
        return bool(poll.poll(0)) and not endpoint.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
