"""The output pane of a job, while its hosts run and after."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from opsconsole.jobs.states import RunState
from tests.browser.conftest import Watch
from tests.browser.playing import Players, started
from tests.support.liveserver import LiveServer

# What is said of following in the frame that comes after the wheel was turned.
_NOTE_THE_NEXT_FRAME = """() => { window.afterTheWheel = new Promise((tell) => {
  const said = () => tell(document.querySelector("#follow").getAttribute("aria-pressed"));
  document.querySelector(".log").addEventListener("wheel", () => requestAnimationFrame(said), { once: true });
}); }"""


def test_output_appears_while_the_command_runs(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".log")).to_have_text("Nothing printed yet.")
    workers.write(0, b"first line\n")
    expect(page.locator("#L1")).to_contain_text("first line")
    workers.write(0, b"trouble\n", fd=2)
    expect(page.locator("#L2.e")).to_contain_text("trouble")
    workers.write(0, b"no end yet")
    expect(page.locator(".log")).to_contain_text("no end yet")
    workers.end(0, last_line="no end yet")
    expect(page.locator("#L3")).to_contain_text("no end yet")
    expect(page.locator(".oh")).to_contain_text("exit 0")
    expect(page.locator("#follow")).to_have_count(0)
    expect(page.locator(".log")).not_to_contain_text("Nothing")
    page.hover("#grid .t >> nth=0")
    expect(page.locator(".tip")).to_have_text(re.compile("web1  OK  exit 0  .*no end yet"))
    page.get_by_role("button", name="Next ›").click()
    expect(page.locator(".log")).to_have_text("Nothing printed yet.")
    workers.end(1)
    expect(page.locator(".log")).to_have_text("Finished with exit 0 and printed nothing.")


def test_what_a_page_fetches_is_in_the_language_of_its_address(
    live: LiveServer, page: Page, play: Players, watch: Watch
) -> None:
    watch.allowed.append("422")
    job, workers = started(live, play)
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}?lang=zh&host=web1")
    expect(page.locator("#pane .oh")).to_contain_text("退出码 0")
    with page.expect_response("**/grouped?*"):
        workers.end(1, state=RunState.FAILED, exit_status=1)
    expect(page.locator("#groups-top .modes")).to_contain_text("精确")
    page.goto(f"{live.url}/run?lang=zh&targets=@nobody")
    expect(page.locator("#targets-error")).to_contain_text("没有主机组")


def test_the_last_lines_are_shown_when_they_came_while_older_ones_were_on_their_way(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, workers = started(live, play)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator(".log")).to_have_text("Nothing printed yet.")
    held: list[tuple[Route, APIResponse]] = []

    def answer_late(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    page.route("**/output?*", answer_late)
    with page.expect_request("**/output?*"):
        workers.write(0, b"first line\n")
    while not held:
        page.wait_for_timeout(10)
    workers.write(0, b"the end\n")
    workers.end(0)
    expect(page.locator(".oh")).to_contain_text("exit 0")
    # As long as what is told of new lines is gathered (log.js), so that it finds the old question under way.
    page.wait_for_timeout(400)
    route, answer = held[0]
    route.fulfill(response=answer)
    expect(page.locator(".log")).to_contain_text("the end")


def test_lines_that_come_late_do_not_stand_beside_those_of_another_place(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, workers = started(live, play)
    workers.write(0, b"".join(b"line %d\n" % n for n in range(1, 2001)))
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}/h/web1")
    expect(page.locator("#L1")).to_be_visible()
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/output?from_line=251&*", lambda route: held.append((route, route.fetch())))
    page.locator(".log").hover()
    page.mouse.wheel(0, 100_000)
    while not held:
        page.wait_for_timeout(10)
    page.click("#to-last")
    expect(page.locator("#L2000")).to_be_in_viewport()
    route, answer = held[0]
    with page.expect_response("**/output?from_line=251&*"):
        route.fulfill(response=answer)
    page.evaluate("() => new Promise((drawn) => setTimeout(drawn, 100))")
    expect(page.locator(".log .ln[id]").last).to_have_id("L2000")
    expect(page.locator("#L2000")).to_be_in_viewport()


def test_errors_alone_are_shown_wherever_they_are(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    many = b"".join(b"line %d\n" % n for n in range(1, 2001))
    workers.write(0, many)
    workers.write(0, b"trouble\n", fd=2)
    workers.write(0, many)
    workers.write(1, b"fine\n")
    for _ in range(14):
        workers.write(2, b"trouble\n" * 50, fd=2)
        workers.write(2, b"fine\n" * 1000)
    workers.end(0, 1, 2)
    page.goto(f"{live.url}/jobs/{job}/h/web1")
    page.click("#to-last")
    expect(page.locator("#L4001")).to_be_in_viewport()
    page.click("#errors")
    expect(page.locator("#L2001.e")).to_contain_text("trouble")
    expect(page.locator(".log .ln[id]")).to_have_count(1)
    page.fill("#find", "line 700")
    page.press("#find", "Enter")
    expect(page.locator("#L700")).to_be_in_viewport()
    expect(page.locator("#errors")).to_have_attribute("aria-pressed", "false")
    page.goto(f"{live.url}/jobs/{job}/h/web2")
    expect(page.locator("#L1")).to_be_visible()
    page.click("#errors")
    expect(page.locator(".log .empty")).to_have_text("Nothing on stderr.")
    page.click("#errors")
    expect(page.locator("#L1")).to_be_visible()
    expect(page.locator(".log .empty")).to_have_count(0)
    page.goto(f"{live.url}/jobs/{job}/h/web3")
    page.click("#errors")
    expect(page.locator(".log .ln[id]").first).to_have_id("L1")
    page.click("#to-last")
    expect(page.locator("#L13700.e")).to_be_in_viewport()
    expect(page.locator(".log .ln[id]").first).to_have_id("L9451")
    page.locator(".log").hover()
    while page.locator(".log .ln[id]").first.get_attribute("id") != "L1":
        page.mouse.wheel(0, -3000)
        page.wait_for_timeout(50)
    expect(page.locator(".log .ln[id]")).to_have_count(700)


def test_reading_upward_stops_following_at_once(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.write(0, b"".join(b"line %d\n" % n for n in range(1, 301)))
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#L300")).to_be_in_viewport()
    page.locator(".log").hover()
    page.evaluate(_NOTE_THE_NEXT_FRAME)
    bottom = page.evaluate("() => document.querySelector('.log').scrollTop")
    page.mouse.wheel(0, -2000)
    assert page.evaluate("() => window.afterTheWheel") == "false"
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
    # The browser scrolls some time after it has told of the wheel.
    page.wait_for_function("(end) => document.querySelector('.log').scrollTop <= end", arg=bottom - 2000 + 2)
    top = page.evaluate("() => document.querySelector('.log').scrollTop")
    workers.write(0, b"".join(b"more %d\n" % n for n in range(50)))
    expect(page.locator("#newer")).to_have_text("50 new lines")
    assert page.evaluate("() => document.querySelector('.log').scrollTop") == pytest.approx(top, abs=2)
    page.click("#newer")
    expect(page.locator("#L350")).to_be_in_viewport()


def test_search_finds_what_is_not_on_the_page(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    for start in range(1, 300_000, 50_000):
        text = b"".join(b"line %d of many\n" % n for n in range(start, start + 50_000))
        workers.write(0, text.replace(b"line 299999 ", b"\x1b[31mline 299999\x1b[0m with a Needle "))
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#L1")).to_be_visible()
    page.click("#L3 > a")
    page.click("#L5 > a", modifiers=["Shift"])
    assert page.url.endswith("#L3-L5")
    page.reload()
    expect(page.locator(".ln.hl")).to_have_count(3)
    page.locator(".log").focus()
    page.keyboard.press("Control+f")
    page.keyboard.type("needle")
    expect(page.locator("#hits")).to_have_text("1 of 1")
    expect(page.locator("#L299999.hl")).to_be_in_viewport()
    marked = "() => [...CSS.highlights.get('found')].map(String)"
    assert page.evaluate(marked) == ["Needle"]
    page.click("#find-case")
    expect(page.locator("#hits")).to_have_text("Not found")
    page.fill("#find", "^line .*99 of")
    expect(page.locator("#hits")).to_have_text("Not found")
    page.click("#find-re")
    expect(page.locator("#hits")).to_have_text("1 of 2,999")
    expect(page.locator("#L99.hl")).to_be_in_viewport()
    page.press("#find", "Shift+Enter")
    expect(page.locator("#hits")).to_have_text("2,999 of 2,999")
    expect(page.locator("#L299899.hl")).to_be_in_viewport()
    page.goto(f"{live.url}/jobs/{job}/h/web1?find=needle#L299999")
    expect(page.locator("#L299999.hl")).to_be_in_viewport()
    expect(page.locator("#hits")).to_have_text("1 of 1")


def test_a_line_has_an_address(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.write(0, b"".join(b"line %d\n" % n for n in range(1, 3001)))
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}/h/web1#L2500")
    expect(page.locator("#L2500.hl")).to_be_in_viewport()
    # An address of a line that is not there, by a typing error or of another run, leads to the last one.
    for beyond in (3040, 999_999):
        page.goto(f"{live.url}/jobs/{job}/h/web1#L{beyond}")
        page.reload()
        expect(page.locator("#L3000")).to_be_in_viewport()


def test_on_a_phone_the_way_back_uncovers_the_page(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, _ = started(live, play)
    page = new_page(width=390)
    page.goto(f"{live.url}/jobs/{job}")
    page.locator("#grid a").nth(1).click()
    expect(page.locator("#pane.open")).to_be_visible()
    expect(page).to_have_url(f"{live.url}/jobs/{job}?host=web2")
    page.go_back()
    expect(page.locator("#pane")).to_be_hidden()
    expect(page).to_have_url(f"{live.url}/jobs/{job}")


def test_what_was_followed_can_be_read_from_its_end(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 1, 1)
    workers.write(0, b"one\n")
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    expect(page.locator("#follow")).to_be_visible()
    expect(page.locator("#to-last")).to_be_hidden()
    workers.end(0)
    expect(page.locator("#follow")).to_have_count(0)
    expect(page.locator("#to-last")).to_be_visible()


def test_the_foot_of_the_pane_counts_as_the_servers(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 1, 1)
    page.goto(f"{live.url}/jobs/{job}?host=web1")
    workers.write(0, b"abcde\n")
    expect(page.locator("[data-count]")).to_have_text("1 line, 6 B")
    workers.write(0, b"err\n", fd=2)
    expect(page.locator("[data-count]")).to_have_text("2 lines, 10 B, 4 B on stderr")
    workers.end(0)
    expect(page.locator(".oh")).to_contain_text("exit 0")
    expect(page.locator("[data-count]")).to_have_text("2 lines, 10 B, 4 B on stderr")
    expect(page.locator("#done")).to_have_text("1 of 1 host ended")
