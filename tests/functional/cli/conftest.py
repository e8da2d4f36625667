"""A scripted console, and the command line called within the test or in a terminal of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsconsole.cli.main import main
from tests.functional.cli import fake_console
from tests.functional.cli.fake_console import TOKEN, FakeConsole


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeConsole]:
    with fake_console.running() as running:
        monkeypatch.setenv("OPSCONSOLE_URL", running.url)
        monkeypatch.setenv("OPSCONSOLE_TOKEN", TOKEN)
        monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
        yield running


@pytest.fixture
def call() -> Callable[..., Result]:
    """Calls the command line without a terminal."""

    def call_main(*args: str) -> Result:
        return CliRunner().invoke(main, args)

    return call_main
