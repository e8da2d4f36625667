"""A real Chromium at the real application. Every page is watched: no fault, no refused script, no foreign request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from opsconsole.accounts.permissions import Role
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.functional.api.play import Play
from tests.support.liveserver import LiveServer, serve
from tests.support.requirements import need_chromium

# Not every refusal of the content security policy is told on the console.
_TELL_REFUSALS = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy refused ${event.effectiveDirective}: ${event.blockedURI}`))"""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    # Chromium refuses its sandbox to root, which is who runs tests in containers; pages here are our own.
    return {"executable_path": str(need_chromium()), "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_unlisted_hosts": True, "log_level": "ERROR"})


@pytest.fixture
def live(settings: Settings, database: Database) -> Iterator[LiveServer]:
    """The console, served."""
    with serve(settings, database) as server:
        yield server


@pytest.fixture
def play(database: Database) -> Callable[[int], Play]:
    """Takes the part of the workers for one job."""
    return lambda job_id: Play(database, SystemClock(), job_id)  # type: ignore[arg-type]


@dataclass
class Watch:
    """What went wrong on the pages of a context. ``allowed`` are parts of messages that a test provokes."""

    origin: str
    allowed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.note(f"console: {message.text}")

    def page_error(self, error: Exception) -> None:
        self.note(f"script: {error}")

    def request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.note(f"foreign request: {request.url}")

    def response(self, response: Response) -> None:
        if response.status >= 500:
            self.note(f"answer {response.status}: {response.url}")

    def dialog(self, dialog: Any) -> None:
        self.note(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note(self, fault: str) -> None:
        if not any(part in fault for part in self.allowed):
            self.faults.append(fault)


@pytest.fixture
def watch(live: LiveServer) -> Iterator[Watch]:
    """Fails the test at its end when a page misbehaved."""
    watching = Watch(live.url)
    yield watching
    assert watching.faults == []


@pytest.fixture
def new_page(browser: Browser, live: LiveServer, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Opens a page for somebody who is signed in: ``new_page(name, role, javascript=False, width=390)``."""
    contexts: list[BrowserContext] = []

    def make(
        name: str | None = "admin", role: Role = Role.ADMIN, *, javascript: bool = True, width: int = 1440, **more: Any
    ) -> Page:
        size: Any = {"width": width, "height": 900}
        context = browser.new_context(java_script_enabled=javascript, viewport=size, **{"locale": "en-US", **more})
        contexts.append(context)
        context.add_init_script(_TELL_REFUSALS)
        page = context.new_page()
        page.set_default_timeout(15_000)
        for event in ("console", "request", "response", "dialog"):
            page.on(event, getattr(watch, event))  # type: ignore[call-overload]
        page.on("pageerror", watch.page_error)
        if name is not None:
            page.goto(live.login_link(name, role))
            if not javascript:
                page.click("form[data-auto] button")
            page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page of an administrator, signed in."""
    return new_page()
