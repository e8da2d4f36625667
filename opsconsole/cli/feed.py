"""Follows one job's events in the background: the live stream, resumed where it broke, else long polling."""

import json
import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from opsconsole.cli.client import ConsoleClient, NoConsole
from opsconsole.errors import OpsconsoleError, TooMany, Unavailable

# The server greets at once; a stream that says nothing at first is held back by a proxy, and we poll instead.
_GREETING_SECONDS = 3.0
# The server writes at least a comment every 15 s.
_SILENCE_SECONDS = 35.0
_POLL_SECONDS = 25
_RETRY_SECONDS = 2.0
# How long a console may be away, for example to be restarted, before we give up.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of the stream contract: ``hello``, ``snapshot``, ``delta``, ``job``, ``done`` and others."""

    name: str
    data: dict[str, Any]
    id: str | None = None


class EventFeed:
    """Reads the events of a job in a thread of its own until ``done``; use it as a context manager."""

    def __init__(self, client: ConsoleClient, job: int) -> None:
        self._client = client
        self._job = job
        self._events: queue.SimpleQueue[JobEvent | OpsconsoleError] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job}-events", daemon=True)
        self._response: httpx.Response | None = None
        self._position = _Position()

    def __enter__(self) -> "EventFeed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        response = self._response
        if response is not None:
            _hang_up(response)
        self._thread.join(timeout=2.0)

    def next(self, timeout: float) -> JobEvent | None:
        """Returns the next event, or ``None`` when none came within ``timeout`` seconds.

        Raises what ended the feed: ``Unavailable`` when the console stayed away, ``NotFound`` and the like.
        """
        try:
            item = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, OpsconsoleError):
            raise item
        return item

    def _run(self) -> None:
        away_since: float | None = None
        while not self._stopped.is_set():
            try:
                if self._read_stream() if self._position.streams else self._poll():
                    return
                away_since = None
            except (Unavailable, TooMany) as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _PATIENCE_SECONDS:
                    self._events.put(error)
                    return
                self._stopped.wait(self._position.retry_seconds)
            except OpsconsoleError as error:
                self._events.put(error)
                return

    def _read_stream(self) -> bool:
        """Reads one connection's events; returns whether the job is done."""
        position = self._position
        headers = {"Accept": "text/event-stream"}
        if position.last_id is not None:
            headers["Last-Event-ID"] = position.last_id
        silence = _SILENCE_SECONDS if position.greeted else _GREETING_SECONDS
        try:
            path = f"jobs/{self._job}/events"
            with self._client.streaming(path, headers=headers, read_timeout=silence) as response:
                self._response = response
                if any(self._take(event) for event in EventSource(response).iter_sse()):
                    return True
                # A stream that ends without a greeting is none; one that ends after it is resumed at once.
                position.streams &= position.greeted
        except NoConsole as error:
            if error.code == NoConsole.code:
                raise
            position.streams = position.greeted
            if silence == _SILENCE_SECONDS:
                self._stopped.wait(position.retry_seconds)
        except (Unavailable, TooMany, SSEError, json.JSONDecodeError):
            position.streams = False
        finally:
            self._response = None
        return False

    def _take(self, event: ServerSentEvent) -> bool:
        """Hands one event on; returns whether it was the last."""
        position = self._position
        if event.retry is not None:
            position.retry_seconds = event.retry / 1000
        if not event.data:
            return False
        data = json.loads(event.data)
        position.greeted = True
        position.last_id = event.id or position.last_id
        # Other events name the job's version, too, and may come before the hosts of that version were told.
        if event.event in {"snapshot", "delta"}:
            position.ver = data["ver"]
        if event.event == "bye":
            position.streams = not data.get("poll")
            self._stopped.wait(data.get("retry_ms", 0) / 1000)
            return False
        self._events.put(JobEvent(event.event, data, position.last_id))
        return event.event == "done"

    def _poll(self) -> bool:
        """Asks once for what changed; returns whether the job is done."""
        position = self._position
        body = self._client.get(f"jobs/{self._job}/delta", since=position.ver, wait=_POLL_SECONDS)
        snapshot = "grid" in body
        position.ver = body.get("ver", position.ver)
        self._events.put(JobEvent("snapshot" if snapshot else "delta", body))
        counts = body["job"]["counts"] if snapshot else body["counts"]
        if any(counts.get(letter, 0) for letter in "qcr"):
            return False
        return self._finished()

    def _finished(self) -> bool:
        # The verdict is a transaction of its own after the last host's, so the status may trail the counts.
        status = self._client.get(f"jobs/{self._job}", wait=5, since=self._position.ver)
        if status["finished_at"] is None:
            return False
        verdict = {name: status[name] for name in ("ver", "state", "counts", "finished_at")}
        self._events.put(JobEvent("done", verdict))
        return True


@dataclass(slots=True)
class _Position:
    """Where to go on after a break, and by which way."""

    last_id: str | None = None
    ver: int = 0
    greeted: bool = False
    streams: bool = True
    retry_seconds: float = _RETRY_SECONDS


def _hang_up(response: httpx.Response) -> None:
    """Wakes a thread that waits in ``recv``; closing the response from another thread would not."""
    stream = response.extensions.get("network_stream")
    endpoint = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(endpoint, socket.socket):
        with suppress(OSError):
            endpoint.shutdown(socket.SHUT_RDWR)
