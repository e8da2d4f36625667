"""Columns from output in the Hosts view: added, sorted by the server, and kept by filters and exports."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from opsconsole.jobs.launch import Order
from tests.functional.api.play import Play
from tests.support.liveserver import LiveServer


def test_a_column_is_added_sorted_and_exported(live: LiveServer, page: Page, play: Callable[[int], Play]) -> None:
    job = live.launch(Order("web[1-3]", "uptime"))
    workers = play(job)
    workers.start(0, 1, 2)
    for place, load in enumerate((2, 10, 3)):
        workers.write(place, f"load={load}\n".encode())
        workers.end(place, output_digest=str(place) * 64)
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    page.click("#add-column summary")
    page.fill("#add-column input", "key:load")
    page.press("#add-column input", "Enter")
    values = page.locator("#hosts-table .rows .cells")
    expect(values).to_have_text(["2", "10", "3"])
    page.click("#hosts-table a[data-sort=load]")
    expect(values).to_have_text(["2", "3", "10"])
    expect(page).to_have_url(re.compile(r"column=key%3Aload&sort=load"))
    page.fill("#host-query", "web[1-2]")
    expect(values).to_have_text(["2", "10"])
    expect(page.locator("#columns")).to_contain_text("2 of 2 hosts have a value")
    page.click("#export summary")
    expect(page.locator("#export a").first).to_have_attribute("href", re.compile("sort=-?load.*column=key%3Aload"))
