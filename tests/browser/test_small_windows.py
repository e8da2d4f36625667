"""Small windows: a phone upright and on its side, a page zoomed to twice its size."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.playing import Players, started
from tests.support.liveserver import LiveServer

_UPRIGHT = (390, 700)
_LYING = (844, 390)
_ZOOMED = (720, 450)


@pytest.mark.parametrize("size", [_UPRIGHT, _LYING, _ZOOMED])
def test_the_rows_that_are_seen_exist_and_no_others(
    live: LiveServer, page: Page, play: Players, size: tuple[int, int]
) -> None:
    job, _workers = started(live, play, 3000, 1)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    rows = page.locator("#hosts-table .rows .hrow")
    expect(rows.first).to_contain_text("web1")
    assert rows.count() < 100
    page.mouse.move(size[0] / 3, size[1] - 20)
    page.mouse.wheel(0, 200_000)
    expect(page.locator("#hosts-table .rows")).to_contain_text("web3000")
    expect(page.get_by_text("web3000", exact=True)).to_be_in_viewport()
    assert rows.count() < 100


@pytest.mark.parametrize("size", [_UPRIGHT, _LYING, _ZOOMED])
@pytest.mark.parametrize("place", ["/jobs/{job}?host=web1", "/jobs/{job}/h/web1"])
def test_an_output_can_be_read(live: LiveServer, page: Page, play: Players, size: tuple[int, int], place: str) -> None:
    job, workers = started(live, play, 2, 1)
    workers.write(0, b"".join(b"line %d\n" % n for n in range(1, 5001)))
    workers.end(0)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{live.url}{place.format(job=job)}")
    expect(page.locator("#L1, #L5000").first).to_be_attached()
    log = page.locator(".log")
    log.scroll_into_view_if_needed()
    box = log.bounding_box()
    # Less is no window to read in, and more would never be scrolled, so that it would stay at its first lines.
    assert box is not None
    assert 120 <= box["height"] <= size[1]
    page.click("#to-last")
    expect(page.locator("#L5000")).to_be_in_viewport()
