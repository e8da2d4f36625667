"""What ``opsconsole up`` prints once all is ready. Texts only."""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from opsconsole import __version__
from opsconsole.launcher import demo, simulated, web
from opsconsole.launcher.access import page_address
from opsconsole.settings import Settings


def lines(settings: Settings, broker: str, url: str, code: str | None) -> list[str]:
    """Returns what was started and how to get in; ``code`` is the one-time code, if there is an administrator."""
    started = [
        f"opsconsole {__version__}",
        f"data {_short(settings.data_dir)} ({_database(settings)})",
        f"broker {broker}",
        f"workers {settings.workers} x {settings.worker_slots} slots",
    ]
    shown = ["  ".join(started)]
    port = urlsplit(url).port
    if settings.port not in {0, port}:
        shown.append(f"Port  {settings.port} is in use, so this is {port}")
    end = "Ctrl-C stops all; nothing listens beyond 127.0.0.1"
    if not web.is_loopback(settings.host):
        end = "Ctrl-C stops all"
        shown.append(f"NOTE  {url} can be reached from other machines")
    entry = page_address(url, code) + ("   (works once, 10 min)" if code else "")
    shown.append(f"Open  {entry}      {end}")
    if code is None:
        shown.append(f"NOTE  No administrator is enabled. Make one: {program()} create-admin NAME")
    return shown


def try_lines(settings: Settings, demo_hosts: int, simulated_hosts: int) -> list[str]:
    """Returns what to try: a first command on the simulated hosts, on the demo fleet, or how to get one."""
    return _simulated_lines(simulated_hosts) if simulated_hosts else _demo_lines(settings, demo_hosts)


def _simulated_lines(count: int) -> list[str]:
    names = simulated.names(count)
    first = f"{program()} run -w @{simulated.GROUP} -f 500 -- {simulated.FIRST_COMMAND}"
    return [
        f"NOTE  This console simulates: {count:,} hosts, {names[0]} to {names[-1]}; nothing is connected to or run",
        f"Try   {first}     or in the browser: hosts @{simulated.GROUP}, command {simulated.FIRST_COMMAND}",
    ]


def _demo_lines(settings: Settings, count: int) -> list[str]:
    announcement = demo.announced(settings)
    if not count or announcement is None:
        return [
            f"Try   {program()} run -w HOST -- uptime     or in the browser; HOST is any machine your own ssh reaches",
            f"      No host at hand? Stop this one first, then: {program()} up --demo 20",
        ]
    hosts = demo.fleet(count)
    unlike = demo.unlike_the_rest(hosts)
    places = f"{hosts[0].address} and on, port {announcement.port}"
    first = f"{program()} run -w @{demo.GROUP} -- {demo.FIRST_COMMAND}"
    return [
        *_unconfined_lines(announcement.unconfined),
        f"Demo  {len(hosts)} SSH hosts, {hosts[0].name} to {hosts[-1].name}, on {places}"
        + (f"; {unlike}" if unlike else ""),
        f"Try   {first}     or in the browser: hosts @{demo.GROUP}, command {demo.FIRST_COMMAND}",
    ]


def _unconfined_lines(why: str) -> list[str]:
    if not why:
        return []
    return [
        f"WARN  The demo hosts ARE this machine: what you run or push there has all your rights here ({why}).",
        "      Run nothing on them that you would not type into your own shell: rm -rf ~ deletes your files.",
    ]


def program() -> str:
    """Returns how this person calls ``opsconsole``: the bare name when PATH leads to this installation."""
    called = Path(sys.argv[0]).absolute()
    found = shutil.which("opsconsole")
    if called.name != "opsconsole" or (found and Path(found).absolute() == called):
        return "opsconsole"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)


def _short(path: Path) -> str:
    # Unlike Path.home this raises nothing for a user who has no home.
    home = os.path.expanduser("~")
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _database(settings: Settings) -> str:
    return "SQLite" if settings.database.startswith("sqlite") else "PostgreSQL"
