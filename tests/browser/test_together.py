"""How a job's hosts are shown together: the grid and the output groups."""

import re
import threading
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect
from sqlalchemy import update

from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun
from opsconsole.jobs.states import Reason, RunState
from tests.browser.playing import Players, started
from tests.support.liveserver import LiveServer


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


def test_states_keep_their_colours_where_others_are_forced(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, workers = started(live, play)
    workers.end(0)
    page = new_page(forced_colors="active", color_scheme="light")
    page.goto(f"{live.url}/jobs/{job}")
    for part in ("#grid .t.o", "#bar .o", ".chip .t.o"):
        expect(page.locator(part)).to_have_css("background-color", "rgb(159, 216, 189)")


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
