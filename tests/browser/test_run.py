"""From the one-time link to a job, with and without script. Longer than 400 lines because its tests share one form."""

import shlex
from collections.abc import Callable
from contextlib import closing

from playwright.sync_api import Page, expect

from opsconsole.accounts.permissions import Role
from opsconsole.inventory.groups import add_group, set_group
from opsconsole.jobs.launch import Order
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.models import Job, WorkerProcess
from opsconsole.jobs.states import Reason, RunState
from opsconsole.settings import Settings
from tests.browser.conftest import Watch
from tests.functional.api.play import Play
from tests.support.clock import START, FakeClock
from tests.support.desk import Desk
from tests.support.factories import make_host
from tests.support.liveserver import LiveServer


def test_a_one_time_link_leads_to_the_run_page(live: LiveServer, page: Page) -> None:
    expect(page).to_have_url(f"{live.url}/run")
    expect(page.locator("#targets")).to_be_focused()


def test_preview_follows_the_typing_and_ctrl_enter_runs_once(live: LiveServer, page: Page) -> None:
    page.keyboard.type("web[1-5],web2 !web3")
    expect(page.locator("#go-label")).to_have_text("Run on 4 hosts")
    expect(page.locator("#fold")).to_have_text("web[1-2,4-5]")
    expect(page.locator("#below")).to_contain_text("1 named twice, run once")
    page.fill("#targets", "web1\nweb2\nweb2\nweb4,web5")
    expect(page.locator("#below")).to_contain_text("4 lines")
    expect(page.locator("#below")).to_contain_text("1 named twice, run once")
    page.fill("#command", "uptime")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"{live.url}/jobs/1")
    page.goto(f"{live.url}/jobs")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_fault_is_shown_at_its_column_and_blocks(page: Page, watch: Watch) -> None:
    watch.allowed.append("422")
    page.fill("#targets", "web[1-")
    expect(page.locator("#targets-error")).to_contain_text("column 4")
    expect(page.locator("#go")).to_be_disabled()
    expect(page.locator("#targets")).to_have_attribute("aria-invalid", "true")
    page.fill("#targets", "web[1-3]")
    expect(page.locator("#targets-error")).to_be_hidden()
    expect(page.locator("#go")).to_be_enabled()


def test_a_large_job_runs_only_when_its_size_is_typed(live: LiveServer, page: Page) -> None:
    page.fill("#targets", "web[1-1200]")
    page.fill("#command", "uptime")
    page.fill("#max_failures", "5%")
    page.click("text=Canary, then batches")
    expect(page.locator("#risk-text")).to_contain_text("You will be asked to type RUN 1200.")
    expect(page.locator("#go-label")).to_have_text("Run on 1,200 hosts…")
    page.keyboard.press("Control+Enter")
    expect(page.locator("dialog button", has_text="Go back")).to_be_focused()
    expect(page.locator("dialog li")).to_contain_text(
        ["1 host alone and waits for you", "failure 61; at worst 110", "fixed now"]
    )
    expect(page.locator("dialog h2")).to_have_text("Run on 1,200 hosts?")
    expect(page.locator("dialog #sure > p")).to_have_text(["web[1-1200]", "1200 hosts", "as root with: automatic"])
    expect(page.locator("#confirm-label")).to_have_text("Type RUN 1200 to confirm")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_hidden()
    page.click("#go")
    expect(page.locator("#sure-go")).to_be_disabled()
    page.fill("#confirm", "run 120")
    page.press("#confirm", "Enter")
    expect(page).to_have_url(f"{live.url}/run")
    page.fill("#confirm", "run 1200")
    expect(page.locator("#sure-go")).to_be_disabled()
    page.fill("#reason", "the yearly patch")
    expect(page.locator("#sure-go")).to_be_enabled()
    page.press("#confirm", "Enter")
    page.wait_for_url(f"{live.url}/jobs/1")


def test_enter_in_a_field_runs_nothing(live: LiveServer, page: Page) -> None:
    page.fill("#targets", "web1")
    page.fill("#command", "uptime")
    expect(page.locator("#go-label")).to_have_text("Run on 1 host")
    sent = []
    page.on("request", lambda request: sent.append(request.method) if request.is_navigation_request() else None)
    for field in ("exclude", "user", "run_as", "concurrency", "max_failures", "connect_timeout"):
        page.press(f"#{field}", "Enter")
    page.locator("[name=kind]").first.press("Enter")
    page.keyboard.press("Control+s")
    page.keyboard.press("Enter")
    expect(page.locator("#save_name")).to_be_focused()
    assert not sent
    page.keyboard.type("how long")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/saved/1?kept=1")
    page.goto(f"{live.url}/jobs")
    expect(page.locator("main")).to_contain_text("Nothing has run.")


def test_trying_on_one_host_needs_no_word(live: LiveServer, page: Page) -> None:
    page.fill("#targets", "web[1-1200]")
    page.fill("#command", "uptime")
    expect(page.locator("#risk-text")).to_be_visible()
    page.click("#go")
    page.click("dialog button:has-text('Try on 1 host')")
    page.wait_for_url(f"{live.url}/jobs/1")


def test_hosts_that_were_unreachable_are_left_out_by_one_click(
    live: LiveServer, page: Page, play: Callable[[int], Play]
) -> None:
    workers = play(live.launch(Order(targets="web[1-60]", command="uptime")))
    for place in range(50):
        workers.refuse(place, reason=Reason.REFUSED.value)
    page.fill("#exclude", "db1")
    page.fill("#targets", "web[1-60]")
    item = page.locator("#items .it", has_text="50 were unreachable last time")
    expect(item.locator(".w")).to_have_text("web[1-50]")
    expect(page.locator("#est-time")).to_contain_text("no command yet")
    expect(page.locator("#line-count")).to_have_text("no command yet")
    item.locator("button").click()
    expect(page.locator("#exclude")).to_have_value("db1,web[1-50]")
    expect(page.locator("#go-label")).to_have_text("Run on 10 hosts")


def test_the_way_back_from_an_error_finds_the_form_filled(live: LiveServer, page: Page, watch: Watch) -> None:
    watch.allowed += ["500", "Failed to load resource"]
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "uptime\ndate")
    expect(page.locator("#go")).to_be_enabled()
    page.route("**/run", lambda route: route.fulfill(status=500, body="out of order"))
    page.click("#go")
    expect(page.locator("body")).to_have_text("out of order")
    page.unroute("**/run")
    page.go_back()
    expect(page.locator("#command")).to_have_value("uptime\ndate")
    expect(page.locator("#go-label")).to_have_text("Run on 3 hosts")


def test_a_draft_holds_every_file(live: LiveServer, page: Page, watch: Watch) -> None:
    # What the preview answers until each file has its place.
    watch.allowed.append("422")
    page.fill("#targets", "web1")
    page.check("[name=kind][value=files]", force=True)
    names = [f"{number}.txt" for number in range(4)]
    page.set_input_files("#upload", [{"name": name, "mimeType": "", "buffer": name.encode()} for name in names])
    chosen = page.locator("[name=push_file]")
    expect(page.locator("#upload-note")).to_contain_text("3.txt is uploaded")
    for at, name in enumerate(names):
        page.locator("[name=push_to]").nth(at).fill(f"/tmp/{name}")
    before = [chosen.nth(at).input_value() for at in range(4)]
    assert len(set(before)) == 4
    page.reload()
    expect(page.locator("p.note", has_text="Your draft from ")).to_be_visible()
    assert [chosen.nth(at).input_value() for at in range(4)] == before
    assert [page.locator("[name=push_to]").nth(at).input_value() for at in range(4)] == [
        f"/tmp/{name}" for name in names
    ]


def test_a_draft_outlives_its_page_until_the_order_is_accepted(live: LiveServer, page: Page) -> None:
    # Of this person alone: others may use the same browser.
    kept = r"() => localStorage.getItem(Object.keys(localStorage).find((key) => /^draft:\d+$/.test(key)))"
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "uptime\ndate")
    page.select_option("#credential", "password")
    page.fill("#password", "geheim-17")
    page.click("text=Canary, then batches")
    page.fill("#waves", "2")
    page.reload()
    line = page.locator("p.note", has_text="Your draft from ")
    expect(line).to_be_visible()
    expect(page.locator("#command")).to_have_value("uptime\ndate")
    expect(page.locator("#waves")).to_have_value("2")
    expect(page.locator("#password")).to_have_value("")
    expect(page.locator("#go-label")).to_have_text("Run on 3 hosts")
    assert "geheim" not in page.evaluate("() => JSON.stringify([localStorage, sessionStorage])")
    page.goto(f"{live.url}/run?targets=db1")
    expect(page.locator("#go-label")).to_have_text("Run on 1 host")
    expect(page.locator("#command")).to_have_value("")
    page.goto(f"{live.url}/run?targets=&command=")
    page.click("p.note >> text=Discard")
    expect(line).to_have_count(0)
    expect(page.locator("#targets")).to_have_value("")
    assert page.evaluate(kept) is None
    page.fill("#targets", "web1")
    page.fill("#command", "uptime")
    expect(page.locator("#go-label")).to_have_text("Run on 1 host")
    page.click("#go")
    page.wait_for_url(f"{live.url}/jobs/1")
    page.wait_for_function("() => !sessionStorage.getItem('sent')")
    page.goto(f"{live.url}/run")
    expect(page.locator("#below")).to_contain_text("For example")
    assert page.evaluate(kept) is None
    expect(page.locator("#targets")).to_have_value("")


def test_a_group_is_added_by_its_chip(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        set_group(session, "db", [make_host(session, f"db{n}").name for n in range(1, 4)])
    page.reload()
    page.fill("#targets", "web1")
    page.click("button:has-text('@db')")
    expect(page.locator("#targets")).to_have_value("web1,@db")
    expect(page.locator("#go-label")).to_have_text("Run on 4 hosts")


def test_a_dangerous_command_is_named(page: Page) -> None:
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "rm -rf / tmp")
    expect(page.locator("#risk-text")).to_contain_text("deletes the root")


def test_waves_are_previewed_while_they_are_written(live: LiveServer, page: Page, watch: Watch) -> None:
    watch.allowed.append("422")
    page.fill("#targets", "web[1-498]")
    expect(page.locator("#waves-panel")).to_be_hidden()
    expect(page.locator("#waves")).to_be_hidden()
    page.click("text=Canary, then batches")
    expect(page.locator("#waves-sizes")).to_have_text("1, 50, 447")
    expect(page.locator("#steps li")).to_contain_text(["host first", "if it succeeds, waits for you", "447"])
    page.fill("#waves", "1 *2 x")
    expect(page.locator("#waves-error")).to_contain_text("column 6")
    expect(page.locator("#go")).to_be_disabled()
    page.fill("#waves", "100")
    page.select_option("#canary_mode", "")
    expect(page.locator("#canary_of")).to_be_hidden()
    expect(page.locator("#waves-sizes")).to_have_text("100 ×4, 98")
    page.fill("#max_failures", "5%")
    expect(page.locator("#est-worst")).to_contain_text("74")
    page.click("text=One by one")
    expect(page.locator("#waves-panel")).to_be_hidden()
    expect(page.locator("#concurrency")).to_be_hidden()
    expect(page.locator("#est-worst")).to_contain_text("25")


def test_the_tags_of_the_hosts_are_offered(live: LiveServer, page: Page, watch: Watch) -> None:
    watch.allowed.append("422")
    with live.database.transaction() as session:
        for name, centre in (("db1", "eu"), ("db2", "us"), ("db3", "us")):
            make_host(session, name, tags={"dc": centre})
    page.fill("#targets", "db[1-3]")
    page.click("text=Canary, then batches")
    expect(page.locator("#tag-names option")).to_have_attribute("value", "dc")
    page.select_option("#canary_mode", "each")
    page.fill("#canary_of", "dc")
    expect(page.locator("#waves-head")).to_have_text("Canary of 2, then 1 wave")
    page.fill("#canary_of", "rack")
    expect(page.locator("#canary-error")).to_contain_text("rack")
    page.fill("#canary_of", "dc")
    expect(page.locator("#waves-head")).to_be_visible()
    page.fill("#command", "echo  here")
    page.locator("#command").evaluate("(area) => area.setSelectionRange(5, 5)")
    page.click("#variables summary")
    page.click("#variables .item:has-text('{tag.dc}')")
    expect(page.locator("#command")).to_have_value("echo {tag.dc} here")
    expect(page.locator("#variables .item").first).to_be_hidden()
    expect(page.locator("#example-command")).to_have_text("echo eu here")


def test_a_dry_run_stands_below_the_form_and_keeps_the_password(live: LiveServer, page: Page) -> None:
    page.fill("#targets", "web[1-6]")
    page.fill("#command", "uptime")
    page.select_option("#credential", "password")
    page.fill("#password", "hunter2-hunter2")
    page.click("text=Canary, then batches")
    page.fill("#waves", "2")
    page.click("text=More options")
    page.fill("#jump", "ops@gate")
    expect(page.locator("#items")).to_contain_text("ops@gate 6")
    sent = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.click("#plan-button")
    expect(page.locator("#plan tbody tr")).to_have_count(6)
    expect(page.locator("#plan tbody tr").first).to_contain_text("through ops@gate")
    expect(page.locator("#plan .waveplan li").first).to_contain_text("Canary 1 host web1")
    expect(page.locator("#password")).to_have_value("hunter2-hunter2")
    assert not any("hunter2" in body for body in sent)
    page.fill("#waves", "3")
    expect(page.locator("#plan.old")).to_be_visible()
    expect(page).to_have_url(f"{live.url}/run")


def test_the_password_field_appears_with_its_choice(page: Page) -> None:
    expect(page.locator("#password-field")).to_be_hidden()
    page.select_option("#credential", "password")
    expect(page.locator("#password-field")).to_be_visible()


def test_the_form_as_a_command_line(live: LiveServer, new_page: Callable[..., Page]) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    for name in ("#copy-cli", "#copy-curl", "#plan-button"):
        expect(page.locator(name)).to_be_disabled()
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "uptime")
    page.fill("#max_failures", "5%")
    page.click("#copy-cli")
    expect(page.locator("#copy-cli")).to_have_text("Copied")
    page.evaluate("navigator.clipboard.readText().then((text) => (document.title = text))")
    expect(page).to_have_title("opsconsole run -w 'web[1-3]' --max-failures 5% -- uptime")


def test_the_editor_numbers_advises_and_remembers(live: LiveServer, page: Page) -> None:
    for command in ("df -h /", "uptime"):
        live.launch(Order(targets="web1", command=command))
    page.goto(f"{live.url}/run")
    page.fill("#targets", "web1")
    page.press("#targets", "Tab")
    expect(page.locator("#earlier h2")).to_have_text("Earlier runs like this")
    command = page.locator("#command")
    command.fill("cd /srv\nsudo make\nls")
    expect(page.locator(".nums")).to_have_text("1\n2\n3")
    expect(page.locator("#line-count")).to_have_text("3 lines")
    expect(page.locator("#advice")).to_contain_text("Line 2 calls sudo without -n")
    for key, text in (("ArrowUp", "uptime"), ("ArrowUp", "df -h /"), ("ArrowUp", "df -h /"), ("ArrowDown", "uptime")):
        command.press(f"Alt+{key}")
        expect(command).to_have_value(text)
    expect(page.locator("#advice")).to_be_empty()
    command.press("Alt+ArrowDown")
    expect(command).to_have_value("cd /srv\nsudo make\nls")
    page.click("#history summary")
    page.click("#history .item:has-text('df -h')")
    expect(command).to_have_value("df -h /")


def test_what_is_copied_as_curl_launches_the_order(live: LiveServer, new_page: Callable[..., Page]) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{live.url}/run?targets=web[1-3]&command=echo+it%27s")
    expect(page.locator("#go-label")).to_have_text("Run on 3 hosts")
    page.fill("#concurrency", "2")
    page.fill("#command_timeout", "60")
    page.click("#copy-curl")
    line = page.evaluate("() => navigator.clipboard.readText()")
    words = shlex.split(line)
    assert words[:3] == ["curl", "--fail-with-body", "-H"]
    token = page.locator("#order [name=csrf_token]").input_value()
    headers = {"X-CSRFToken": token, "Content-Type": "application/json", "Origin": live.url}
    answer = page.request.post(words[-1], data=words[words.index("--json") + 1], headers=headers)
    assert answer.status == 201, answer.text()
    job = page.request.get(f"{live.url}/api/v1/jobs/{answer.json()['id']}").json()
    assert (job["command"], job["targets"]["count"], job["options"]["concurrency"]) == ("echo it's", 3, 2)
    assert job["options"]["command_timeout"] == 60


def test_without_script_a_job_is_previewed_started_cancelled_and_run_again(
    live: LiveServer, new_page: Callable[..., Page]
) -> None:
    page = new_page("bert", Role.OPERATOR, javascript=False)
    page.goto(f"{live.url}/run")
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "uptime")
    page.click("button.nojs:has-text('Preview')")
    expect(page.locator("#go-label")).to_have_text("Run on 3 hosts")
    page.click("#go")
    expect(page.locator("#pill")).to_have_text("Pending")
    expect(page.locator("#grid .t")).to_have_count(3)
    page.click("summary:has-text('Cancel job')")
    page.click("details button:has-text('Cancel job')")
    expect(page.locator(".chip", has_text="Cancelled")).to_contain_text("3")
    page.click("summary:has-text('Rerun')")
    page.check("input[name=state][value=x]")
    page.click("#rerun-now")
    page.wait_for_url(f"{live.url}/jobs/2")
    expect(page.locator(".meta")).to_contain_text("rerun of #1")


def test_without_script_the_table_is_filtered_by_links(live: LiveServer, new_page: Callable[..., Page]) -> None:
    page = new_page(javascript=False)
    page.goto(f"{live.url}/run?targets=web[1-3]&command=uptime")
    page.click("#go")
    page.click(".chip:has-text('Queued')")
    expect(page.locator("#hosts-table a.hrow:not(.head)")).to_have_count(3)
    page.click("#hosts-table a.hrow:has-text('web2')")
    expect(page.locator(".oh h2")).to_have_text("web2")


def test_an_order_with_steps_is_given_and_followed_step_by_step(
    live: LiveServer, page: Page, settings: Settings
) -> None:
    page.fill("#targets", "web[1-3]")
    page.fill("#command", "echo act")
    page.click("summary:has-text('Check before it, verify after it')")
    page.fill("#check", "test -e /srv/app || exit 77")
    page.fill("#verify", "systemctl is-active app")
    page.select_option("#step_barrier", "wave")
    expect(page.locator("#go-label")).to_have_text("Run on 3 hosts")
    page.click("#go")
    page.wait_for_url(f"{live.url}/jobs/1")
    strip = page.locator("#step-list li")
    expect(strip).to_have_count(3)
    with closing(Desk(settings, live.database, FakeClock())) as desk:
        hand = desk.hand()
        for place, (step, left) in enumerate((("Check", 3), ("Command", 2), ("Verify", 2))):
            claims = [hand.start(*message) for message in [*desk.post.collect(), *desk.sweep()]]
            assert len(claims) == left
            expect(strip.nth(place)).to_have_class("now")
            expect(strip.nth(place)).to_contain_text(f"{step} {left} ")
            for claim in claims:
                following = claim.start.next_step
                state = RunState.SUCCEEDED if following is None else RunState.PENDING
                outcome = Outcome(state, exit_status=0, duration_ms=5, next_step=following)
                # The check of one host finds nothing to do: it goes no further.
                idle = Outcome(RunState.SUCCEEDED, Reason.NOTHING_TO_DO, exit_status=77, duration_ms=5)
                hand.finish(claim, idle if (place, claim.i) == (0, 2) else outcome, b"said\n")
    expect(page.locator("#pill")).to_have_text("Succeeded")
    expect(page.locator("#step-list li.now")).to_have_count(0)


def test_the_chosen_theme_is_there_before_the_first_paint(live: LiveServer, page: Page) -> None:
    page.click("details.menu summary")
    with page.expect_response("**/me/preferences"):
        page.click("button:has-text('Dark')")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(15, 18, 22)"


def test_a_phone_needs_no_sideways_scrolling(live: LiveServer, new_page: Callable[..., Page]) -> None:
    page = new_page(width=390)
    page.goto(f"{live.url}/run?targets=web-very-long-name-of-a-host-[001-040].example.internal&command=uptime")
    expect(page.locator("#go-label")).to_have_text("Run on 40 hosts")
    page.click("#go")
    page.wait_for_url("**/jobs/*")
    for path in ("/run", "/jobs", "/jobs/1", "/jobs/1?view=hosts", "/jobs/1?view=details", "/me", "/workers"):
        page.goto(live.url + path)
        sizes = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert sizes[0] <= sizes[1], (path, sizes)


def test_a_job_of_medium_size_can_be_stopped_before_it_starts(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        for number in range(1, 13):
            make_host(
                session,
                f"web{number}",
                tags={"dc": "eu" if number < 9 else "us", "env": "live" if number < 10 else "test"},
            )
        session.add(WorkerProcess(id="w1", name="w1", pid=1, version="1", slots=9, beat_at=START, started_at=START))
    page.fill("#targets", "web[1-12]")
    page.fill("#command", "uptime")
    expect(page.locator("#items")).to_contain_text("eu 8, us 4")
    expect(page.locator("#share")).to_have_text("100% of the inventory")
    expect(page.locator("#mix-text")).to_have_text("9 live, 3 test")
    expect(page.locator("#mix i")).to_have_count(2)
    for digit, place in (("2", "#command"), ("1", "#targets"), ("3", "[name=pace]:checked")):
        page.keyboard.press(f"Alt+{digit}")
        expect(page.locator(place)).to_be_focused()
    expect(page.locator("#go-label")).to_have_text("Run on 12 hosts")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"{live.url}/jobs/1")
    expect(page.locator("#countdown")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pill")).to_have_text("Cancelled")
    expect(page.locator("#countdown")).to_be_hidden()
    with live.database.read() as session:
        assert session.get_one(Job, 1).counts["x"] == 12


def test_the_box_of_targets_completes_groups_tags_and_hosts(live: LiveServer, page: Page, watch: Watch) -> None:
    # Half of an expression is none yet, and the preview says so.
    watch.allowed.append("422")
    administrator = live.person("admin", Role.ADMIN)
    with live.database.transaction() as session:
        for name, zone in (("web1", "eu-west"), ("web2", "eu-east"), ("db1", "us")):
            make_host(session, name, tags={"dc": zone})
        add_group(session, "web", {"hosts": ["web1", "web2"]}, actor=administrator, now=START)
    page.goto(f"{live.url}/run")
    box = page.locator("#targets")
    options = page.locator("#completions [role=option]")
    box.press_sequentially("@w")
    expect(options).to_have_text(["@web"])
    box.press("Tab")
    expect(box).to_have_value("@web")
    box.press_sequentially("&@d")
    expect(options).to_have_text(["@dc:"])
    box.press("Tab")
    expect(options).to_have_text(["@dc:eu-east", "@dc:eu-west", "@dc:us"])
    box.press("ArrowDown")
    box.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "completion-1")
    box.press("Enter")
    expect(box).to_have_value("@web&@dc:eu-west")
    expect(page.locator("#below")).to_contain_text("1 host matches")
    # Where nothing is offered Tab leaves the box, and Escape puts an offer away.
    box.press_sequentially(",d")
    expect(options).to_have_text(["db1"])
    box.press("Escape")
    expect(options.first).to_be_hidden()
    box.press("Tab")
    expect(box).not_to_be_focused()


def test_hosts_are_picked_from_the_inventory_and_what_is_written_stays(live: LiveServer, page: Page) -> None:
    with live.database.transaction() as session:
        for name in ("web1", "web2", "db1"):
            make_host(session, name)
    page.goto(f"{live.url}/run?targets=db1&command=uptime")
    page.click("a[data-dialog]:has-text('Pick hosts')")
    picker = page.locator("dialog #pick")
    picker.locator("input[name=q]").fill("web")
    picker.locator("input[name=q]").press("Enter")
    expect(picker.locator("label")).to_have_count(2)
    picker.locator("label", has_text="web2").click()
    picker.locator("text=Add to the targets").click()
    expect(picker).to_have_count(0)
    expect(page.locator("#targets")).to_have_value("db1,web2")
    expect(page.locator("#command")).to_have_value("uptime")
    expect(page.locator("#below")).to_contain_text("2 hosts match")
    page.goto(f"{live.url}/hosts")
    page.check("input[aria-label=web1]")
    page.click("text=Run on these")
    page.wait_for_url("**/hosts/run")
    expect(page.locator("#targets")).to_have_value("web1")
