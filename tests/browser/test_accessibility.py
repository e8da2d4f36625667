"""An automated scan of each page in both themes and both languages (axe-core): nothing serious, nothing critical."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import update

from opsconsole.accounts.permissions import Role
from opsconsole.inventory.groups import add_group
from opsconsole.jobs import grouping
from opsconsole.jobs.conntest import ConnectionTests
from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import ConnectionTest, Job, WorkerProcess
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.play import Play
from tests.support import snapshots
from tests.support.clock import START
from tests.support.factories import make_host
from tests.support.liveserver import LiveServer

# Each page's endpoint, and where to look at it. A new page fails the test until it has a line here.
PAGES = {
    "pages.all_host_keys": ["/host-keys"],
    "pages.connection_test": ["/tests/{test}"],
    "pages.files": ["/files"],
    "pages.job_files": ["/jobs/1/files"],
    "pages.new_test": ["/tests"],
    "pages.pick_hosts": ["/run/hosts"],
    "pages.audit": ["/audit", "/audit?actor=nobody"],
    "pages.authorities": ["/host-keys/authorities"],
    "pages.credential": ["/credentials/deploy"],
    "pages.credentials": ["/credentials"],
    "pages.group": ["/groups/web"],
    "pages.groups": ["/groups"],
    "pages.home": ["/"],
    "pages.host": ["/hosts/web1"],
    "pages.host_keys": ["/jobs/1/keys"],
    "pages.host_run": ["/jobs/1/h/web2"],
    "pages.hosts": ["/hosts"],
    "pages.import_hosts": ["/hosts/import"],
    "pages.job": ["/jobs/1", "/jobs/1?view=hosts&column=re:.%2B", "/jobs/1?view=groups", "/jobs/1?view=timeline",
                  "/jobs/1?view=details", "/jobs/2", "/jobs/2?view=hosts&sort=-ms", "/jobs/3"],
    "pages.jobs": ["/jobs"],
    "pages.keyboard": ["/keyboard"],
    "pages.me": ["/me"],
    "pages.tokens": ["/me/tokens"],
    "pages.new_credential": ["/credentials/new?kind=private_key", "/credentials/new?kind=external"],
    "pages.new_host": ["/hosts/new"],
    "pages.output_group": ["/jobs/1/g/{failed}"],
    "pages.queue": ["/queue"],
    "pages.run": ["/run?targets=web[1-200]&command=uptime", "/run?targets=web[1-9]&command=uptime&canary=1&waves=2",
                  "/run?saved=1"],
    "pages.saved": ["/saved"],
    "pages.saved_command": ["/saved/1"],
    "pages.search": ["/search", "/search?q=web1", "/search?q=nothing+of+the+kind"],
    "pages.settings": ["/settings"],
    "pages.short_link": ["/j/1.web2"],
    "pages.stop": ["/stop"],
    "pages.users": ["/users"],
    "pages.workers": ["/workers"],
}  # fmt: skip
# Parts that other pages take in, and a download.
NO_PAGES = {"pages.notices", "pages.pane", "pages.grouped", "pages.lineage", "pages.timeline", "pages.doubts",
            "pages.carried", "pages.columns", "pages.keys_notice", "pages.found",
            "pages.export_audit", "pages.export_hosts", "pages.job_file", "pages.job_zip"}  # fmt: skip
WIDTHS = (1280, 390)
SIGNED_OUT = {"pages.login": "/login"}


def test_each_page_is_looked_at(live: LiveServer) -> None:
    rules = [rule for rule in live.app.url_map.iter_rules() if rule.endpoint.startswith("pages.")]
    shown = {rule.endpoint for rule in rules if "GET" in (rule.methods or ())}
    assert shown == {*PAGES, *NO_PAGES, *SIGNED_OUT}


@pytest.mark.parametrize(("locale", "language", "scheme"), [("en-US", "en", "light"), ("zh-CN", "zh-CN", "dark")])
def test_pages_have_no_serious_finding_and_keep_the_policy(
    live: LiveServer,
    new_page: Callable[..., Page],
    play: Callable[[int], Play],
    watch: object,
    locale: str,
    language: str,
    scheme: str,
) -> None:
    """Refused scripts, requests to other hosts and faults on the console are what ``watch`` sees."""
    job = live.launch(Order(targets="web[1-30]", command="uptime", max_failures="50%"))
    waved = live.launch(Order(targets="web[1-30]", command="uptime", canary="1", waves="5", max_failures="50%"))
    watched = live.launch(Order(targets="web[1-12]", command="uptime", watched=True))
    live.keep("disks", Order(targets="web[1-30]", command="df -h", env={"LC_ALL": "C"}))
    with live.database.transaction() as session:
        session.add(WorkerProcess(id="w", name="w", pid=1, version="1", slots=9, beat_at=START, started_at=START))
    assert (job, waved, watched) == (1, 2, 3)
    play(waved).start(0)
    play(waved).end(0, state=RunState.LOST, reason=Reason.WORKER_LOST.value)
    workers = play(job)
    workers.start(*range(8))
    workers.write(1, b"\x1b[31mred\x1b[32mgreen\x1b[33myellow\x1b[34mblue\x1b[35mviolet\x1b[36mcyan\x1b[0m\n")
    workers.write(1, b"on stderr\n", fd=2)
    workers.end(0, 2)
    workers.end(1, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    workers.end(3, state=RunState.TIMED_OUT, reason=Reason.COMMAND_TIMEOUT.value)
    workers.refuse(9, reason=Reason.AUTH.value)
    with live.database.transaction() as session:
        make_host(session, "web1", tags={"dc": "eu"})
    administrator = live.person("admin", Role.ADMIN)
    now = live.runtime.clock.now()
    with live.database.transaction() as session:
        add_group(session, "web", {"hosts": ["web1"]}, actor=administrator, now=now)
    watch.allowed.append("404")  # type: ignore[attr-defined]
    page = new_page(color_scheme="light", reduced_motion="reduce")
    page.goto(f"{live.url}/credentials/new?kind=password")
    for field, value in (("name", "deploy"), ("password", "not told"), ("scope", "web1")):
        page.fill(f"[name={field}]", value)
    page.click("main form button:has-text('Add')")
    page.wait_for_url("**/credentials/deploy*")
    with live.database.read() as session:
        told = grouping.groups(session, session.get_one(Job, job), states="failed")
    with live.database.transaction() as session:
        settings = live.runtime.settings
        test = ConnectionTests(settings).ask(session, Order(targets="web1", command="true"), administrator, now=now)
        step = {"stage": "tcp", "verdict": "failed", "ms": 3, "detail": "Nothing listens there."}
        session.execute(update(ConnectionTest).values(done_at=now, ok=False, findings=[step]))
    page = new_page(color_scheme=scheme, reduced_motion="reduce", locale=locale)
    found: list[tuple[object, ...]] = []
    spoken: list[str] = []
    # Without script a page says the same however far a job has come meanwhile.
    still = new_page(javascript=False, locale=locale) if language != "en" else None
    small = new_page(width=390, color_scheme=scheme, reduced_motion="reduce") if still is None else None
    for name, path in [*looks(), ("nothing", "/nothing")]:
        url = live.url + path.format(failed=told["groups"][0]["g"], test=test)
        found += findings(page, url, scheme)
        assert page.locator("html").get_attribute("lang") == language
        found += too_broad(page)
        if small is not None:
            found += findings(small, url, scheme)
        if still is not None:
            still.goto(url)
            spoken += snapshots.differences(f"{language}/{name}", snapshots.told(still))
    anyone = new_page(None, color_scheme=scheme, reduced_motion="reduce", locale=locale)
    found += findings(anyone, live.url + SIGNED_OUT["pages.login"], scheme)
    found += too_broad(anyone)
    assert not found, "\n".join(map(str, found))
    assert not spoken, "\n".join(spoken[:200])


def looks() -> Iterator[tuple[str, str]]:
    """Yields a name for each look at a page, and where to look."""
    for endpoint, paths in PAGES.items():
        for at, path in enumerate(paths, start=1):
            yield f"{endpoint.removeprefix('pages.')}{f'-{at}' if len(paths) > 1 else ''}", path


def luminance(colour: str) -> float:
    """Returns the relative luminance (WCAG 2) of ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_states_that_recede_can_be_made_to_stand_out_and_paper_shows_the_content(
    live: LiveServer, new_page: Callable[..., Page]
) -> None:
    page = new_page(color_scheme="light")
    page.goto(f"{live.url}/me")
    with page.expect_response("**/me/preferences"):
        page.get_by_label("High-contrast").check()
    page.goto(f"{live.url}/run")
    colour = """name => { const node = document.body.appendChild(document.createElement("i"));
        node.style.color = `var(--${name})`;
        const value = getComputedStyle(node).color; node.remove(); return value }"""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        ground = luminance(page.evaluate(colour, "surface"))
        for state in ("ok", "que"):
            dark, light = sorted((luminance(page.evaluate(colour, state)), ground))
            assert (light + 0.05) / (dark + 0.05) >= 3, (scheme, state)
    page.emulate_media(media="print")
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator("main")).to_be_visible()
    page.goto(f"{live.url}/me")
    page.emulate_media(media="screen")
    with page.expect_response("**/me/preferences"):
        page.get_by_label("High-contrast").uncheck()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.contrast") == "normal"


def findings(page: Page, url: str, scheme: str) -> list[tuple[str, str, list[str]]]:
    """Returns what is serious on the page at ``url``. A language has one theme: colours do not depend on the words."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    expect(page.locator("main")).to_be_visible()
    page.wait_for_timeout(500)
    violations = Axe().run(page).response["violations"]
    return [
        (url, one["id"], [node["html"][:160] + " " + node["failureSummary"][:300] for node in one["nodes"][:3]])
        for one in violations
        if one["impact"] in {"serious", "critical"}
    ]


def too_broad(page: Page) -> list[tuple[str, int, int]]:
    """Returns the widths, a desk's and a phone's, at which the page has to be pushed sideways, and by how much."""
    before, found = page.viewport_size, []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        by = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if by > 0:
            found.append((page.url, width, by))
    assert before is not None
    page.set_viewport_size(before)
    return found
