"""The Run page of a console that runs on hosts of its inventory alone."""

import pytest
from playwright.sync_api import Page, expect

from opsconsole.jobs.launch import Order
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


def test_hosts_of_a_job_are_chosen_by_a_range(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        for number in range(1, 31):
            make_host(session, f"web{number:02}")
    live.launch(Order("web[01-30]", "uptime"))
    page.goto(f"{live.url}/jobs/1?view=hosts")
    page.fill("#host-query", "web[18-20],web0*")
    expect(page.locator("#hosts-table a.hrow")).to_have_count(12)
    page.click("#choose-shown")
    expect(page.locator("#chosen-count")).to_have_text("12 hosts chosen")
    page.locator("#chosen").get_by_role("button", name="Pause").click()
    expect(page.locator("#hosts-table a.hrow", has_text="(held)")).to_have_count(12)


def test_a_command_is_saved_by_a_key_and_begun_with_again(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        make_host(session, "web1")
    page.fill("#targets", "web1")
    page.fill("#command", "df -h")
    page.keyboard.press("Control+s")
    expect(page.locator("#save_name")).to_be_focused()
    page.keyboard.type("Disk space")
    page.keyboard.press("Control+s")
    page.wait_for_url(f"{live.url}/saved/1?kept=1")
    page.goto(f"{live.url}/run")
    page.click("#saved-menu summary")
    page.get_by_role("link", name="Disk space").click()
    expect(page.locator("#command")).to_have_value("df -h")
    expect(page.locator("#go-label")).to_have_text("Run on 1 host")
