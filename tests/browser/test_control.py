"""What a person does to a job from its page, in real Chromium: pause, waves, chosen hosts, emergency stop."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select, update

from opsconsole.accounts.permissions import Role
from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.states import JobState, PauseReason, Reason, RunState
from opsconsole.jobs.transitions import lock_job
from tests.browser.playing import Players
from tests.support.liveserver import LiveServer


def test_a_job_is_paused_and_resumed_where_it_stands(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime"))
    play(job).start(0, 1)
    page.goto(f"{live.url}/jobs/{job}")
    page.click(".steer button:text-is('Pause')")
    expect(page.locator("#pill")).to_have_text("Paused")
    expect(page.locator("#stopped")).to_have_text("paused by admin")
    expect(page.locator(".steer button:text-is('Pause')")).to_be_hidden()
    page.click(".steer button:text-is('Resume')")
    expect(page.locator("#pill")).to_have_text("Running")
    expect(page.locator("#stopped")).to_have_text("")
    expect(page).to_have_url(f"{live.url}/jobs/{job}")


def test_the_waves_are_shown_and_one_waits_for_a_person(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime", canary="1", canary_gate="manual", waves="2"))
    workers = play(job)
    workers.start(0)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#wave-list li")).to_have_text(["Canary 1", "Wave 1 2", "Wave 2 2", "Wave 3 1"])
    expect(page.locator("#wave-list [aria-current]")).to_have_text("Canary 1")
    expect(page.locator("#wave-note")).to_have_text("")
    workers.end(0)
    with live.database.transaction() as session:
        waits = {"state": JobState.PAUSED.value, "pause_reason": PauseReason.CANARY.value, "ver": Job.ver + 1}
        session.execute(update(Job).where(Job.id == job).values(waits))
    expect(page.locator("#stopped")).to_have_text("the canary is done: it waits for you")
    page.click(".steer button:text-is('Continue')")
    expect(page.locator("#pill")).to_have_text("Running")
    expect(page.locator("#wave-list [aria-current]")).to_have_text("Wave 1 2")
    expect(page.locator("#wave-list .done")).to_have_text("Canary 1")


def test_a_hidden_page_tells_what_it_was_asked_to_tell_once(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    page = new_page(permissions=["notifications"])
    page.context.add_init_script("""window.shown = []; window.asked = 0;
      window.Notification = class { constructor(title, more) { window.shown.push([title, more.body]); } close() {}
        static async requestPermission() { window.asked += 1; return "granted"; } };""")
    job = live.launch(Order(targets="web[1-3]", command="uptime", canary="1", canary_gate="manual", waves="2"))
    workers = play(job)
    workers.start(0)
    page.goto(f"{live.url}/jobs/{job}")
    page.click("#tell summary")
    assert page.evaluate("() => window.asked") == 0
    for name in ("when it ends with not all OK", "when it waits for me", "the same for further jobs"):
        page.check(f"#tell label:has-text('{name}') input")
    page.wait_for_function("() => window.asked > 0", timeout=60_000)
    page.evaluate("""() => { Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange")); }""")
    workers.end(0)
    with live.database.transaction() as session:
        waits = {"state": JobState.PAUSED.value, "pause_reason": PauseReason.CANARY.value, "ver": Job.ver + 1}
        session.execute(update(Job).where(Job.id == job).values(waits))
    page.wait_for_function("() => window.shown.length === 1", timeout=60_000)
    title, body = page.evaluate("() => window.shown[0]")
    assert title == f"Paused · #{job}"
    assert "the canary is done: it waits for you" in body
    assert "OK 1" in body
    with live.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(state=JobState.RUNNING.value, ver=Job.ver + 1))
    workers.start(1, 2)
    workers.end(1)
    workers.end(2, state=RunState.FAILED, exit_status=1)
    page.wait_for_function("() => window.shown.length === 2", timeout=60_000)
    assert page.evaluate("() => window.shown[1][0]") == f"Partial · #{job}"
    following = live.launch(Order(targets="web1", command="uptime"))
    page.goto(f"{live.url}/jobs/{following}")
    expect(page.locator("#tell [data-tell=waits]")).to_be_checked()
    expect(page.locator("#tell [data-tell=finished]")).not_to_be_checked()
    page.goto(f"{live.url}/run")
    page.click("#tell summary")
    expect(page.locator("#tell [data-tell=waits]")).to_be_checked()
    page.check("#tell [data-tell=long]")
    page.fill("#tell [type=number]", "7")
    page.fill("#targets", "web1")
    page.fill("#command", "uptime")
    page.click("#go")
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#tell [data-tell=long]")).to_be_checked()
    expect(page.locator("#tell [type=number]")).to_have_value("7")


def test_what_is_ticked_before_the_page_has_its_hosts_counts(
    live: LiveServer, new_page: Callable[..., Page], play: Players
) -> None:
    page = new_page(permissions=["notifications"])
    page.context.add_init_script("""window.asked = 0;
      window.Notification = class { static async requestPermission() { window.asked += 1; return "granted"; } };""")
    job = live.launch(Order(targets="web1", command="uptime"))
    play(job).start(0)
    held: list[Route] = []
    page.route("**/roster", lambda route: held.append(route))
    with page.expect_request("**/roster"):
        page.goto(f"{live.url}/jobs/{job}")
    page.click("#tell summary")
    page.check("#tell [data-tell=finished]")
    assert page.evaluate("() => window.asked") == 0
    with page.expect_response("**/roster"):
        held.pop().continue_()
    page.wait_for_function("() => window.asked === 1", timeout=60_000)
    expect(page.locator("#tell [data-tell=finished]")).to_be_checked()


def test_the_pause_between_waves_counts_down(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-4]", command="uptime", waves="2"))
    play(job).start(0)
    with live.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(wave=1, hold_ms=30_000, ver=Job.ver + 1))
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#wave-note")).to_have_text("Wave 2 starts in 28 s", timeout=20_000)
    page.click(".steer button:text-is('Continue')")
    expect(page.locator("#wave-note")).to_have_text("2 of 2")


def test_one_wave_is_held_back_and_cancelled(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime", waves="2"))
    play(job).start(0)
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    page.click(".waves summary")
    page.select_option("#wave", label="Wave 2, 2 hosts")
    page.click(".waves button:text-is('Pause')")
    expect(page.locator("#hosts-table .rows .hrow", has_text="(held)")).to_have_count(2)
    page.click(".waves summary")
    page.select_option("#wave", label="Wave 3, 2 hosts")
    page.click(".waves button:text-is('Cancel')")
    expect(page.locator("#grid .t.x")).to_have_count(2)


def test_chosen_hosts_are_held_resumed_and_cancelled(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime"))
    play(job).start(0)
    page.goto(f"{live.url}/jobs/{job}?view=hosts")
    expect(page.locator("#hosts-table .rows .hrow")).to_have_count(6)
    expect(page.locator("#chosen")).to_be_hidden()
    page.click(".tabs a[data-view=overview]")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#chosen")).to_be_hidden()
    page.click("#grid a:nth-child(3)", modifiers=["Shift"])
    page.click("#grid a:nth-child(5)", modifiers=["Shift"])
    expect(page.locator("#chosen-count")).to_have_text("3 hosts chosen")
    expect(page.locator("#grid .tick")).to_have_count(3)
    page.keyboard.type("gh")
    expect(page.locator("#hosts-table .rows input:checked")).to_have_count(3)
    page.uncheck("#hosts-table input[aria-label='web4']")
    page.click("#chosen button[data-verb=pause]")
    expect(page.locator("#hosts-table .rows .hrow", has_text="(held)")).to_have_count(2)
    page.click("#chosen button[data-verb=resume]")
    expect(page.locator("#hosts-table .rows .hrow", has_text="(held)")).to_have_count(0)
    page.click("#chosen summary")
    page.click("#chosen button[data-verb=cancel]")
    expect(page.locator("#chosen details")).not_to_have_attribute("open", "")
    expect(page.locator(".chip[data-state=x] b")).to_have_text("2")
    page.click("#chosen button[data-verb=rerun]")
    expect(page.locator("#go-label")).to_have_text("Run on 2 hosts")


def test_what_was_refused_is_said(live: LiveServer, page: Page, play: Players, watch: object) -> None:
    watch.allowed.append("409")  # type: ignore[attr-defined]
    job = live.launch(Order(targets="web1", command="uptime"))
    workers = play(job)
    workers.start(0)
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    page.route(f"**/api/v1/jobs/{job}/pause", lambda route: (workers.end(0), route.continue_()))
    page.click(".steer button:text-is('Pause')")
    expect(page.locator("#refused")).to_contain_text("has ended")


def test_emergency_stop_asks_tells_everybody_and_is_lifted(
    live: LiveServer, page: Page, new_page: Callable[..., Page], play: Players
) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime"))
    play(job).start(0, 1)
    other = new_page("bert", Role.OPERATOR)
    other.goto(f"{live.url}/run")
    page.goto(f"{live.url}/jobs")
    page.click(".menu summary")
    page.click("a:has-text('Emergency stop')")
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("4 not started will be cancelled, 2 running get TERM, then KILL.")
    dialog.locator("[data-close-dialog]").click()
    expect(dialog).to_have_count(0)
    page.click(".menu summary")
    page.click("a:has-text('Emergency stop')")
    page.fill("#stop-reason", "the wrong disk")
    page.click("dialog button:has-text('Stop everything now')")
    page.wait_for_url("**/queue")
    expect(page.locator("#notices")).to_contain_text("admin stopped the console")
    expect(other.locator("#notices")).to_contain_text("the wrong disk")
    expect(other.locator("#notices button")).to_have_count(0)
    page.click("#notices button")
    expect(page.locator("#notices")).to_have_text("")
    # Told by the stream of the page, well before anybody would ask again.
    expect(other.locator("#notices")).to_have_text("", timeout=4000)


def test_the_queue_says_who_waits_for_what(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="uptime", priority="high"))
    page.goto(f"{live.url}/queue")
    row = page.locator("#queue tbody tr")
    expect(row).to_contain_text("No worker is connected")
    expect(row).to_contain_text("high")
    play(job).start(*range(6))
    expect(row).to_contain_text("all hosts have started", timeout=15_000)


def test_without_script_a_job_is_paused_and_its_waves_too(live: LiveServer, new_page: Callable[..., Page]) -> None:
    page = new_page("bert", Role.OPERATOR, javascript=False)
    page.goto(f"{live.url}/run")
    page.fill("#targets", "web[1-6]")
    page.fill("#command", "uptime")
    page.check("[name=pace][value=waves]")
    page.fill("#waves", "2")
    page.click("button.nojs:has-text('Preview')")
    expect(page.locator("#waves-panel")).to_contain_text("Canary of 1, then 3 waves")
    page.click("#go")
    page.click(".steer button:text-is('Pause')")
    expect(page.locator("#pill")).to_have_text("Paused")
    page.click(".steer button:text-is('Resume')")
    page.click(".waves summary")
    page.select_option("#wave", index=1)
    page.click(".waves button:text-is('Pause')")
    page.click(".tabs a:has-text('Hosts')")
    expect(page.locator("#hosts-table a.hrow", has_text="(held)")).to_have_count(2)
    page.check("#hosts-table input[aria-label='web6']")
    page.click("#chosen summary")
    page.click("#chosen button[data-verb=cancel]")
    expect(page.locator("#chosen details")).not_to_have_attribute("open", "")
    expect(page.locator(".chip", has_text="Cancelled")).to_contain_text("1")


def test_hosts_in_doubt_are_checked_and_what_is_found_can_be_ended(live: LiveServer, page: Page, play: Players) -> None:
    job = live.launch(Order(targets="web[1-6]", command="sleep 600"))
    workers = play(job)
    workers.start(*range(4))
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#doubts")).to_have_text("")
    mark_them(live, job)
    workers.end(0, state=RunState.LOST, reason=Reason.WORKER_LOST.value)
    workers.end(1, state=RunState.CANCELLED, reason=Reason.KILL_UNCONFIRMED.value)
    strip = page.locator("#doubts")
    expect(strip).to_contain_text("2 hosts may still be running the command: web[1-2]")
    page.click("button:text-is('Look at these 2 hosts')")
    expect(strip).to_contain_text("Looking at 2 hosts")
    found(live, job, {0: "running", 1: "gone"})
    expect(strip).to_contain_text("The command is still running on 1 host. web1")
    expect(strip).to_contain_text("Looked: on 1 host it is not running any more.")
    page.click("button:text-is('End it there')")
    expect(strip).to_contain_text("Looking at 1 host")
    with live.database.read() as session:
        asked = session.scalars(select(HostRun.i).where(HostRun.job_id == job, HostRun.look_kill.is_(True))).all()
    assert asked == [0]
    found(live, job, {0: "gone"})
    expect(strip).to_contain_text("Looked: on 2 hosts it is not running any more.")


def mark_them(live: LiveServer, job: int) -> None:
    """Gives the runs the marks that their workers would have put on them."""
    with live.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == job).values(mark="0" * 16))


def found(live: LiveServer, job: int, looks: dict[int, str]) -> None:
    """Answers the question about hosts as a worker would."""
    with live.database.transaction() as session:
        ver = lock_job(session, job)
        for place, look in looks.items():
            query = update(HostRun).where(HostRun.job_id == job, HostRun.i == place)
            session.execute(query.values(look=look, look_detail="pid 812", ver=ver))


def test_reruns_stand_side_by_side(live: LiveServer, page: Page, play: Players) -> None:
    first = live.launch(Order(targets="web[1-4]", command="uptime"))
    workers = play(first)
    workers.start(*range(4))
    workers.end(0, 1, 2)
    workers.end(3, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    second = live.launch(Order(targets="web4", command="uptime", rerun_of=first))
    workers = play(second)
    workers.start(0)
    workers.end(0)
    page.goto(f"{live.url}/jobs/{first}?host=web4")
    page.click("summary:has-text('2 attempts at this host')")
    expect(page.locator(".attempts tr")).to_contain_text(["#1", "#2"])
    expect(page.locator(".attempts tr").first).to_contain_text("exit 1")
    page.click(".tabs a:has-text('Details')")
    rows = page.locator("#lineage tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("web4")
    expect(rows.first).to_contain_text("Failed")
    expect(rows.first).to_contain_text("OK")
    expect(rows.last).to_contain_text("web[1-3]")


def test_why_a_job_waits_is_said_after_a_while(live: LiveServer, page: Page, play: Players) -> None:
    with live.database.transaction() as session:
        moment = live.runtime.clock.now()
        session.add(worker_of(8, moment))
    other = live.launch(Order(targets="db[1-8]", command="sleep 600"))
    play(other).start(*range(8))
    job = live.launch(Order(targets="web[1-6]", command="uptime"))
    page.goto(f"{live.url}/jobs/{job}")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page.locator("#waiting")).to_contain_text(
        "Waiting for a free slot: no jobs ahead, 8 of 8 slots busy", timeout=30_000
    )


def worker_of(slots: int, moment: Any) -> WorkerProcess:
    """A worker process that is alive."""
    times = {"started_at": moment, "beat_at": moment}
    return WorkerProcess(id="w1", name="w1", pid=1, version="1", slots=slots, busy=slots, **times)


@pytest.mark.parametrize("width", [1440, 1400, 1120, 900])
def test_a_long_command_leaves_the_head_in_its_bounds(
    live: LiveServer, new_page: Callable[..., Page], width: int
) -> None:
    command = "apt-get -qy --only-upgrade install openssl && systemctl restart nginx && openssl version | tee /tmp/v"
    job = live.launch(Order(targets="web-eu-[001-020],web-us-[031-050],web-ap-[061-070]", command=command))
    page = new_page(width=width)
    page.goto(f"{live.url}/jobs/{job}")
    edges = "() => [...document.querySelectorAll('.cmd > *, .meta > span')].map((part) => part.getBoundingClientRect())"
    boxes = page.evaluate(edges)
    assert all(box["right"] <= width for box in boxes)
    parts = page.locator(".cmd > *")
    sides = [parts.nth(at).bounding_box() for at in range(parts.count())]
    assert all(a["x"] + a["width"] <= b["x"] + 1 for a, b in pairwise(sides) if a and b)
