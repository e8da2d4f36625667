"""What the live page of a large job takes by the clock, in a real Chromium: ``python -m benchmarks.live_page``.

It starts consoles of its own with simulated hosts and takes about four minutes. Every part is printed with the load of
the machine before it and with a calibration (a fixed piece of Python, in ms): read figures only from runs in which both
are as they are when nothing else runs. ``--minutes 10`` keeps a page open beside a job of that length instead, for its
heap.
"""

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from opsconsole.accounts.permissions import Role
from opsconsole.accounts.service import find_user, issue_login_link
from opsconsole.cli import bench_product
from opsconsole.cli.client import ConsoleClient
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.jobs.launch import Order
from opsconsole.launcher import simulated
from opsconsole.settings import Settings
from tests.functional.api.play import Play
from tests.support.browser_figures import FIRST_GRID, NOTE_FIRST_GRID, heap_bytes, traced, traffic
from tests.support.factories import make_token
from tests.support.liveserver import serve
from tests.support.requirements import need_chromium
from tests.support.viewers import Viewer

_OPENED, _VIEWERS, _TRACED_SECONDS, _BEHIND_BROWSER = 5, 100, 20, 10


class Sitting:
    """A console that runs, and a browser that is signed in to it."""

    def __init__(self, settings: Settings, client: ConsoleClient, browser: Browser) -> None:
        self.client, self.browser, self.url = client, browser, client.url.rstrip("/")
        self._settings = settings

    def page(self) -> Page:
        """Returns a page of a new browser profile, with nothing in its cache."""
        with closing(Database(self._settings.database)) as database, database.transaction() as session:
            user = find_user(session, "admin")
            assert user is not None
            code = issue_login_link(session, user, now=SystemClock().now())
        return open_page(self.browser, f"{self.url}/login?once={code}")

    def token(self) -> str:
        """Returns a token of the administrator."""
        with closing(Database(self._settings.database)) as database, database.transaction() as session:
            user = find_user(session, "admin")
            assert user is not None
            return make_token(session, user)

    def launch(self, targets: str, count: int, seconds: float) -> int:
        """Returns the id of a job of 500 hosts at once, each about so many seconds long."""
        order: dict[str, Any] = {
            "targets": targets,
            "command": "uptime",
            "concurrency": 500,
            "confirm": f"RUN {count}",
            "reason": "bench",
            "max_failures": "50%",
            "simulation": f"connect_seconds=0.1 median_seconds={seconds:g} failures=2% unreachable=1%",
        }
        return int(self.client.launch(order, key=str(uuid.uuid4()))["id"])


def open_page(browser: Browser, login: str) -> Page:
    """Returns a signed-in page of a new profile."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US").new_page()
    page.goto(login)
    page.wait_for_url(lambda url: "/login" not in url)
    page.add_init_script(NOTE_FIRST_GRID)
    return page


def say(part: str, text: str) -> None:
    """Prints a part's figures beside the state of the machine."""
    started = time.perf_counter()
    sum(n * n for n in range(1_000_000))
    taken = (time.perf_counter() - started) * 1000
    print(f"{part}: {text}   [load {os.getloadavg()[0]:.1f}, calibration {taken:.0f} ms]", flush=True)


def told(values: list[float]) -> str:
    """Returns the median and the ends of some milliseconds."""
    return f"median {statistics.median(values):.0f} ms (best {min(values):.0f}, worst {max(values):.0f})"


def opening(sitting: Sitting, job: int, name: str) -> None:
    """Opens the page of a job several times, each time from nothing."""
    times, sent = [], 0
    for _ in range(_OPENED):
        page = sitting.page()
        received = traffic(page.context.new_cdp_session(page))
        page.goto(f"{sitting.url}/jobs/{job}", wait_until="commit")
        page.wait_for_function(FIRST_GRID)
        times.append(float(page.evaluate(FIRST_GRID)))
        sent = max(sent, received.total)
        page.context.close()
    say(name, f"first grid {told(times)} after navigation, {sent / 1000:.0f} kB received before it")


def deltas(sitting: Sitting, job: int) -> None:
    """Watches the main thread of an open page for some seconds."""
    page = sitting.page()
    page.goto(f"{sitting.url}/jobs/{job}")
    page.wait_for_function(FIRST_GRID)
    page.wait_for_timeout(2000)
    page.evaluate("() => { window.longTasks.length = 0; }")
    with traced(page) as tasks:
        page.wait_for_timeout(_TRACED_SECONDS * 1000)
    long = page.evaluate("window.longTasks")
    heap = heap_bytes(page.context.new_cdp_session(page))
    page.context.close()
    say(
        "deltas",
        f"{_TRACED_SECONDS} s: longest task {tasks.wall_ms[0]:.1f} ms by the clock, {tasks.cpu_ms[0]:.1f} ms of the "
        f"processor; over 50 ms: {len(long)}; busy {sum(tasks.cpu_ms) / _TRACED_SECONDS / 10:.1f} % of the time; "
        f"heap {heap / 1e6:.1f} MB",
    )


def viewers(sitting: Sitting) -> None:
    """A hundred further viewers of one job of 5,000 hosts."""
    job = sitting.launch(f"@{simulated.GROUP} & sim[00001-05000]", 5000, 5)
    watching = [Viewer(sitting.url, f"Bearer {sitting.token()}", job) for _ in range(_VIEWERS)]
    started = time.perf_counter()
    with ThreadPoolExecutor(_VIEWERS) as pool:
        for end in [pool.submit(one.watch, 240) for one in watching]:
            end.result()
    wall = time.perf_counter() - started
    ended = dict(finished(sitting.client, job))
    late = sorted((at - ended[i]).total_seconds() for one in watching for i, at in one.heard.items() if i in ended)
    true = sitting.client.get(f"jobs/{job}/grid")["grid"]
    sizes = sorted(one.received / 1000 for one in watching)
    say(
        f"{_VIEWERS} viewers",
        f"job of {wall:.0f} s; {sum(one.grid == true for one in watching)} end with the database's grid; "
        f"{sizes[0]:.0f} to {sizes[-1]:.0f} kB each; change to client median {statistics.median(late):.2f} s, "
        f"95 % within {late[int(len(late) * 0.95)]:.2f} s",
    )


def finished(client: ConsoleClient, job: int) -> Iterator[tuple[int, datetime]]:
    """Yields when each host of a job ended."""
    cursor: str | None = "0"
    while cursor:
        rows = client.get(f"jobs/{job}/hosts", limit="1000", cursor=cursor)
        for row in rows["rows"]:
            if row["finished_at"]:
                yield row["i"], datetime.fromisoformat(row["finished_at"])
        cursor = rows["next"]


def ten_thousand(sitting: Sitting) -> None:
    """The page of 10,000 hosts: opened, filtered, listed to its end."""
    job = sitting.launch(f"@{simulated.GROUP}", 10_000, 5)
    opening(sitting, job, "10,000 hosts")
    page = sitting.page()
    page.goto(f"{sitting.url}/jobs/{job}")
    page.wait_for_function(FIRST_GRID)
    steps = {}
    with traced(page) as tasks:
        started = time.perf_counter()
        page.click(".tabs a[data-view=hosts]")
        expect(page.locator("#hosts-table .rows .hrow").first).to_contain_text("sim")
        steps["hosts listed"] = time.perf_counter() - started
        started = time.perf_counter()
        page.locator(".body").hover()
        page.mouse.wheel(0, 10_000_000)
        expect(page.locator("#hosts-table .rows .hrow", has_text="sim10000")).to_be_visible()
        steps["at the last row"] = time.perf_counter() - started
    page.context.close()
    times = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in steps.items())
    say("10,000 hosts", f"{times}; longest task {tasks.wall_ms[0]:.1f} ms, {tasks.cpu_ms[0]:.1f} ms of the processor")


def fifty_megabytes(browser: Browser) -> None:
    """300,000 lines of one host: its first line, its last, the second last by its link."""
    with tempfile.TemporaryDirectory(prefix="opsconsole-live-") as name:
        settings = Settings.load(data_dir=Path(name), allow_unlisted_hosts=True, log_level="ERROR")
        upgrade(settings.database)
        with closing(Database(settings.database)) as database, serve(settings, database) as live:
            job = live.launch(Order("web1", "journalctl"))
            workers = Play(database, SystemClock(), job)  # type: ignore[arg-type]
            workers.start(0)
            workers.flood(0, b"".join(b"%06d %s\n" % (n, b"x" * 160) for n in range(1, 300_001)))
            workers.end(0)
            page = open_page(browser, live.login_link("admin", Role.ADMIN))
            opened, last, linked = [], [], []
            found: list[float] = []
            regex: list[float] = []
            for _ in range(_OPENED):
                opened.append(timed(page, "#L1", lambda: page.goto(f"{live.url}/jobs/{job}/h/web1")))
                last.append(timed(page, "#L300000", lambda: page.click("#to-last")))
                page.fill("#find", "")
                # Each search is another one, so that none is answered from what an earlier one found.
                found.append(searched_for(page, f"{200_000 + len(found):06d} x", "1 of 1"))
                page.click("#find-re")
                regex.append(searched_for(page, f"^0000[{len(regex)}5]7 x", "1 of 2"))
                page.goto("about:blank")
                linked.append(timed(page, "#L299999.hl", lambda: page.goto(f"{live.url}/jobs/{job}/h/web1#L299999")))
            page.context.close()
    say("50 MB", f"opened {told(opened)}; last line {told(last)}; line 299,999 by its link {told(linked)}")
    say("50 MB", f"one of its lines searched for {told(found)}; a regular expression {told(regex)}")


def timed(page: Page, wanted: str, do: Any) -> float:
    """Returns the milliseconds until a line is seen after ``do``."""
    started = time.perf_counter()
    do()
    expect(page.locator(wanted)).to_be_in_viewport(timeout=30_000)
    return (time.perf_counter() - started) * 1000


def searched_for(page: Page, text: str, total: str) -> float:
    """Returns the milliseconds until a search in an output has told its total."""
    started = time.perf_counter()
    page.fill("#find", text)
    expect(page.locator("#hits")).to_have_text(total, timeout=30_000)
    return (time.perf_counter() - started) * 1000


def searched(sitting: Sitting, job: int) -> None:
    """Searches in what all hosts of a job wrote, until the server says that it has seen all."""
    times, answer = [], {"complete": False}
    for number in range(_OPENED):
        started = time.perf_counter()
        answer = {"complete": False}
        while not answer["complete"]:
            answer = sitting.client.get(f"jobs/{job}/search", q=f"load average: {number}")
        times.append((time.perf_counter() - started) * 1000)
    say(
        "search",
        f"in what {answer['hosts']:,} hosts wrote {told(times)}; {answer['with']:,} hosts have it, the last time",
    )


def long_job(sitting: Sitting, minutes: float) -> None:
    """The heap of a page that is open as long as a job of so many minutes lasts."""
    job = sitting.launch(f"@{simulated.GROUP} & sim[00001-05000]", 5000, minutes * 6)
    page = sitting.page()
    session = page.context.new_cdp_session(page)
    page.goto(f"{sitting.url}/jobs/{job}")
    page.wait_for_function(FIRST_GRID)
    page.wait_for_timeout(2000)
    page.evaluate("() => { window.longTasks.length = 0; }")
    start, over = heap_bytes(session), time.monotonic() + minutes * 60
    cpu, wall = [0.0], [0.0]
    while (left := over - time.monotonic()) > 0:
        with traced(page) as tasks:
            page.wait_for_timeout(min(left, _TRACED_SECONDS) * 1000)
        cpu, wall = cpu + tasks.cpu_ms[:1], wall + tasks.wall_ms[:1]
    share = page.locator("#pct").inner_text()
    long = [round(ms) for ms in page.evaluate("window.longTasks")]
    heap = f"heap {start / 1e6:.1f} MB at first, {heap_bytes(session) / 1e6:.1f} MB now"
    longest = f"longest task {max(wall):.1f} ms by the clock, {max(cpu):.1f} ms of the processor"
    say(f"{minutes:g} minutes", f"at {share}; {heap}; {longest}; over 50 ms as the page is told: {long}")


@contextmanager
def sitting_down(browser: Browser) -> Iterator[Sitting]:
    """Runs a console with 10,000 simulated hosts."""
    with tempfile.TemporaryDirectory(prefix="opsconsole-live-") as name:
        chosen = {
            "data_dir": Path(name),
            "port": 0,
            "workers": len(os.sched_getaffinity(0)),
            "worker_slots": 500,
            "max_concurrency": 5000,
            "web_threads": 512,
            "max_streams": 256,
            "log_level": "WARNING",
        }
        with bench_product.console(Path(name), chosen, "--simulate", "10000") as (settings, client, _):
            yield Sitting(settings, client, browser)


def main() -> None:
    """Prints a line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="only a page beside a job of that length")
    minutes = parser.parse_args().minutes
    with sync_playwright() as player:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = player.chromium.launch(executable_path=str(need_chromium()), args=arguments)
        # A reader's browser has a machine of its own: here it goes before the console when both want the processor.
        os.nice(_BEHIND_BROWSER)
        say("start", "")
        with sitting_down(browser) as sitting:
            if minutes:
                return long_job(sitting, minutes)
            job = sitting.launch(f"@{simulated.GROUP} & sim[00001-05000]", 5000, 5)
            opening(sitting, job, "5,000 hosts")
            deltas(sitting, job)
            while not sitting.client.status(job)["finished_at"]:
                time.sleep(0.5)
            searched(sitting, job)
            viewers(sitting)
            ten_thousand(sitting)
        fifty_megabytes(browser)
        browser.close()
    return None


if __name__ == "__main__":
    main()
