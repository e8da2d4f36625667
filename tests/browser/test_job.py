"""The live job page. The file is longer than 400 lines because its tests share the jobs that they play."""

import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect
from sqlalchemy import update

from opsconsole.inventory import hostkeys
from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun, WorkerProcess
from opsconsole.jobs.states import Reason, RunState
from opsconsole.web.sse import streams_of
from tests.browser.conftest import Watch
from tests.functional.api.play import Play
from tests.support.console import until
from tests.support.factories import make_key
from tests.support.keyboard import tab_to
from tests.support.liveserver import LiveServer

Players = Callable[[int], Play]
# What is said of following in the frame that comes after the wheel was turned.
_NOTE_THE_NEXT_FRAME = """() => { window.afterTheWheel = new Promise((tell) => {
  const said = () => tell(document.querySelector("#follow").getAttribute("aria-pressed"));
  document.querySelector(".log").addEventListener("wheel", () => requestAnimationFrame(said), { once: true });
}); }"""


def started(live: LiveServer, play: Players, count: int = 6, running: int = 3) -> tuple[int, Play]:
    """A job of which some hosts run."""
    typed = f"RUN {count}" if count >= 1000 else str(count)
    order = Order(targets=f"web[1-{count}]", command="uptime", max_failures="50%", confirm=typed, reason="a test")
    job = live.launch(order)
    workers = play(job)
    workers.start(*range(running))
    return job, workers


def test_the_page_follows_a_job_to_its_end(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 3, 3)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#grid .t.r")).to_have_count(3)
    # When nothing is left to start, the one that has run the longest is named in place of a guess.
    expect(page.locator("div:has(> #left)")).to_have_text(re.compile(r"^\d+ m?s\s*waiting for 3: web1$"))
    workers.write(0, b"up 3 days\n")
    workers.end(0)
    expect(page.locator("#grid .t.o")).to_have_count(1)
    expect(page.locator("div:has(> #left)")).to_have_text(re.compile(r"^\d+ m?s\s*waiting for 2: web2$"))
    expect(page.locator("#pct")).to_have_text("33%")
    workers.end(1, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    expect(page.locator(".chip[data-state=f] b")).to_have_text("1")
    expect(page.locator("#budget")).to_contain_text("1 of 1")
    workers.end(2)
    expect(page.locator("#pill")).to_have_text("Partial")
    expect(page.locator("#pct")).to_have_text("100%")
    expect(page.locator("#groups-top .grp")).to_have_count(2, timeout=10_000)
    expect(page.locator("#link")).to_be_hidden()
    expect(page.locator("#left")).to_be_hidden()
    expect(page.locator(".pct")).to_have_attribute("tabindex", "0")
    expect(page).to_have_title("Partial · #1 uptime")
    expect(page.locator("summary:has-text('Cancel job')")).to_be_hidden()


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


def test_what_the_filters_show_is_exported(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.end(0, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page.goto(f"{live.url}/jobs/{job}")
    page.click(".chip[data-state=f]")
    page.keyboard.press("e")
    with page.expect_download() as download:
        page.click("#export a >> text=Names of the hosts")
    assert download.value.suggested_filename == f"job-{job}.txt"
    assert download.value.path().read_text() == "web1\n"
    # Hosts by what they wrote: the same grid, table and export.
    workers.write(1, b"a needle\n")
    workers.end(1)
    page.goto(f"{live.url}/jobs/{job}?find=needle&hits=with")
    expect(page.locator("#grid .t:not(.dim)")).to_have_count(1)
    page.click("#grid .t:not(.dim)")
    expect(page.locator("#hits")).to_have_text("1 of 1")
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page.locator("#hosts-table .hsel")).to_have_count(1)
    expect(page.locator("#export a").first).to_have_attribute("href", re.compile("find=needle&found=with"))


def test_a_line_has_an_address(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.write(0, b"".join(b"line %d\n" % n for n in range(1, 3001)))
    workers.end(0)
    page.goto(f"{live.url}/jobs/{job}/h/web1#L2500")
    expect(page.locator("#L2500.hl")).to_be_in_viewport()


def test_counters_filter_and_the_address_keeps_them(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.end(0, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page.goto(f"{live.url}/jobs/{job}")
    page.click(".chip[data-state=f]")
    expect(page).to_have_url(f"{live.url}/jobs/{job}?state=f")
    expect(page.locator("#grid .t:not(.dim)")).to_have_count(1)
    page.click(".tabs a[data-view=hosts]")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(1)
    expect(page.locator("#hosts-table .rows")).to_contain_text("exit 3")
    page.click(".chip[data-state=r]", modifiers=["Shift"])
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(3)
    page.reload()
    expect(page.locator(".chip.on")).to_have_count(2)
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(3)
    page.click(".chip[data-state='']")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    page.keyboard.press("2")
    expect(page.locator("#nobody")).to_contain_text("No hosts timed out.")
    expect(page.locator("#nobody.good")).to_have_count(0)
    page.click("#nobody a")
    expect(page.locator("#nobody")).to_be_hidden()
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    page.fill("#host-query", "web6")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(1)


def test_who_goes_back_before_the_page_has_its_hosts_gets_that_view(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, _ = started(live, play)
    page.goto(f"{live.url}/jobs/{job}")
    page.click(".tabs a[data-view=hosts]")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    held: list[Route] = []
    page.route("**/roster", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/roster"):
        page.reload()
    page.evaluate("() => history.back()")
    expect(page).to_have_url(f"{live.url}/jobs/{job}")
    held[0].continue_()
    expect(page.locator("#grid .t").first).to_be_visible()
    expect(page).to_have_url(f"{live.url}/jobs/{job}")


def test_the_rerun_menu_follows_the_counters(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.end(0, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    workers.end(1, state=RunState.TIMED_OUT, reason=Reason.COMMAND_TIMEOUT.value)
    page.goto(f"{live.url}/jobs/{job}?state=f")
    page.click("#rerun summary")
    expect(page.locator("#rerun input[value=k]")).not_to_be_checked()
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 1 host…")
    page.click("#rerun summary")
    page.click(".chip[data-state='']")
    page.click("#rerun summary")
    expect(page.locator("#rerun input[value=k]")).to_be_checked()
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 2 hosts…")
    page.check("#rerun-all")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 5 hosts…")
    page.uncheck("#rerun input[value=f]")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 4 hosts…")
    expect(page.locator("#rerun-all")).not_to_be_checked()


def test_the_way_back_leads_through_views_and_filters(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play)
    workers.end(0, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page.goto(f"{live.url}/jobs")
    page.goto(f"{live.url}/jobs/{job}")
    page.click(".tabs a[data-view=hosts]")
    page.click(".tabs a[data-view=hosts]")
    page.click(".chip[data-state=f]")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(1)
    expect(page.locator("#hosts-table .rows")).to_contain_text("exit 3")
    page.click("#hosts-table .rows .hrow >> nth=0")
    expect(page).to_have_url(f"{live.url}/jobs/{job}?view=hosts&state=f&host=web1")
    with page.expect_event("load"):
        page.go_back()
    expect(page).to_have_url(f"{live.url}/jobs/{job}?view=hosts")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    expect(page.locator(".chip.on")).to_have_attribute("data-state", "")
    page.reload()
    with page.expect_event("load"):
        page.go_back()
    expect(page).to_have_url(f"{live.url}/jobs/{job}")
    expect(page.locator("#grid .t").first).to_be_visible()
    with page.expect_event("load"):
        page.go_forward()
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    with page.expect_event("load"):
        page.go_back()
    page.go_back()
    expect(page).to_have_url(f"{live.url}/jobs")


def test_the_table_follows_and_is_sorted_by_the_server(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 300, 3)
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    rows = page.locator("#hosts-table .rows .hrow")
    expect(rows.first).to_contain_text("web1")
    assert rows.count() < 80
    expect(page.locator("#link")).to_have_text("Live")
    workers.end(1, state=RunState.FAILED, exit_status=7, reason=Reason.EXIT_STATUS.value)
    expect(page.locator(".hrow[data-i='1']")).to_contain_text("exit 7")
    page.click("#hosts-table a[data-sort=host]")
    page.click("#hosts-table a[data-sort=host]")
    expect(rows.first).to_contain_text("web99")
    page.locator(".body").hover()
    page.mouse.wheel(0, 100_000)
    expect(page.locator(".hrow[data-i='0']")).to_be_in_viewport()


def test_rows_keep_what_they_know_when_the_stream_comes_later(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 6, 3)
    workers.end(1, state=RunState.FAILED, exit_status=7, reason=Reason.EXIT_STATUS.value)
    held: list[Route] = []
    page.route(f"**/jobs/{job}/events*", lambda route: held.append(route))
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    expect(page.locator(".hrow[data-i='1']")).to_contain_text("exit 7")
    # This one ends after the rows were fetched and before the first word of the stream, which tells its state alone.
    workers.end(2, state=RunState.FAILED, exit_status=9, reason=Reason.EXIT_STATUS.value)
    held[0].continue_()
    # On a busy machine the page has stopped waiting for the stream and asks instead: the first answer tells the same.
    expect(page.locator("#link")).to_have_text(re.compile("Live|Polling"))
    expect(page.locator(".hrow[data-i='2']")).to_contain_text("exit 9")
    expect(page.locator(".hrow[data-i='1']")).to_contain_text("exit 7")


def test_from_the_order_to_the_rerun_by_keyboard_alone(live: LiveServer, page: Page, play: Players) -> None:
    page.goto(f"{live.url}/run")
    tab_to(page, "[name=targets]")
    page.keyboard.type("web[1-6]")
    tab_to(page, "[name=command]")
    page.keyboard.type("uptime")
    expect(page.locator("#go-label")).to_have_text("Run on 6 hosts")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    job = int(page.url.rpartition("/")[2])
    workers = play(job)
    workers.start(*range(6))
    workers.end(1, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    workers.end(4, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    expect(page.locator(".chip[data-state=f] b")).to_have_text("2")
    name = page.locator(".oh h2")
    page.keyboard.press("]")
    expect(name).to_have_text(re.compile("web[25]"))
    page.keyboard.press("[")
    expect(name).to_have_text("web2")
    page.keyboard.press("]")
    expect(name).to_have_text("web5")
    page.keyboard.press("j")
    expect(name).to_have_text("web6")
    page.keyboard.type("gh")
    expect(page.locator("#hosts-table .rows")).to_be_visible()
    page.keyboard.type("go")
    tab_to(page, "#grid a")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(name).to_have_text("web6")
    page.keyboard.press("r")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 2 hosts…")
    tab_to(page, "#rerun-go")
    page.keyboard.press("Enter")
    page.wait_for_url("**/run?*")
    assert "csrf" not in page.url
    expect(page.locator("#go-label")).to_have_text("Run on 2 hosts")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"{live.url}/jobs/{job + 1}")
    expect(page.locator("#grid .t")).to_have_count(2)


def test_cancel_from_the_page(live: LiveServer, page: Page, play: Players) -> None:
    job, _ = started(live, play)
    page.goto(f"{live.url}/jobs/{job}")
    page.click("summary:has-text('Cancel job')")
    expect(page.locator("form.ask")).to_contain_text("3 not started will be cancelled, 3 running get TERM")
    page.click("form.ask button")
    expect(page.locator("#pill")).to_have_text("Stopping")
    expect(page.locator("#grid .t.x")).to_have_count(3)
    expect(page.locator("#stopped")).to_have_text("cancelled by admin")


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


def test_who_differs_is_shown_as_the_line_that_differs(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 4, 4)
    for place in range(4):
        workers.write(place, b"NAME=Demo\nVERSION=%d\n" % (11 if place == 2 else 12))
    workers.end(0, 1, 3)
    workers.end(2, output_digest="e" * 64)
    page.goto(f"{live.url}/jobs/{job}")
    groups = page.locator("#groups-top .grp")
    expect(groups.nth(0)).to_contain_text("majority, others are compared with it")
    expect(groups.nth(1).locator("del")).to_have_text("- VERSION=12")
    expect(groups.nth(1).locator("ins")).to_have_text("+ VERSION=11")


def test_a_group_leaves_its_hosts_alone_undimmed_and_the_mode_is_in_the_address(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, workers = started(live, play, 4, 4)
    for place in range(4):
        workers.write(place, b"took %d ms\n" % place)
        workers.end(place, output_digest=f"{place}" * 64, digest_similar=("a" if place else "b") * 64)
    page.goto(f"{live.url}/jobs/{job}")
    groups = page.locator("#groups-top .grp")
    expect(groups).to_have_count(2)
    expect(groups.nth(0)).to_contain_text("took ‹duration›")
    groups.nth(0).click()
    expect(page.locator("#grid .dim")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"group=[0-9a-f]{12}"))
    page.reload()
    expect(page.locator("#grid .dim")).to_have_count(1)
    page.locator("#groups-top [data-mode=exact]").click()
    expect(groups).to_have_count(4)
    expect(page.locator("#grid .dim")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"mode=exact"))
    page.locator("#groups-top [data-mode=similar]").click()
    expect(groups).to_have_count(2)
    page.locator("#groups-top .grow").nth(0).get_by_role("link", name="Open").click()
    expect(page.locator("#names")).to_have_text("web[2-4]")
    expect(page.locator("#spread")).to_contain_text("2 ms")


def test_another_mode_is_shown_though_a_list_was_on_its_way(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 4, 4)
    for place in range(3):
        workers.write(place, b"took %d ms\n" % place)
        workers.end(place, output_digest=f"{place}" * 64, digest_similar="a" * 64)
    held: list[Route] = []
    last = threading.Event()

    def answer(route: Route) -> None:
        if last.is_set():
            held.append(route)
        else:
            route.continue_()

    # From the start: a request that is on its way while the browser begins to ask what to do with them may never end.
    page.route("**/grouped?mode=&*", answer)
    page.goto(f"{live.url}/jobs/{job}")
    groups = page.locator("#groups-top .grp")
    expect(groups).to_have_count(1)
    last.set()
    workers.write(3, b"took 3 ms\n")
    workers.end(3, output_digest="3" * 64, digest_similar="a" * 64)
    while not held:
        page.wait_for_timeout(10)
    page.locator("#groups-top [data-mode=exact]").click()
    held[0].continue_()
    expect(groups).to_have_count(4)


def test_a_picture_is_never_wider_than_its_window(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 1200, 3)
    workers.end(0, 1)
    # It is drawn anew when its place has another size; until then it must not push the page sideways.
    page.add_init_script("window.ResizeObserver = class { observe() {} unobserve() {} disconnect() {} }")
    for view, picture in (("overview", "#grid canvas"), ("timeline", "[data-chart] canvas")):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{live.url}/jobs/{job}?view={view}")
        expect(page.locator(picture).first).to_be_visible()
        page.wait_for_function("picture => document.querySelector(picture).clientWidth > 400", arg=picture)
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_grid_is_arranged_and_walked_in_parts(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime", waves="2,100%"))
    workers = play(job)
    workers.start(0, 1)
    workers.end(1, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page.goto(f"{live.url}/jobs/{job}")
    page.get_by_label("Arrange by").select_option("wave")
    headings = page.locator("#grid h3")
    expect(headings).to_have_text(["1 2 hosts, 1 needs attention, 1 to go", "2 4 hosts, 4 to go"])
    expect(page).to_have_url(re.compile("by=wave"))
    page.locator("#grid a").nth(1).focus()
    for key, place in (("ArrowDown", "3"), ("ArrowUp", "1"), ("End", "5"), ("Home", "0")):
        page.keyboard.press(key)
        expect(page.locator("#grid a:focus")).to_have_attribute("data-i", place)
    workers.end(0)
    expect(headings.first).to_have_text("1 2 hosts, 1 needs attention")
    page.reload()
    expect(headings).to_have_count(2)
    with live.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job, HostRun.i < 2).values(worker="vm:worker-1:7"))
    page.get_by_label("Arrange by").select_option("worker")
    expect(headings).to_have_text([re.compile("worker-1"), re.compile("without it")])
    page.set_viewport_size({"width": 390, "height": 900})
    page.get_by_label("Arrange by").select_option("")
    expect(headings).to_have_count(0)
    expect(page.locator("#grid a")).to_have_count(6)


def test_no_group_of_one_is_a_majority(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 3, 3)
    for place in range(3):
        workers.write(place, b"NAME=Demo\nVERSION=%d\n" % place)
        workers.end(place, output_digest=f"{place}" * 64)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#groups-top .grp")).to_have_count(3)
    expect(page.locator("#groups-note")).to_have_text("3 groups from 3 hosts; names, times, sizes and PIDs ignored")
    expect(page.locator("#groups-top")).not_to_contain_text("compared")
    expect(page.locator("#groups-top del")).to_have_count(0)


def offer(live: LiveServer, workers: Play, place: int, reason: Reason) -> None:
    """Lets a host turn out to show a key that nobody trusts."""
    key = make_key()
    with live.database.transaction() as session:
        hostkeys.offer(session, f"web{place + 1}", 22, key, now=live.runtime.clock.now())
    workers.refuse(place, reason=reason.value, host_key=hostkeys.fingerprint(key))


def test_unknown_and_changed_keys_are_announced_as_they_come(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 6, 1)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#offered")).to_be_empty()
    offer(live, workers, 3, Reason.HOST_KEY_UNKNOWN)
    expect(page.locator("#offered")).to_contain_text("1 host showed a key that the console does not know.")
    expect(page.locator("#offered .alarm")).to_have_count(0)
    offer(live, workers, 4, Reason.HOST_KEY_UNKNOWN)
    offer(live, workers, 5, Reason.HOST_KEY_CHANGED)
    expect(page.locator("#offered")).to_contain_text("2 hosts showed keys")
    expect(page.locator("#offered .alarm")).to_contain_text("1 host showed ANOTHER key than the trusted one: web6")
    page.click("#offered a:has-text('Compare the keys')")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.click("button:has-text('Trust these keys and rerun')")
    page.wait_for_url(f"{live.url}/jobs/{job + 1}")
    expect(page.locator("#grid .t")).to_have_count(2)
    page.goto(f"{live.url}/jobs/{job}?host=web4")
    expect(page.locator(".oh")).to_contain_text("Now trusted.")
    page.click(".oh button:has-text('Rerun on this host')")
    page.wait_for_url(f"{live.url}/jobs/{job + 2}")


def test_a_phone_shows_whole_fingerprints_and_workers(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, workers = started(live, play, 2, 0)
    offer(live, workers, 0, Reason.HOST_KEY_UNKNOWN)
    offer(live, workers, 1, Reason.HOST_KEY_CHANGED)
    with live.database.transaction() as session:
        now = live.runtime.clock.now()
        name = "worker-1@a-very-long-name-of-a-machine.example.internal"
        session.add(
            WorkerProcess(id="w1", name=name, pid=4711, version="0.1.0", slots=100, beat_at=now, started_at=now)
        )
    page = new_page(width=390)
    for path, cell in ((f"/jobs/{job}/keys", "Fingerprint"), ("/workers", "Name")):
        page.goto(live.url + path)
        sizes = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert sizes[0] <= sizes[1], (path, sizes)
        box = page.locator(f"td[data-label='{cell}']").first.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390


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


def test_states_keep_their_colours_where_others_are_forced(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, workers = started(live, play)
    workers.end(0)
    page = new_page(forced_colors="active", color_scheme="light")
    page.goto(f"{live.url}/jobs/{job}")
    for part in ("#grid .t.o", "#bar .o", ".chip .t.o"):
        expect(page.locator(part)).to_have_css("background-color", "rgb(159, 216, 189)")


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


def test_the_list_follows_its_jobs_and_shows_new_ones(live: LiveServer, page: Page, play: Players) -> None:
    _job, workers = started(live, play, 2, 2)
    page.goto(f"{live.url}/jobs?q=uptime")
    expect(page.locator("[data-done]")).to_have_text("0 / 2")
    page.locator("tbody a").first.focus()
    workers.end(0)
    expect(page.locator("[data-done]")).to_have_text("1 / 2")
    workers.end(1)
    expect(page.locator("tr", has_text="Succeeded")).to_have_count(1)
    expect(page.locator("tbody a").first).to_be_focused()
    started(live, play, 1, 1)
    expect(page.locator("tbody tr")).to_have_count(2, timeout=12_000)


def test_five_thousand_hosts(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 5000, 40)
    page.goto(f"{live.url}/jobs/{job}")
    canvas = page.locator("#grid canvas")
    expect(canvas).to_be_visible()
    assert page.locator("#grid a").count() == 0
    expect(page.locator(".chip[data-state=r] b")).to_have_text("40")
    workers.end(*range(20))
    expect(page.locator("#done")).to_have_text("20 of 5,000 hosts ended")
    canvas.focus()
    page.keyboard.press("End")
    expect(page.locator(".oh h2")).to_have_text("web5000")
    page.keyboard.press("Home")
    expect(page.locator(".oh h2")).to_have_text("web1")
    size = page.evaluate(
        "() => [document.querySelector('#grid canvas').offsetHeight, document.querySelector('.body').clientHeight]"
    )
    assert size[0] < size[1]
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    assert nodes < 1500
    page.click(".tabs a[data-view=hosts]")
    expect(page.locator("#hosts-table .rows .hrow").first).to_contain_text("web1")
    assert page.locator("#hosts-table .rows .hrow").count() < 100
