"""Shoots every page in both themes, both languages and on a phone. Run by bin/screenshots.

The consoles are its own, in temporary folders: one with 5,000 simulated hosts that do the same each time, one with the
real hosts of the demo for what needs them.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "screenshots"
_CONSOLE = ROOT / ".venv" / "bin" / "opsconsole"
_SETTLED_MS = 1500
_SIMULATION = "seed=7 median_seconds=0.8 spread=0.5 hangs=0 lost=0 failures=2% unreachable=1%"
# What is ordered before the pages are shot; each job gets the next number.
_SIMULATED_ORDERS = tuple(
    ("run", "-q", "-w", targets, "-f", "500", f"--yes={count}", "--reason", "Quarterly audit", "--", *command.split())
    for targets, command, count in (
        ("sim[0001-0500]", "openssl version", 500),
        ("@simulated", "cat /etc/os-release", 5000),
        ("sim[0001-0200]", "df -h", 200),
    )
)
_DEMO_ORDERS = (
    ("push", "-q", "--yes", "-w", "@demo", str(ROOT / "LICENSE"), "/tmp/"),
    ("pull", "-q", "--yes", "-w", "@demo", "/tmp/LICENSE", "brought"),
    ("saved", "add", "-w", "@demo", "disks", "--", "df", "-h"),
    (
        "credentials",
        "add",
        "deploy",
        "--kind",
        "password",
        "--file",
        "password=-",
        "--scope",
        "@demo",
        "--user",
        "deploy",
    ),
)
_SIMULATED_PAGES = {
    "run": "/run?targets=sim[0001-0120],sim0130&exclude=sim0007&pace=waves&waves=10 50&command="
    "sudo apt-get -qy install openssl%0Aopenssl version",
    "run-confirm": "/run?targets=@simulated&command=uptime",
    "jobs": "/jobs",
    "job": "/jobs/1?by=dc",
    "job-5000": "/jobs/2?by=dc",
    "job-hosts": "/jobs/1?view=hosts",
    "job-groups": "/jobs/3?view=groups",
    "job-timeline": "/jobs/2?view=timeline",
    "job-details": "/jobs/1?view=details",
    "output-group": "/jobs/3?view=groups",
    "host-run": "/jobs/3/h/sim0001",
    "queue": "/queue",
    "hosts": "/hosts",
    "pick-hosts": "/run/hosts?q=sim000",
    "new-host": "/hosts/new",
    "host": "/hosts/sim0001",
    "import": "/hosts/import",
    "groups": "/groups",
    "group": "/groups/simulated",
    "credentials": "/credentials",
    "new-credential": "/credentials/new?kind=private_key",
    "host-keys": "/host-keys",
    "authorities": "/host-keys/authorities",
    "new-test": "/tests",
    "saved": "/saved",
    "files": "/files",
    "workers": "/workers",
    "audit": "/audit",
    "users": "/users",
    "settings": "/settings",
    "search": "/search?q=sim00",
    "keyboard": "/keyboard",
    "account": "/me",
    "tokens": "/me/tokens",
    "stop": "/stop",
}
_DEMO_PAGES = {
    "sign-in": "/login",
    "push": "/jobs/1",
    "job-files": "/jobs/2/files",
    "saved-command": "/saved/1",
    "credential": "/credentials/deploy",
    "connection-test": "/tests?targets=@demo",
}


class Stage(NamedTuple):
    """A console to shoot: how it is started, what is ordered there, and its pages."""

    options: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]
    pages: dict[str, str]


STAGES = (
    Stage(("--simulate", "5000"), _SIMULATED_ORDERS, _SIMULATED_PAGES),
    Stage(("--demo", "20"), _DEMO_ORDERS, _DEMO_PAGES),
)
PAGES = [name for stage in STAGES for name in stage.pages]
# Seen by who has not signed in.
_PUBLIC = {"sign-in"}
# What is pressed on the page of that address, and what is seen then.
PRESSED = {
    "run-confirm": ("#go", "#sure-head"),
    "output-group": ("#groups-all .grow a.btn", "#differs"),
    "connection-test": ("form.form2 .btn.pri", "#test:not([data-live])"),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "1440-light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "1440-dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "1440-zh": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}, "locale": "zh-CN"},
    "390-light": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    "390-zh-dark": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}, "locale": "zh-CN"},
}


@contextmanager
def console(folder: Path, options: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Starts a console and yields its one-time link and the environment in which commands find it."""
    environment = {**os.environ, "OPSCONSOLE_DATA_DIR": str(folder), "OPSCONSOLE_SIMULATION": _SIMULATION}
    command = [str(_CONSOLE), "up", *options, "--no-open"]
    program = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert program.stdout
    said = []
    try:
        for line in program.stdout:
            said.append(line)
            if link := re.search(r"http\S+once=\S+", line):
                yield link[0], environment
                return
        raise SystemExit("".join(said))
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate()


def shoot(page: Page, url: str, file: Path, pressed: tuple[str, str] | None) -> None:
    """Goes to ``url``, presses something there and keeps what is seen, in few colours."""
    page.goto(url)
    # Live pages fetch for as long as they are open: there is no event for having drawn it all.
    page.wait_for_timeout(_SETTLED_MS)
    if pressed:
        page.click(pressed[0])
        page.wait_for_selector(pressed[1])
    page.screenshot(path=file)
    subprocess.run(["pngquant", "--force", "--skip-if-larger", "--output", file, "96", file], check=False)


def shoot_all(browser: Browser, link: str, pages: dict[str, str]) -> None:
    """Signs in and shoots the pages in every variant."""
    base = link.partition("/login")[0]
    first = browser.new_context()
    page = first.new_page()
    page.goto(link)
    page.wait_for_selector("#search-link")
    state = first.storage_state()
    for variant, how in VARIANTS.items():
        given: dict[str, Any] = {"reduced_motion": "reduce", "locale": "en-US", **how}
        contexts = browser.new_context(storage_state=state, **given), browser.new_context(**given)
        inside, outside = (context.new_page() for context in contexts)
        for name, address in pages.items():
            page = outside if name in _PUBLIC else inside
            shoot(page, base + address, FOLDER / f"{name}-{variant}.png", PRESSED.get(name))
        for context in contexts:
            context.close()


def main() -> None:
    """Reads the command line and shoots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help=f"only these: {' '.join(PAGES)}")
    wanted = parser.parse_args().pages or PAGES
    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for stage in STAGES:
            pages = {name: address for name, address in stage.pages.items() if name in wanted}
            if not pages:
                continue
            with tempfile.TemporaryDirectory() as folder, console(Path(folder), stage.options) as (link, environment):
                for order in stage.orders:
                    subprocess.run(
                        [_CONSOLE, *order],
                        env=environment,
                        cwd=folder,
                        input=b"a password of nobody\n",
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        check=False,
                    )
                shoot_all(browser, link, pages)
        browser.close()
    sizes = [file.stat().st_size for file in FOLDER.glob("*.png")]
    print(f"{len(sizes)} pictures, {sum(sizes) / 1e6:.1f} MB, in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
