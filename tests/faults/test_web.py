"""The web server dies in the middle of a large order, and a hundred people watch while half of them do not read."""

import contextlib
import json
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import httpx
import psutil
import pytest
from httpx_sse import connect_sse
from sqlalchemy import func, select

from opsconsole.jobs.models import HostRun, Job
from tests.faults.conftest import KEY
from tests.support.console import Console
from tests.support.web_process import Web, running_web

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
_MANY = "127.0.[1-20].[1-250]"
_COUNT = 5000


def order_of_many(web: Web, key: str) -> httpx.Response:
    return web.launch(_MANY, "true", key=key, confirm=f"RUN {_COUNT}", reason="a test", **KEY)


def rows(console: Console) -> list[tuple[int, int, int]]:
    """Returns of each job its id, how many hosts it should have, and how many rows it has."""
    count = select(HostRun.job_id, func.count().label("rows")).group_by(HostRun.job_id).subquery()
    query = select(Job.id, Job.target_count, func.coalesce(count.c.rows, 0)).outerjoin(count, count.c.job_id == Job.id)
    with console.database.read() as session:
        return [(row[0], row[1], row[2]) for row in session.execute(query)]


@pytest.mark.parametrize(
    "after", [0.1, 0.4, *(pytest.param(after / 20, marks=pytest.mark.faults) for after in range(1, 30))]
)
def test_a_large_order_is_made_whole_or_not_at_all(make_console: MakeConsole, after: float) -> None:
    console, key = make_console(workers=0), str(uuid.uuid4())
    with running_web(console) as web, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(order_of_many, web, key)
        time.sleep(after)
        web.kill()
        with contextlib.suppress(httpx.TransportError):
            answer.result()
    before = rows(console)
    assert before in ([], [(1, _COUNT, _COUNT)])
    with running_web(console) as web:
        again = order_of_many(web, key)
        assert again.status_code == (httpx.codes.OK if before else httpx.codes.CREATED)
        assert rows(console) == [(again.json()["id"], _COUNT, _COUNT)]


@contextmanager
def stalled(web: Web, path: str, count: int) -> Iterator[None]:
    """Opens streams that nobody reads from, with little room for what was not read."""
    place = ("127.0.0.1", int(web.url.rpartition(":")[2]))
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {web.api.headers['Authorization']}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(place)
            connection.sendall(request.encode())
        yield


class Viewer:
    """Reads one job's stream and notes when it heard of each host's end, until the job is done."""

    def __init__(self, web: Web, job_id: int) -> None:
        self._web = web
        self._job_id = job_id
        self.heard: dict[int, datetime] = {}
        self.opened = threading.Event()

    def watch(self, until: float) -> None:
        """Comes back like a browser does, whenever the server ends the stream."""
        headers = {"Authorization": self._web.api.headers["Authorization"]}
        with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
            since = None
            while time.monotonic() < until:
                sent = {"Last-Event-ID": since} if since else {}
                url = f"{self._web.url}/api/v1/jobs/{self._job_id}/events"
                with connect_sse(client, "GET", url, headers=sent) as source:
                    for event in source.iter_sse():
                        since = event.id or since
                        if event.event == "done":
                            return
                        self._take(event.event, event.data)

    def _take(self, name: str, data: str) -> None:
        now = datetime.now(UTC)
        self.opened.set()
        if name == "delta":
            for host, letter, *_ in json.loads(data)["h"]:
                if letter in "of":
                    self.heard.setdefault(host, now)


def serving_memory(web: Web) -> int:
    """Returns the bytes that the process which answers holds."""
    (serving,) = psutil.Process(web.process.pid).children()
    return int(serving.memory_info().rss)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("viewers", "hosts"), [(20, 40), pytest.param(100, 200, marks=pytest.mark.faults)])
def test_viewers_who_do_not_read_hold_up_nobody(make_console: MakeConsole, viewers: int, hosts: int) -> None:
    console = make_console(workers=1, web_threads=512, max_streams=256)
    reading = viewers // 2
    command = "sleep $((${OPSC_RUN%-*} % 12 + 3)); seq 1 50"
    with running_web(console) as web:
        job_id = web.launch(f"127.0.0.[1-{hosts}]", command, confirm=str(hosts), concurrency=hosts, **KEY).json()["id"]
        console.until_counts(job_id, 60, r=hosts // 2)
        path, over = f"/api/v1/jobs/{job_id}/events", time.monotonic() + 120
        watchers = [Viewer(web, job_id) for _ in range(reading)]
        with stalled(web, path, viewers - reading), ThreadPoolExecutor(reading) as pool:
            ends = [pool.submit(partial(watcher.watch, over)) for watcher in watchers]
            assert all(watcher.opened.wait(30) for watcher in watchers)
            before = serving_memory(web)
            console.follow(job_id, 100)
            for end in ends:
                end.result(60)
            grown = serving_memory(web) - before
    finished = {run.i: run.finished_at for run in console.runs(job_id)}
    late = sorted(
        (heard - ended).total_seconds()
        for watcher in watchers
        for host, heard in watcher.heard.items()
        if (ended := finished[host]) is not None
    )
    assert len(late) > reading * hosts / 4
    assert statistics.median(late) < 1.0, late[-10:]
    assert late[int(len(late) * 0.95)] < 1.5, late[-10:]
    assert grown < 30 * 1024 * 1024, grown
