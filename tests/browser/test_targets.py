"""The Run page of a console that runs on hosts of its inventory alone."""

import pytest
from playwright.sync_api import Page, expect

from opsconsole.settings import Settings
from tests.support.factories import make_host
from tests.support.liveserver import LiveServer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_unlisted_hosts": False})


def test_unknown_names_are_mended_by_a_click(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        for number in range(1, 4):
            make_host(session, f"web{number}")
    page.fill("#targets", "wbe[1-2],elsewhere7")
    expect(page.locator("#items")).to_contain_text("did you mean web[1-2]?")
    expect(page.locator("#go")).to_be_disabled()
    page.get_by_role("button", name="web[1-2]", exact=True).click()
    expect(page.locator("#targets")).to_have_value("web[1-2],elsewhere7")
    expect(page.locator("#go")).to_be_disabled()
    page.check("#skip_unknown")
    expect(page.locator("#go-label")).to_have_text("Run on 2 hosts")
    expect(page.locator("#go")).to_be_enabled()
    expect(page.locator("#add-these")).to_have_attribute("href", f"{live.url}/hosts/import?text=elsewhere7")
