"""The pages of hosts, groups and imports at a real browser, with and without script."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.service import locate
from tests.browser.conftest import Watch
from tests.support.clock import START
from tests.support.factories import make_host
from tests.support.liveserver import LiveServer

_FILE = """\
name,address,port,groups,tag:dc
web1,10.0.0.1,2222,web,eu
bad;name,,,,
db1,10.0.0.9,,db,us
"""


def _fleet(database: Database, count: int) -> None:
    with database.transaction() as session:
        names = [f"web{number:04}" for number in range(1, count + 1)]
        for name in names:
            make_host(session, name, tags={"dc": "eu" if int(name[3:]) % 2 else "us"}, now=START)
        set_group(session, "web", names)


def test_from_nothing_to_hosts_by_pasting_them(page: Page, live: LiveServer) -> None:
    page.goto(f"{live.url}/hosts")
    expect(page.locator("body")).to_contain_text("No hosts yet. Paste a list")
    page.click("text=Paste or import")
    page.fill("#text", _FILE)
    page.click("text=Show what would change")
    expect(page.locator("body")).to_contain_text("line 3")
    page.check("text=leave the faulty lines out")
    page.click("text=Make 4 changes")
    expect(page.locator(".invrows")).to_contain_text("db1")
    page.click(".invrows >> text=db1")
    expect(page.locator("#address")).to_have_value("10.0.0.9")
    page.fill("#tags", "dc=us role=db")
    page.click("main button >> text=Save")
    expect(page.locator("body")).to_contain_text("Saved.")


def test_thousands_of_hosts_are_found_ticked_and_tagged(
    page: Page, live: LiveServer, database: Database, watch: Watch
) -> None:
    # The browser's own line about the unknown group below.
    watch.allowed.append("422")
    _fleet(database, 1500)
    page.goto(f"{live.url}/hosts?q=@web")
    expect(page.locator("#total")).to_have_text("1,500 of 1,500")
    assert page.locator(".invrows .invrow").count() < 120
    page.locator(".invscroll").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    page.fill("#q", "@web & @dc:us & web00[01-20]")
    expect(page.locator("#total")).to_have_text("10 of 1,500")
    page.check(".invrows input >> nth=0")
    page.fill("[name=tags]", "role=first -dc")
    page.click("button[value=tag]")
    expect(page.locator("body")).to_contain_text("1 change was made")
    with database.read() as session:
        assert locate(session, ["web0002"])["web0002"].tags == {"role": "first"}
    page.fill("#q", "@nothing")
    expect(page.locator("#q-error")).to_contain_text("no group")


def test_without_script_many_are_frozen_and_removed(
    new_page: Callable[..., Page], live: LiveServer, database: Database
) -> None:
    _fleet(database, 3)
    page = new_page("root", Role.ADMIN, javascript=False)
    page.goto(f"{live.url}/hosts")
    page.check("[name=everything]")
    page.fill("[name=reason]", "moving")
    page.click("button[value=freeze]")
    expect(page.locator(".pill.frozen")).to_have_count(3)
    page.check("[value=web0001]")
    page.click("button[value=remove]")
    expect(page.locator("h1")).to_contain_text("Remove 1 host")
    page.click("button.danger")
    expect(page.locator("#total")).to_have_text("2 of 2")


def test_a_viewer_looks_and_changes_nothing(
    new_page: Callable[..., Page], live: LiveServer, database: Database
) -> None:
    _fleet(database, 2)
    page = new_page("eve", Role.VIEWER, width=390)
    page.goto(f"{live.url}/hosts")
    expect(page.locator(".invrows")).to_contain_text("web0002")
    assert page.locator(".bulk, .invrows input").count() == 0
    page.goto(f"{live.url}/groups/web")
    assert page.locator("form[action*=groups]").count() == 0
    assert page.request.get(f"{live.url}/hosts/import").status == 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_pages_have_no_serious_finding(
    new_page: Callable[..., Page], live: LiveServer, database: Database, scheme: str
) -> None:
    page = new_page(color_scheme=scheme)
    found = []
    for path in ("/hosts", "/hosts?q=@web", "/hosts/web0001", "/hosts/new", "/hosts/import", "/groups", "/groups/web"):
        if path == "/hosts?q=@web":
            _fleet(database, 30)
            with database.transaction() as session:
                locate(session, ["web0001"])["web0001"].frozen = True
        page.goto(live.url + path)
        expect(page.locator("main")).to_be_visible()
        page.wait_for_load_state("networkidle")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                nodes = [node["html"][:160] + " " + node["failureSummary"][:300] for node in violation["nodes"][:3]]
                found.append((path, violation["id"], nodes))
    assert not found, "\n".join(map(str, found))
