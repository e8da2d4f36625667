"""The connection of a job page: streams, polls, silence, and what is left behind."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from opsconsole.web.sse import streams_of
from tests.browser.conftest import Watch
from tests.browser.playing import Players, started
from tests.support.console import until
from tests.support.liveserver import LiveServer


def test_where_streams_are_swallowed_the_page_polls(live: LiveServer, page: Page, play: Players, watch: Watch) -> None:
    watch.allowed += ["Failed to load resource", "events"]
    job, workers = started(live, play, 2, 2)

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body="")

    page.route("**/events*", refuse)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#link")).to_have_text("Polling")
    workers.write(0, b"still there\n")
    workers.end(0)
    expect(page.locator("#grid .t.o")).to_have_count(1)
    expect(page.locator("#L1")).to_contain_text("still there")
    workers.end(1)
    expect(page.locator("#pill")).to_have_text("Succeeded")


def test_whose_session_has_ended_is_asked_to_sign_in_and_comes_back(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, workers = started(live, play)
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#pane .oh")).to_contain_text("exit 0")
    page.context.clear_cookies()
    page.keyboard.press("j")
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page).to_have_url(f"{live.url}/login?next=/jobs/{job}?host%3Dweb2")


def test_a_connection_that_falls_silent_is_not_called_live(live: LiveServer, page: Page, play: Players) -> None:
    job, _workers = started(live, play)
    page.clock.install()
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_attribute("data-link", "live")
    # As after a lost tunnel: nothing comes, and nobody closes the connection.
    page.context.route("**/api/v1/jobs/**", lambda _route: None)
    page.clock.fast_forward(41_000)
    expect(page.locator("#link")).to_have_attribute("data-link", "retry")


def test_a_stream_that_never_speaks_is_given_up(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 2, 2)
    page.route("**/events*", lambda route: None)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Polling", timeout=8000)
    workers.end(0)
    expect(page.locator("#grid .t.o")).to_have_count(1)


def test_a_hidden_tab_holds_no_stream_and_catches_up(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 2, 2)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    with page.expect_event("requestfailed", lambda request: "events" in request.url):
        hide(page, True)
    workers.end(0)
    page.wait_for_timeout(700)
    expect(page.locator("#grid .t.o")).to_have_count(0)
    hide(page, False)
    expect(page.locator("#grid .t.o")).to_have_count(1)


def hide(page: Page, hidden: bool) -> None:
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_leaving_the_page_leaves_no_request_behind(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, workers = started(live, play)
    workers.write(0, b"a line\n")
    page = new_page(width=390)
    open_requests: set[str] = set()
    page.on("request", lambda request: open_requests.add(request.url))
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: open_requests.discard(request.url))
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    page.locator("#grid a").first.click()
    expect(page.locator("#L1")).to_be_visible()
    # A closed pane: its host is followed no longer, and a change of its state does not bring it back.
    page.click("#pane [data-close]")
    page.wait_for_timeout(2000)
    assert [url.partition("?")[2] for url in open_requests] == ["notices=true"]
    workers.end(0)
    expect(page.locator("#grid .t.o")).to_have_count(1)
    expect(page.locator("#pane")).not_to_have_class(re.compile("open"))
    # Another page, and no page: the server has nobody to write to.
    assert streams_of(live.app).count == 1
    page.goto(f"{live.url}/jobs")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.wait_for_timeout(2000)
    assert not [url for url in open_requests if f"/jobs/{job}/" in url]
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    page.close()
    until(lambda: streams_of(live.app).count == 0, 10, "the closed tab's stream is gone")
