"""The global search and the list of keys, by keyboard alone."""

import re

from playwright.sync_api import Page, expect

from opsconsole.jobs.launch import Order
from tests.support.factories import make_host
from tests.support.liveserver import LiveServer


def test_search_and_keys_by_keyboard(live: LiveServer, page: Page) -> None:
    job = live.launch(Order(targets="web[1-3]", command="uptime"))
    with live.database.transaction() as session:
        for name in ("web1", "web2", "db1"):
            make_host(session, name)
    page.goto(f"{live.url}/jobs/{job}")
    page.keyboard.press("Control+k")
    box = page.get_by_role("searchbox", name="Jobs, hosts")
    expect(box).to_be_focused()
    # Who types faster than answers come goes where the typed words lead.
    page.keyboard.type("web2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/hosts/web2")
    page.keyboard.press("Control+k")
    page.keyboard.type("web")
    links = page.locator("dialog a")
    expect(links.nth(1)).to_have_text(re.compile("web2"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    # On a link further letters go into the box.
    page.keyboard.type("1")
    expect(box).to_have_value("web1")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Ctrl K")
    # Keys of the page rest while a dialog asks; opening it twice would be one of them.
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_have_count(1)
    with page.expect_response("**/me/preferences"):
        page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    expect(box).to_be_focused()
    expect(page.locator("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    page.goto(f"{live.url}/me")
    expect(page.get_by_label("Single keys")).not_to_be_checked()
