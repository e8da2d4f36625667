"""A real HTTP server in a thread, and a reader of event streams."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from flask import Flask
from httpx_sse import EventSource
from werkzeug.serving import BaseWSGIServer, make_server

from tests.functional.api.callers import Program


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: dict[str, Any]
    id: str


@contextmanager
def serving(app: Flask) -> Iterator[BaseWSGIServer]:
    """Serves ``app`` on a free port of loopback, a thread a request."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="test-server")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Viewer:
    """Opens streams of one server with one token."""

    url: str
    token: str

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[httpx.Response]:
        """Opens a stream. ``Last_Event_ID`` becomes the header of that name."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self.token}"
        with (
            httpx.Client(base_url=self.url, timeout=20, trust_env=False) as client,
            client.stream("GET", f"/api/v1/{path}", headers=sent) as response,
        ):
            yield response

    def events(self, path: str, **headers: str) -> Iterator[Event]:
        """Yields the events until the server ends the stream, or the caller stops asking."""
        with self.stream(path, **headers) as response:
            assert response.status_code == 200, response.read()
            for event in EventSource(response).iter_sse():
                if event.data:
                    yield Event(event.event, json.loads(event.data), event.id)


def viewer(server: BaseWSGIServer, caller: Program) -> Viewer:
    """Returns a viewer with the caller's token."""
    return Viewer(f"http://127.0.0.1:{server.server_port}", caller.token)


def apply(grid: str, event: dict[str, Any]) -> str:
    """Returns the grid after a snapshot or a delta, as a page keeps it."""
    if "grid" in event:
        return str(event["grid"])
    letters = list(grid)
    for i, letter, *_ in event["h"]:
        letters[i] = letter
    return "".join(letters)
