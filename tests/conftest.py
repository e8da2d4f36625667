"""What all tests share: unit tests without a network, and a closing table of what could not be run."""

import os
import socket
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.requirements import Missing, missing_from

pytest_plugins = ["tests.support.fixtures"]

_TESTS = Path(__file__).parent
_SOCKETLESS = _TESTS / "unit"
# A folder stands for a marker, so that `-m browser` and `-m "not slow"` need no line in each file.
_FOLDER_MARKERS = {"browser": "browser", "integration": "integration"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test the marker of its folder."""
    for item in items:
        if item.path.is_relative_to(_TESTS):
            marker = _FOLDER_MARKERS.get(item.path.relative_to(_TESTS).parts[0])
            if marker:
                item.add_marker(marker)


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests may make socket pairs (event loops need them) but reach nobody: connect and bind fail."""
    if request.path.is_relative_to(_SOCKETLESS):
        for method in ("connect", "connect_ex", "bind"):
            monkeypatch.setattr(socket.socket, method, _refuse)
        monkeypatch.setattr(socket, "getaddrinfo", _refuse)


def _refuse(*_arguments: object, **_options: object) -> NoReturn:
    raise AssertionError("a unit test reached for the network: move it to tests/integration or use a fake")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Prints, below everything else, what was not run for want of a system part, and what to install."""
    yield
    counts = _not_run(terminalreporter)
    if not counts:
        return
    terminalreporter.section("NOT RUN: parts this machine lacks", red=_on_ci(), yellow=not _on_ci())
    width = max(len(missing.what) for missing in counts)
    for missing, tests in sorted(counts.items(), key=lambda pair: pair[0].what):
        noun = "test " if tests == 1 else "tests"
        terminalreporter.write_line(f"  {missing.what:<{width}}  {tests:>4} {noun}   {missing.install}")
    if _on_ci():
        terminalreporter.write_line("  With CI=true this counts as a failure.", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``CI=true`` a test that was not run fails the whole run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if _on_ci() and isinstance(reporter, pytest.TerminalReporter) and _not_run(reporter) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _not_run(reporter: pytest.TerminalReporter) -> Counter[Missing]:
    counts: Counter[Missing] = Counter()
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        missing = missing_from(reason)
        if missing:
            counts[missing] += 1
    return counts


def _on_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}
