"""An automated scan of each page in both themes (axe-core): nothing serious, nothing critical."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from opsconsole.jobs.launch import Order
from opsconsole.jobs.models import WorkerProcess
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.play import Play
from tests.support.clock import START
from tests.support.liveserver import LiveServer

PATHS = ["/run?targets=web[1-200]&command=uptime", "/jobs", "/jobs/1", "/jobs/1?view=hosts", "/jobs/1?view=groups",
         "/jobs/1?view=details", "/jobs/1/h/web2", "/jobs/1/keys", "/me", "/workers", "/queue", "/stop",
         "/credentials", "/credentials/new?kind=private_key", "/credentials/new?kind=external",
         "/run?targets=web[1-9]&command=uptime&canary=1&waves=2", "/jobs/2", "/jobs/2?view=hosts",
         "/saved", "/saved/1", "/run?saved=1", "/jobs/3",
         "/nothing"]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_serious_finding(
    live: LiveServer, new_page: Callable[..., Page], play: Callable[[int], Play], scheme: str, watch: object
) -> None:
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
    watch.allowed.append("404")  # type: ignore[attr-defined]
    page = new_page(color_scheme=scheme)
    found = []
    for path in PATHS:
        page.goto(live.url + path)
        expect(page.locator("main")).to_be_visible()
        page.wait_for_timeout(700)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                nodes = [node["html"][:160] + " " + node["failureSummary"][:300] for node in violation["nodes"][:3]]
                found.append((path, violation["id"], nodes))
    assert not found, "\n".join(map(str, found))
