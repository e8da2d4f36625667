"""The timeline of a job: what is drawn of it, what is chosen in it, and that it follows a running job."""

import re
from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import Reason, RunState
from tests.browser.playing import Players
from tests.functional.api.play import Play
from tests.support.keyboard import tab_to
from tests.support.liveserver import LiveServer

# How many pixels of a canvas have (nearly) the colour that the style sheet gives a custom property.
_PIXELS = """(canvas, name) => {
  const probe = document.createElement("i");
  document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  if (!canvas.width || !canvas.height) return 0;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const away = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b);
    if (data[at + 3] > 250 && away < 6) count++;
  }
  return count;
}"""


def played(live: LiveServer, play: Players) -> tuple[int, Play]:
    """Four hosts, two at a time: web1 well after 10 s, web2 failed after 20 s, web3 runs since then, web4 waits."""
    job = live.launch(Order(targets="web[1-4]", command="uptime", concurrency=2))
    workers = play(job)
    workers.start(0, 1, 2)
    workers.end(0)
    workers.end(1, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    began = workers.clock.now() - timedelta(seconds=30)
    times = {0: (0, 10), 1: (0, 20), 2: (10, None)}
    with live.runtime.database.transaction() as session:
        session.get_one(Job, job).started_at = began
        for run in session.scalars(select(HostRun).where(HostRun.job_id == job, HostRun.i.in_(times))):
            start, end = times[run.i]
            run.claimed_at = run.started_at = began + timedelta(seconds=start)
            run.finished_at = None if end is None else began + timedelta(seconds=end)
    return job, workers


def drawn(canvas: Locator, colour: str) -> int:
    pixels: int = canvas.evaluate(_PIXELS, colour)
    return pixels


def shows(page: Page, canvas: Locator, colour: str, shown: bool = True) -> None:
    """Waits until a colour is on a canvas, or not any more."""
    handle = canvas.element_handle()
    page.wait_for_function(
        f"([canvas, name, shown]) => (({_PIXELS})(canvas, name) > 0) === shown", arg=[handle, colour, shown]
    )


def test_a_job_is_drawn_by_slot_and_followed(live: LiveServer, page: Page, play: Players) -> None:
    job, workers = played(live, play)
    page.goto(f"{live.url}/jobs/{job}")
    page.keyboard.type("gt")
    expect(page).to_have_url(re.compile("view=timeline"))
    chart = page.locator("#chart")
    expect(chart).to_contain_text("one row per slot: 2 rows hold every host")
    counts, bars = chart.locator("canvas").first, chart.locator("canvas").last
    for colour in ("ok", "fail", "run"):
        shows(page, bars, colour)
    shows(page, counts, "fail")
    assert not drawn(counts, "run")
    workers.end(2)
    shows(page, bars, "run", shown=False)
    workers.leave(3, RunState.CANCELLED)
    expect(page.locator("#pill")).to_have_text("Partial")


def test_rows_are_chosen_in_the_address_and_filters_dim(live: LiveServer, page: Page, play: Players) -> None:
    job, _ = played(live, play)
    page.goto(f"{live.url}/jobs/{job}?view=timeline&rows=failures")
    chart = page.locator("#chart")
    expect(chart).to_contain_text("the host in trouble")
    bars = chart.locator("canvas").last
    shows(page, bars, "fail")
    assert not drawn(bars, "ok")
    page.get_by_role("link", name="Slowest").click()
    expect(page).to_have_url(re.compile("rows=slowest"))
    shows(page, bars, "ok")
    page.keyboard.press("1")
    expect(page).to_have_url(re.compile("state="))
    page.locator(".chip[data-state=o]").click()
    shows(page, bars, "fail", shown=False)
    chart.get_by_role("link", name="Table instead").click()
    expect(page).to_have_url(re.compile(r"view=hosts&sort=-ms"))
    expect(page.locator(".hrow .mono").first).to_have_text("web1")


def test_a_stretch_of_time_is_drawn_with_the_pointer_and_a_bar_opens_its_host(
    live: LiveServer, page: Page, play: Players
) -> None:
    job, _ = played(live, play)
    page.goto(f"{live.url}/jobs/{job}?view=timeline")
    bars = page.locator("#chart canvas").last
    shows(page, bars, "fail")
    box = bars.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 5)
    expect(page.locator(".tip", has_text="web1 OK")).to_be_visible()
    page.mouse.click(box["x"] + 60, box["y"] + 15)
    expect(page).to_have_url(re.compile("host=web2"))
    page.mouse.move(box["x"] + 40, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 8, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"[?&]t=\d+-\d+"))
    # What one lets go over is not chosen.
    expect(page).to_have_url(re.compile("host=web2"))
    page.get_by_role("button", name="Whole job").click()
    expect(page).not_to_have_url(re.compile("[?&]t="))


def test_bars_are_walked_by_keyboard(live: LiveServer, page: Page, play: Players) -> None:
    job, _ = played(live, play)
    page.goto(f"{live.url}/jobs/{job}?view=timeline")
    shows(page, page.locator("#chart canvas").last, "fail")
    tab_to(page, "#chart canvas[tabindex]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart [aria-live]")).to_contain_text("web3 Running")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#pane h2")).to_have_text("web2")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"[?&]t=\d+-\d+"))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("[?&]t="))


def test_without_script_the_ended_hosts_stand_in_a_table(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    job, _ = played(live, play)
    page = new_page(javascript=False)
    page.goto(f"{live.url}/jobs/{job}?view=timeline")
    rows = page.locator("#chart tbody tr")
    expect(rows).to_have_count(12)
    assert rows.locator("td:nth-child(4)").all_inner_texts().count("1") == 1
