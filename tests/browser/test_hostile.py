"""What hosts and people write is shown, and never does anything."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import HostRun
from tests.functional.api.play import Play
from tests.support.browser_figures import traced
from tests.support.liveserver import LiveServer

PAYLOAD = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\"'>"
OUTPUT = (
    PAYLOAD.encode()
    + b"\n\x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\\n"
    + "\x1b[31mred\x1b[0m \u202egnp.exe\u2066 \x00\x07\n".encode()
    + b"\xff\xfe\xc3\n"
    + "中文 🚀\n".encode()
    + b"x" * 1_000_000
    + b"\n"
)


@pytest.fixture
def job(live: LiveServer, play: Callable[[int], Play]) -> int:
    """A job whose every text is an attack."""
    number = live.launch(Order(targets="web[1-3]", command=f"echo {PAYLOAD}\n{PAYLOAD}", title=PAYLOAD))
    workers = play(number)
    workers.start(0, 1)
    for start in range(0, len(OUTPUT), 32_768):
        workers.write(0, OUTPUT[start : start + 32_768])
    workers.end(0, last_line=PAYLOAD, detail=PAYLOAD)
    # The grammar of host lists lets no such name in; a row that came another way must be harmless all the same.
    with live.database.transaction() as session:
        session.execute(update(HostRun).where(HostRun.job_id == number, HostRun.i == 1).values(host=PAYLOAD))
    return number


def harmless(page: Page) -> None:
    """The page holds no element or title that a text made."""
    assert page.locator("img, iframe, object, svg script").count() == 0
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0
    assert not page.title().startswith("owned")
    assert page.evaluate("() => [...document.querySelectorAll('a[href]')].every((a) => a.host === location.host)")


@pytest.mark.parametrize("javascript", [True, False])
def test_every_page_shows_hostile_texts_as_texts(
    live: LiveServer, new_page: Callable[..., Page], job: int, javascript: bool
) -> None:
    page = new_page(javascript=javascript)
    page.goto(f"{live.url}/jobs/{job}?view=groups")
    groups = [str(link.get_attribute("href")) for link in page.locator("a.grp").all()]
    assert groups
    for path in (*groups, "/jobs", "/run", f"/run?from={job}&state=o", f"/jobs/{job}", f"/jobs/{job}?view=hosts",
                 f"/jobs/{job}?view=groups", f"/jobs/{job}?view=details", f"/jobs/{job}?host=web1",
                 f"/jobs/{job}/h/web1", f"/jobs/{job}/h/1"):  # fmt: skip
        page.goto(live.url + path)
        if javascript:
            page.wait_for_load_state("load")
            page.wait_for_timeout(300)
            harmless(page)
        else:
            assert not page.title().startswith("owned")
            expect(page.locator("img")).to_have_count(0)


def test_output_keeps_colours_and_drops_everything_else(live: LiveServer, page: Page, job: int) -> None:
    page.goto(f"{live.url}/jobs/{job}/h/web1")
    expect(page.locator("#L1")).to_contain_text("<img src=x onerror=")
    expect(page.locator("#L2 > span")).to_have_text("link", use_inner_text=True)
    expect(page.locator("#L3 .c1")).to_have_text("red")
    expect(page.locator("#L3")).to_contain_text("‹U+202E›gnp.exe‹U+2066› ‹x00›‹x07›")
    expect(page.locator("#L4")).to_contain_text("‹xFF›‹xFE›‹xC3›")
    expect(page.locator("#L5")).to_contain_text("中文 🚀")
    harmless(page)


def test_a_line_of_a_million_characters_is_clipped_until_asked_for(live: LiveServer, page: Page, job: int) -> None:
    page.goto(f"{live.url}/jobs/{job}/h/web1")
    button = page.locator("#L6 button")
    expect(button).to_have_text("show all 1,000,000 characters")
    assert page.evaluate("() => document.querySelector('#L6').textContent.length") < 5000
    button.click()
    assert page.evaluate("() => document.querySelector('#L6').textContent.length") > 1_000_000


def test_what_is_gbk_is_read_and_searched_as_such(live: LiveServer, page: Page, play: Callable[[int], Play]) -> None:
    number = live.launch(Order(targets="web[1-2]", command="df"))
    workers = play(number)
    workers.start(0, 1)
    for place in (0, 1):
        workers.write(place, "磁盘空间不足 <b>\n一切正常\n".encode("gbk"))
        workers.end(place)
    page.goto(f"{live.url}/jobs/{number}?host=web1")
    expect(page.locator("#L1")).to_contain_text("‹xB4›")
    page.get_by_role("button", name="GBK").click()
    expect(page.locator("#L1")).to_contain_text("磁盘空间不足 <b>")
    page.locator("#find").fill("正常")
    expect(page.locator("#hits")).to_have_text("1 of 1")
    # Whoever prints GBK is seldom alone: the choice stays from host to host, and in the address.
    page.get_by_role("button", name="Next ›").click()
    expect(page.locator(".oh h2")).to_have_text("web2")
    expect(page.locator("#L2")).to_contain_text("一切正常")
    page.goto(f"{live.url}/jobs/{number}/h/web1?encoding=gbk")
    expect(page.locator("#L2")).to_contain_text("一切正常")
    harmless(page)


# The processor time that one task of the main thread may take while hostile output is drawn, in ms. A page that hangs
# takes seconds; the bound leaves room for a slow machine.
LONGEST_TASK_MS = 400


def test_hostile_output_does_not_hold_up_the_page(live: LiveServer, page: Page, play: Callable[[int], Play]) -> None:
    number = live.launch(Order(targets="web1", command="cat /dev/urandom"))
    workers = play(number)
    workers.start(0)
    floods = b"\x00" * 200_000 + b"\n", b"\x1b[" * 100_000 + b"\n", b"\x1b]8;;" + b"x" * 200_000 + b"\n"
    overwritten = b"\r".join(b"%d%%" % at for at in range(40_000)) + b"\n"
    marks = "\u202e\u0301".encode() * 50_000 + b"\n"
    page.goto(f"{live.url}/jobs/{number}?host=web1")
    expect(page.locator(".log")).to_have_text("Nothing printed yet.")
    with traced(page) as tasks:
        for data in (*floods, overwritten, marks, b"y" * 1_000_000 + b"\n", b"\n" * 20_000, b"the end\n"):
            for start in range(0, len(data), 32_768):
                workers.write(0, data[start : start + 32_768])
        workers.end(0)
        page.locator(".oh", has_text="exit 0").wait_for()
        # How long it takes in all is the machine's; what counts is that no task holds the page up.
        page.get_by_text("the end").wait_for(timeout=60_000)
    assert tasks.longest_ms <= LONGEST_TASK_MS, tasks.cpu_ms[:10]


def test_a_hostile_host_name_can_be_chosen_in_the_live_page(live: LiveServer, page: Page, job: int) -> None:
    page.goto(f"{live.url}/jobs/{job}")
    page.locator("#grid a").nth(1).click()
    expect(page.locator(".oh h2")).to_have_text(PAYLOAD)
    harmless(page)
