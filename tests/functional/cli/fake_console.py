"""A console for tests: real HTTP on loopback, a job whose story the test writes, and a record of what was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opsconsole.jobs.states import RunState

LETTERS = "qcrofkuxsl"
TOKEN = "opsc_1_secret"


def counts_of(grid: str) -> dict[str, int]:
    return {letter: grid.count(letter) for letter in LETTERS}


def preview(count: int, *, tier: int = 0, **more: Any) -> dict[str, Any]:
    confirm = {2: str(count), 3: f"RUN {count}"}.get(tier)
    return {
        "count": count,
        "digest": f"sha256:{count}",
        "folded": f"web[1-{count}]",
        "sample": [],
        "unknown": [],
        "excluded_count": 0,
        "duplicates": 0,
        "lines": 1,
        "table": None,
        "recent_unreachable": [],
        "by": {},
        "risk": {"tier": tier, "reasons": [], "confirm": confirm, "reason_required": tier == 3},
        "worst_case": None,
    } | more


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Story:
    """The one job of the console: its hosts, how they end, what they say. ``streams`` False means 503 on events."""

    hosts: list[str] = field(default_factory=lambda: ["web1", "web2"])
    grid: str = "oo"
    state: str = "succeeded"
    stop_reason: str | None = None
    groups: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    # How hosts ended, by index: reason, detail, exit.
    endings: dict[int, dict[str, Any]] = field(default_factory=dict)
    raw: bytes = b"raw \x1b[31mbytes\n"
    # So many lines behind the first were not kept.
    missing: int = 0
    preview: dict[str, Any] = field(default_factory=lambda: preview(2))
    streams: bool = True
    # Set by cancel; a story that waits for it does not end before.
    waits_for_cancel: bool = False
    ending_after_cancel: str = "xx"
    workers: int = 1
    # Answers to give first, as (method, path) -> list of (status, problem); status 0 drops the connection.
    faults: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    # What further addresses answer.
    answers: dict[str, Any] = field(default_factory=dict)
    # Replaces the events of a connection: takes Last-Event-ID, yields (name, data, id) or None to break off.
    events: Callable[[str | None], Iterator[tuple[str, dict[str, Any], str] | None]] | None = None


class FakeConsole:
    """Serves a ``Story``; ``asked`` holds every request."""

    def __init__(self) -> None:
        self.story = Story()
        self.asked: list[Asked] = []
        self.cancelled = threading.Event()
        self.stopping = threading.Event()
        self.paused = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def to(self, method: str, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and asked.path == path]

    def wait_for(self, method: str, path: str) -> None:
        deadline = time.monotonic() + 20
        while not self.to(method, path):
            assert time.monotonic() < deadline, f"nobody asked {method} {path}"
            time.sleep(0.02)

    def status(self) -> dict[str, Any]:
        story = self.story
        grid, state = story.grid, story.state
        if story.waits_for_cancel:
            grid = story.ending_after_cancel if self.cancelled.is_set() else "r" * len(story.hosts)
            state = "cancelled" if self.cancelled.is_set() else "running"
        ended = state not in {"running", "stopping"}
        return {
            "id": 7,
            "ver": 5 if ended else 2,
            "epoch": "e",
            "state": state,
            "stop_reason": story.stop_reason,
            "title": "uptime",
            "targets": {"expression": "web[1-2]", "count": len(story.hosts), "digest": "sha256:x"},
            "created_at": "2026-11-22T06:02:11.004Z",
            "started_at": "2026-11-22T06:02:11.004Z",
            "finished_at": "2026-11-22T06:02:13.004Z" if ended else None,
            "by": "li.wei",
            "counts": counts_of(grid),
            "links": {"html": "/jobs/7"},
        }

    def default_events(self) -> Iterator[tuple[str, dict[str, Any], str] | None]:
        first = "r" * len(self.story.hosts)
        running = self.status() | {"state": "running", "counts": counts_of(first)}
        yield "hello", {"api": 1, "job": 7, "ver": 1}, "e.1"
        yield "snapshot", {"ver": 2, "job": running, "grid": first}, "e.2"
        if self.story.waits_for_cancel:
            told = False
            while not self.cancelled.wait(0.05):
                if self.stopping.is_set():
                    return
                if self.paused != told:
                    told = self.paused
                    yield "job", self._standing(), "e.3"
        status = self.status()
        grid = self.story.ending_after_cancel if self.story.waits_for_cancel else self.story.grid
        rows = [[i, letter, 0, 5] for i, letter in enumerate(grid)]
        yield "delta", {"ver": 4, "counts": status["counts"], "rate": 1.0, "eta_ms": None, "h": rows}, "e.4"
        names = ("ver", "state", "counts", "finished_at")
        yield "done", {name: status[name] for name in names}, "e.5"

    def _standing(self) -> dict[str, Any]:
        if not self.paused:
            return {"state": "running", "pause": None, "waiting": None}
        waiting = {"code": "paused", "text": "Paused by li.wei."}
        return {"state": "paused", "pause": {"reason": "operator", "by": "li.wei"}, "waiting": waiting}

    def answer(self, asked: Asked) -> tuple[int, Any]:
        story, path = self.story, asked.path
        if path == "resolve":
            return 200, story.preview
        if path == "jobs" and asked.method == "POST":
            return 201, {"id": 7, "url": "/jobs/7"}
        if path == "jobs":
            return 200, {"jobs": [self.status()], "next": None}
        if path == "jobs/7/rerun":
            return 201, {"id": 7, "url": "/jobs/7"}
        if path == "jobs/7/cancel":
            self.cancelled.set()
            return 200, self.status() | {"state": "stopping"}
        if path in {"jobs/7/pause", "jobs/7/resume", "jobs/7/continue", "jobs/7/title"}:
            self.paused = path == "jobs/7/pause"
            return 200, self.status() | self._standing()
        if path in story.answers:
            return 200, story.answers[path]
        if path == "workers":
            return 200, {"workers": story.workers, "slots": 10, "busy": 0, "list": []}
        if path == "jobs/7":
            return 200, self.status()
        if path == "jobs/7/delta":
            status = self.status()
            return 200, {"ver": 5, "job": status, "grid": story.grid}
        if path == "jobs/7/roster":
            return 200, {"v": 1, "hosts": story.hosts}
        if path == "jobs/7/groups":
            return 200, {"ver": 5, "mode": "exact", "groups": story.groups}
        return self._output(asked)

    def _output(self, asked: Asked) -> tuple[int, Any]:
        parts = asked.path.split("/")
        if len(parts) not in {4, 5} or parts[4:] not in ([], ["output"]):
            return 404, {"detail": "There is no such job.", "code": "not_found"}
        index = int(parts[3]) if parts[3].isdigit() else self.story.hosts.index(parts[3])
        letter = self.story.grid[index]
        if len(parts) == 4:
            state = next(state.value for state in RunState if state.letter == letter)
            row = {"host": self.story.hosts[index], "state": state, "exit": None, "reason": None, "detail": None}
            return 200, row | self.story.endings.get(index, {})
        lines = self.story.outputs.get(index, [])
        first, limit = int(asked.query["from_line"]), int(asked.query["limit"])
        numbered = [[n + self.story.missing * (n > 1), 1, fd, text] for n, (fd, text) in enumerate(lines, 1)]
        page = [line for line in numbered if line[0] >= first][:limit]
        return 200, {
            "state": next(state.value for state in RunState if state.letter == letter),
            "lines": page,
            "total_lines": len(lines),
            "total_bytes": 1,
            "truncated": {"from": 3, "bytes": 700} if self.story.missing else None,
            "eof": True,
        }


def _handler(console: FakeConsole) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_PUT = do_DELETE = do_GET

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                parts.path.removeprefix("/api/v1/"),
                {name: values[-1] for name, values in parse_qs(parts.query).items()},
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(self.rfile.read(size)) if size else None,
            )
            console.asked.append(asked)
            faults = console.story.faults.get((asked.method, asked.path))
            if asked.headers.get("authorization") != f"Bearer {TOKEN}":
                self._json(401, {"detail": "Unknown token.", "code": "token_unknown"})
            elif faults:
                status, problem = faults.pop(0)
                if status == 0:
                    self.close_connection = True
                    return
                self._json(status, problem)
            elif asked.path == "jobs/7/events":
                self._events(asked)
            elif asked.path.endswith("/raw"):
                self._bytes(200, console.story.raw, "application/octet-stream")
            else:
                self._json(*console.answer(asked))

        def _events(self, asked: Asked) -> None:
            if not console.story.streams:
                self._json(503, {"detail": "Too many streams.", "code": "unavailable"})
                return
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            last = asked.headers.get("last-event-id")
            for event in console.story.events(last) if console.story.events else console.default_events():
                if event is None:
                    return
                name, data, event_id = event
                frame = f"id: {event_id}\nevent: {name}\nretry: 20\ndata: {json.dumps(data)}\n\n"
                try:
                    self.wfile.write(frame.encode())
                except OSError:
                    return

        def _json(self, status: int, body: Any) -> None:
            kind = "application/json" if status < 400 else "application/problem+json"
            self._bytes(status, json.dumps(body).encode(), kind)

        def _bytes(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def running() -> Iterator[FakeConsole]:
    console = FakeConsole()
    thread = threading.Thread(target=console.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield console
    finally:
        console.stopping.set()
        console.server.shutdown()
        thread.join()
        console.server.server_close()
