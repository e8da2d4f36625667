"""A reader of a job's live stream that behaves like a page: it keeps the grid and comes back where it was."""

import base64
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from httpx_sse import EventSource

from tests.functional.api.live import apply


@dataclass
class Viewer:
    """What one page would know of a job. It comes back with its ``Last-Event-ID`` as a browser does.

    ``received`` are bytes, ``said`` is the followed output, ``heard`` tells when it learned of each host's end.
    """

    url: str
    token: str
    job_id: int
    out: str = ""
    grid: str = ""
    received: int = 0
    connections: int = 0
    done: bool = False
    said: bytearray = field(default_factory=bytearray)
    gaps: int = 0
    heard: dict[int, datetime] = field(default_factory=dict)
    _since: str = ""

    def watch(self, seconds: float) -> None:
        """Listens until the job is done, or for so long; a server that is away is asked again."""
        over = time.monotonic() + seconds
        with httpx.Client(headers={"Authorization": self.token}, timeout=30, trust_env=False) as client:
            while not self.done and time.monotonic() < over:
                try:
                    self._listen(client)
                except httpx.TransportError:
                    time.sleep(0.2)

    def _listen(self, client: httpx.Client) -> None:
        address = f"{self.url}/api/v1/jobs/{self.job_id}/events?out={self.out}"
        headers = {"Last-Event-ID": self._since} if self._since else {}
        with client.stream("GET", address, headers=headers) as response:
            assert response.status_code == httpx.codes.OK, response.read()
            self.connections += 1
            before = self.received
            for event in EventSource(response).iter_sse():
                self.received = before + response.num_bytes_downloaded
                self._since = event.id or self._since
                self._take(event.event, json.loads(event.data or "{}"))

    def _take(self, name: str, data: dict[str, Any]) -> None:
        self.done = self.done or name == "done"
        if name in {"snapshot", "delta"}:
            self.grid = apply(self.grid, data)
            now = datetime.now(UTC)
            for i, letter, *_ in data.get("h", ()):
                if letter not in "qcr":
                    self.heard.setdefault(i, now)
        elif name == "out" and "s" in data:
            assert data["off"] == len(self.said)
            self.said += base64.b64decode(data["s"]) if data.get("b64") else data["s"].encode()
        elif name == "out":
            self.gaps += data["gap"]
