"""The live job page: its counters, views, rows, stream and addresses."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from opsconsole.inventory import hostkeys
from opsconsole.jobs.models import WorkerProcess
from opsconsole.jobs.states import Reason, RunState
from tests.browser.playing import Players, started
from tests.functional.api.play import Play
from tests.support.factories import make_key
from tests.support.keyboard import tab_to
from tests.support.liveserver import LiveServer


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


def test_the_rerun_menu_means_the_hosts_that_are_shown(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = started(live, play, 12, 12)
    for place in range(12):
        workers.end(place, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    page.fill("#host-query", "web1")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(4)
    page.click("#rerun summary")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 4 hosts…")
    page.click("#rerun-go")
    expect(page.locator("#targets")).to_have_value("web1\nweb10\nweb11\nweb12")
    page.go_back()
    # Where the names that were looked for are not to be seen, they leave nobody out.
    page.click(".tabs a[data-view=overview]")
    page.click("#rerun summary")
    expect(page.locator("#rerun-go")).to_have_text("Rerun on 12 hosts…")


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
    last = page.locator(".hsel", has=page.locator(".hrow[data-i='0']"))
    # For those who hear the page it is a list, of which they are told where they are.
    assert [last.get_attribute(f"aria-{name}") for name in ("posinset", "setsize")] == ["300", "300"]
    assert page.get_by_role("listitem").filter(has_text="web1").count() > 0
    page.click("#hosts-table a[data-sort=host]")
    expect(rows.first).to_contain_text("web1")
    expect(rows.first).to_be_in_viewport()


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
