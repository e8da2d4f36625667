"""Live streams (Server-Sent Events): how many there may be, how one lives, and when it ends.

A stream holds a thread of the server, so there are few and they are short: each ends after less than a minute and the
browser comes back with the version it has. A viewer that does not read holds up nobody but itself, and not for long.
"""

import select
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from secrets import randbelow

from flask import Flask, Response, current_app

from opsconsole.errors import Unavailable
from opsconsole.runtime import Runtime
from opsconsole.web.fleet_reader import FleetReader
from opsconsole.web.hub import Hubs, encode
from opsconsole.web.request_log import EXTENSION as LOG

_EXTENSION = "opsconsole-streams"
API_VERSION = 1
RETRY = b"retry: 2000\n"
_COME_BACK = b"retry: 200\n\n"
# A comment for proxies and programs; browsers hide comments from their pages, which are to notice when nothing comes.
_HEARTBEAT = b": hb\n\nevent: hb\ndata: {}\n\n"


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
        self.fleet = FleetReader(parts)
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

    def respond(self, make: "Callable[[], Stream]", user_id: int, *, lesser: bool = False) -> Response:
        """Returns the answer that sends the stream that ``make`` makes; closing it gives the viewer's place back.

        A ``lesser`` stream, which its viewer can do without, leaves half of the places to the others. Raises
        ``Unavailable`` with ``retry_after`` when all places are taken; the client polls instead.
        """
        self._let_go_of_stalled()
        self._enter(user_id, 2 if lesser else 1)
        try:
            stream = make()
        except BaseException:
            self._leave(user_id)
            raise
        with self._lock:
            self._streams.add(stream)
        response = Response(iter(stream), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"

        def close() -> None:
            with self._lock:
                self._streams.discard(stream)
            self._leave(user_id)
            stream.close()

        response.call_on_close(close)
        return response

    def _enter(self, user_id: int, share: int) -> None:
        most, most_each = self._most // share, self._most_each // share
        with self._lock:
            if self.stopping.is_set() or self._open.total() >= most or self._open[user_id] >= most_each:
                raise Unavailable(
                    "All live streams are taken. Poll instead, or try later.",
                    code="streams_full",
                    extra={"retry_after": 5 + randbelow(10)},
                )
            self._open[user_id] += 1

    def _leave(self, user_id: int) -> None:
        with self._lock:
            self._open[user_id] -= 1

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
    """Returns the streams of ``app``."""
    found = app.extensions[_EXTENSION]
    assert isinstance(found, Streams)  # noqa: S101  the factory put it there; this is for the type checker
    return found


def stop_streams(application: object) -> None:
    """Ends every stream of a web application, for a server that was told to end."""
    if isinstance(application, Flask):
        streams_of(application).stop()


def streams() -> Streams:
    """Returns the streams of the current application."""
    return streams_of(current_app)


@dataclass(slots=True, eq=False, kw_only=True)
class Stream(ABC):
    """One viewer's stream. Iterating yields the bytes to send; nothing is held while the server writes them."""

    streams: Streams
    # Asked again from time to time, outside of any request.
    allowed: Callable[[], bool]
    endpoint: socket.socket | None = None
    writing_since: float | None = None

    @abstractmethod
    def hello(self) -> bytes:
        """Returns the greeting."""

    @abstractmethod
    def news(self) -> Iterator[bytes]:
        """Yields what the viewer has not heard yet."""

    @abstractmethod
    def farewell(self) -> bytes | None:
        """Returns the last event when there is nothing more to hear, else ``None``."""

    @abstractmethod
    def sleep(self, doubts: int) -> None:
        """Waits until there may be news, the process stops, or ``streams.doubts`` is no longer ``doubts``."""

    @abstractmethod
    def close(self) -> None:
        """Gives back what the stream held; called once."""

    def __iter__(self) -> Iterator[bytes]:
        """Yields until all is told, the viewer is gone, its rights are withdrawn, or its time is over."""
        try:
            for piece in self._pieces():
                self.writing_since = time.monotonic()
                yield piece
                self.writing_since = None
        except Exception as error:  # noqa: BLE001  the headers are out: all that is left is to say good-bye
            self.streams.on_failure(error)
            yield _bye()

    def _pieces(self) -> Iterator[bytes]:
        streams, pace, started = self.streams, self.streams.pace, time.monotonic()
        spoke, checked, doubts = started, started, streams.doubts
        yield self.hello()
        while not _gone(self.endpoint):
            news = b"".join(self.news())
            if news:
                yield news
                spoke = time.monotonic()
            farewell = self.farewell()
            if farewell is not None:
                yield farewell
                return
            now = time.monotonic()
            if now - checked >= pace.recheck or doubts != streams.doubts:
                checked, doubts = now, streams.doubts
                if not self.allowed():
                    yield _bye()
                    return
            if streams.stopping.is_set():
                yield _bye()
                return
            if now - started >= pace.life:
                # No "bye": the browser comes back by itself, soon, and goes on where it is.
                yield _COME_BACK
                return
            if now - spoke >= pace.heartbeat:
                yield _HEARTBEAT
                spoke = now
            self.sleep(doubts)


def _bye() -> bytes:
    # Spread out, so that all viewers of a process that restarts do not come back in the same moment.
    return encode("bye", {"retry_ms": 1000 + randbelow(4000), "poll": True})


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
