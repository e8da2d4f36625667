"""What a page costs Chromium: bytes over the network, processor time of the tasks of its main thread, heap.

Processor time and bytes are the same on a busy machine and on a calm one, so tests may bound them; times by the clock
are for benchmarks.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import CDPSession, Page

_MAIN_THREAD = "CrRendererMain"
# Who sends the messages by which a program outside of the page asks and steers it.
_DRIVER = "DevToolsSession"
_CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline"]

# Notes when the grid first shows a state that only the server can know: the middle of a waiting host's tile is empty.
# With it, what the main thread reports as long (over 50 ms by the clock) since the page was opened.
NOTE_FIRST_GRID = """
  window.longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((task) => task.duration)))
    .observe({ type: "longtask", buffered: true });
  const look = () => {
    const canvas = document.querySelector("#grid canvas");
    const at = Math.round(4 * devicePixelRatio);
    const seen = canvas?.width && canvas.getContext("2d").getImageData(at, at, 1, 1).data[3] > 0;
    if (seen) window.firstGrid = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
"""
FIRST_GRID = "() => window.firstGrid"


@dataclass
class Traffic:
    """What a page has received so far, by address: bytes as they came over the network, heads included."""

    by_url: dict[str, int] = field(default_factory=dict)
    _urls: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.by_url.values())

    def _sent(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]

    def _head(self, event: dict[str, Any]) -> None:
        self._add(event["requestId"], int(event["response"]["encodedDataLength"]))

    def _body(self, event: dict[str, Any]) -> None:
        self._add(event["requestId"], int(event["encodedDataLength"]))

    def _end(self, event: dict[str, Any]) -> None:
        # Of a page itself the pieces are not told, only the whole.
        self.by_url[self._urls.get(event["requestId"], "")] = int(event["encodedDataLength"])

    def _add(self, request: str, count: int) -> None:
        url = self._urls.get(request, "")
        self.by_url[url] = self.by_url.get(url, 0) + count


def traffic(session: CDPSession) -> Traffic:
    """Returns a count of what the page receives from now on, with nothing taken from a cache."""
    counted = Traffic()
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.on("Network.requestWillBeSent", counted._sent)
    session.on("Network.responseReceived", counted._head)
    session.on("Network.dataReceived", counted._body)
    session.on("Network.loadingFinished", counted._end)
    return counted


def heap_bytes(session: CDPSession) -> int:
    """Returns the bytes of the page's JavaScript heap that are in use after a collection."""
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


@dataclass
class Tasks:
    """Milliseconds of the main thread's tasks, longest first: of the processor and by the clock. Filled at the end."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    @property
    def longest_ms(self) -> float:
        """Processor time of the longest task."""
        return self.cpu_ms[0] if self.cpu_ms else 0.0


@contextmanager
def traced(page: Page) -> Iterator[Tasks]:
    """Yields what will hold, at the end of the block, the tasks of the page's main thread during it.

    What the thread did on behalf of this very program, whose script is compiled anew in each document, is left out.
    """
    found = Tasks()
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=_CATEGORIES)
    try:
        yield found
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
    named = (event for event in events if event.get("name") == "thread_name")
    main = {(event["pid"], event["tid"]) for event in named if event["args"]["name"] == _MAIN_THREAD}
    done = [event for event in events if event.get("ph") == "X" and (event["pid"], event["tid"]) in main]
    ours = [event for event in done if _DRIVER in json.dumps(event.get("args", {}))]
    tasks = [event for event in done if event["name"] == "RunTask" and not any(_within(one, event) for one in ours)]
    found.cpu_ms = sorted((task.get("tdur", 0) / 1000 for task in tasks), reverse=True)
    found.wall_ms = sorted((task["dur"] / 1000 for task in tasks), reverse=True)


def _within(event: dict[str, Any], task: dict[str, Any]) -> bool:
    same = (event["pid"], event["tid"]) == (task["pid"], task["tid"])
    return same and task["ts"] <= event["ts"] < task["ts"] + task["dur"]
