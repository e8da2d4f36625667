"""What a new user does first, without a mouse: ``make demo``, who differs, the rerun of what failed, the export."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watch
from tests.integration.launcher.processes import ROOT, Program, demo_options
from tests.support.keyboard import tab_to

pytestmark = pytest.mark.slow

_START_SECONDS = 90
# One demo host is slow and one does not answer; a busy machine takes its time besides.
_JOB_MS = 60_000


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The one-time link that ``make demo`` prints."""
    options = ["--port", "0", "--workers", "1", "--data-dir", str(tmp_path / "data"), *demo_options()]
    with Program(["make", "-s", "-C", str(ROOT), "demo", f"ARGS={' '.join(options)}"]) as program:
        address = program.wait_for(r"^Open  (\S+)", _START_SECONDS)[1]
        program.wait_for(r"^Try ", _START_SECONDS)
        yield address


def test_from_make_demo_to_the_export_by_keyboard_alone(link: str, browser: Browser) -> None:
    watch = Watch(link.partition("/login")[0])
    with browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US") as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        for event in ("console", "request", "response", "dialog"):
            page.on(event, getattr(watch, event))  # type: ignore[call-overload]
        page.on("pageerror", watch.page_error)
        page.goto(link)
        _run(page)
        _see_who_differs(page)
        _rerun_the_failed(page)
        assert [(row["host"], row["reason"]) for row in _export(page)] == [("demo11", "auth"), ("demo13", "refused")]
        _go_to_the_first_job(page)
        assert Counter(row["state"] for row in _export(page)) == {"succeeded": 18, "unreachable": 2}
    assert watch.faults == []


def _run(page: Page) -> None:
    page.wait_for_url("**/run")
    page.keyboard.type("@demo")
    tab_to(page, "[name=command]", 12)
    page.keyboard.type("cat os-release")
    expect(page.locator("#go-label")).to_have_text("Run on 20 hosts")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/jobs/1$"))
    expect(page.locator("#pill")).to_have_text("Partial", timeout=_JOB_MS)
    expect(page.locator("#done")).to_have_text("20 of 20 hosts ended")


def _see_who_differs(page: Page) -> None:
    page.keyboard.type("gg")
    differing = "#groups-all .grp:has(ins)"
    expect(page.locator(differing)).to_have_count(1)
    tab_to(page, differing, 12)
    expect(page.locator(f"{differing}:focus")).to_contain_text('- VERSION="12 (birch)" + VERSION="11 (amber)"')
    page.keyboard.press("Enter")
    name = page.locator(".oh h2")
    expect(name).to_have_text("demo05")
    expect(page.locator("#L2")).to_contain_text("11 (amber)")
    for host in ("demo11", "demo13"):
        page.keyboard.press("]")
        expect(name).to_have_text(host)


def _rerun_the_failed(page: Page) -> None:
    page.keyboard.press("r")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 2 hosts…")
    tab_to(page, "#rerun-go", 6)
    page.keyboard.press("Enter")
    page.wait_for_url("**/run?*")
    expect(page.locator("#go-label")).to_have_text("Run on 2 hosts")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/jobs/2$"))
    expect(page.locator("#pill")).to_have_text("Failed", timeout=_JOB_MS)


def _go_to_the_first_job(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("#1")
    expect(page.locator("dialog .found a").first).to_contain_text("#1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/1$"))
    expect(page.locator("#grid .t.o")).to_have_count(18)


def _export(page: Page) -> list[dict[str, str]]:
    """Takes the hosts of the job along as CSV and returns its rows."""
    page.keyboard.press("e")
    tab_to(page, "#export a", 3)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    return list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
