"""Jobs of thousands of hosts in a real page: what is sent, how long the page's main thread is held up, how it grows."""

import re

import pytest
from playwright.sync_api import Page, expect

from opsconsole.jobs.launch import Order
from opsconsole.jobs.states import Reason, RunState
from tests.browser.conftest import Watch
from tests.browser.playing import Players
from tests.functional.api.play import Play
from tests.support.browser_figures import FIRST_GRID, NOTE_FIRST_GRID, heap_bytes, traced, traffic
from tests.support.liveserver import LiveServer

_MOST_SENT = 120_000
_LONGEST_MS = 50.0
_MOST_HEAP = 80_000_000


def launched(live: LiveServer, play: Players, count: int) -> tuple[int, Play]:
    """A job of so many hosts: the first hundred have ended, and a few of them badly."""
    order = Order(f"web[1-{count}]", "uptime", max_failures="50%", confirm=f"RUN {count}", reason="a test")
    job = live.launch(order)
    workers = play(job)
    workers.start(*range(100))
    workers.end(*range(90))
    workers.end(*range(90, 100), state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    return job, workers


def run_the_rest(page: Page, workers: Play, count: int, at_once: int) -> None:
    """Lets the other hosts start and end, so many at once, while the page listens."""
    for first in range(100, count, at_once):
        places = range(first, min(first + at_once, count))
        workers.start(*places)
        page.wait_for_timeout(100)
        workers.end(*places)


@pytest.fixture
def watch(watch: Watch) -> Watch:
    """What looks for the first grid reads the canvas, which the page itself never does."""
    watch.allowed.append("willReadFrequently")
    return watch


def test_a_job_of_five_thousand_hosts_costs_little(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = launched(live, play, 5000)
    session = page.context.new_cdp_session(page)
    received = traffic(session)
    page.add_init_script(NOTE_FIRST_GRID)
    page.goto(f"{live.url}/jobs/{job}")
    page.wait_for_function(FIRST_GRID)
    assert received.total <= _MOST_SENT, received.by_url
    with traced(page) as tasks:
        run_the_rest(page, workers, 5000, 350)
        expect(page.locator("#done")).to_have_text("5,000 of 5,000 hosts ended")
    assert tasks.longest_ms <= _LONGEST_MS, tasks.cpu_ms[:10]
    assert heap_bytes(session) <= _MOST_HEAP


def test_ten_thousand_hosts_can_be_used(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = launched(live, play, 10_000)
    session = page.context.new_cdp_session(page)
    page.add_init_script(NOTE_FIRST_GRID)
    with traced(page) as opening:
        page.goto(f"{live.url}/jobs/{job}")
        page.wait_for_function(FIRST_GRID)
    with traced(page) as using:
        workers.start(*range(100, 600))
        page.click(".chip[data-state=f]")
        expect(page.locator("#chips .on")).to_have_count(1)
        page.locator("#grid canvas").press("End")
        expect(page.locator(".oh h2")).to_have_text("web10000")
        expect(page.locator("#grid canvas")).to_have_attribute(
            "aria-label", re.compile(r"^web10000  Queued\. 10,?000 hosts")
        )
        page.click("#trouble-first")
        page.click(".chip[data-state='']")
        page.click(".tabs a[data-view=hosts]")
        expect(page.locator("#hosts-table .rows .hrow").first).to_contain_text("web1")
        page.click("#hosts-table a[data-sort=host]")
        page.locator(".body").hover()
        page.mouse.wheel(0, 1_000_000)
        expect(page.locator("#hosts-table .rows .hrow", has_text="web9999")).to_be_visible()
        workers.end(*range(100, 600))
        page.click(".tabs a[data-view=groups]")
        expect(page.locator("#groups-all .grp").first).to_be_visible()
    assert page.evaluate("() => document.querySelectorAll('*').length") < 1500
    for tasks in (opening, using):
        assert tasks.longest_ms <= _LONGEST_MS, tasks.cpu_ms[:10]
    assert heap_bytes(session) <= _MOST_HEAP


def test_an_output_of_fifty_megabytes_is_read_from_both_ends(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order("web1", "journalctl"))
    workers = play(job)
    workers.start(0)
    workers.flood(0, b"".join(b"%06d %s\n" % (n, b"x" * 160) for n in range(1, 300_001)))
    workers.end(0)
    with traced(page) as tasks:
        page.goto(f"{live.url}/jobs/{job}/h/web1")
        expect(page.locator("[data-count]")).to_have_text("300,000 lines, 50.4 MB")
        expect(page.locator("#L1")).to_be_in_viewport()
        page.click("#to-last")
        expect(page.locator("#L300000")).to_be_in_viewport()
        page.locator(".log").press("Home")
        expect(page.locator("#L1")).to_be_in_viewport()
        page.locator(".log").press("End")
        expect(page.locator("#L300000")).to_be_in_viewport()
        page.goto(f"{live.url}/jobs/{job}/h/web1#L299999")
        page.reload()
        expect(page.locator("#L299999.hl")).to_be_in_viewport()
    assert tasks.longest_ms <= _LONGEST_MS, tasks.cpu_ms[:10]
    assert page.locator(".log .ln").count() < 2000
    assert heap_bytes(page.context.new_cdp_session(page)) <= _MOST_HEAP
