"""Tokens made on the console's own machine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from opsconsole.launcher.database import bring_up_to_date
from opsconsole.settings import Settings

Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
    bring_up_to_date(Settings.load())


def test_made_listed_and_revoked(call: Call) -> None:
    text = call("token", "create", "cron", "--scope", "read", "--days", "7").stdout.strip()
    assert text.startswith("opsc_")
    listed = json.loads(call("token", "list", "--json").stdout)
    assert (listed["id"], listed["name"], listed["scope"]) == (text.split("_")[1], "cron", "read")
    assert call("token", "revoke", listed["id"]).exit_code == 0
    assert json.loads(call("token", "list", "--json").stdout)["state"] == "revoked"
    assert text not in call("token", "list").stdout


def test_nobody_has_no_token(call: Call) -> None:
    result = call("token", "create", "cron", "--user", "nobody")
    assert result.exit_code == 2
    assert "nobody" in result.stderr
