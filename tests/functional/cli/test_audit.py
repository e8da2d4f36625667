"""``opsconsole audit``."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from sqlalchemy import text

from opsconsole.accounts.permissions import Role
from opsconsole.accounts.service import create_user
from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.launcher.database import bring_up_to_date
from opsconsole.settings import Settings
from tests.functional.cli.fake_console import FakeConsole

Call = Callable[..., Result]
DETAIL = {"targets": "@web", "count": 120, "digest": "sha256:1", "confirm": "120"}


def entry() -> dict[str, object]:
    who = {"actor": "li.wei", "actor_id": 1, "token_id": None, "address": "10.0.0.9"}
    what = {"action": "job.launch", "object": "job/7", "text": "uptime\nmore", "detail": DETAIL, "hash": "0"}
    return {"id": 1, "at": "2026-03-01T12:00:00.000Z", **who, **what}


def test_list_sends_filters_and_tells_what_was_typed(console: FakeConsole, call: Call) -> None:
    console.story.answers["audit"] = {"records": [entry()], "before": None}
    result = call("audit", "list", "--action", "job", "--since", "2026-03-01", "--limit", "5")
    assert result.exit_code == 0
    said = "li.wei  10.0.0.9  job.launch  job/7  @web = 120 hosts  typed: 120  uptime\n"
    assert result.stdout.endswith(said)
    assert console.asked[-1].query == {"action": "job", "since": "2026-03-01", "limit": "5"}
    assert json.loads(call("audit", "list", "--json").stdout)["id"] == 1


def test_export_writes_a_file(console: FakeConsole, call: Call, tmp_path: Path) -> None:
    console.story.answers["audit/export"] = {"id": 1}
    result = call("audit", "export", "--format", "ndjson", "--actor", "li.wei", "-o", str(tmp_path / "a"))
    assert result.exit_code == 0
    assert json.loads((tmp_path / "a").read_text()) == {"id": 1}
    assert console.asked[-1].query == {"format": "ndjson", "actor": "li.wei"}
    assert json.loads(call("audit", "export").stdout) == {"id": 1}


def test_verify_names_the_first_record_that_is_not_what_was_written(call: Call, console: FakeConsole) -> None:
    settings = Settings.load()
    bring_up_to_date(settings)
    database = Database(settings.database)
    with database.transaction() as session:
        for name in ("ann", "bob"):
            create_user(session, name, Role.VIEWER, now=SystemClock().now())
    assert call("audit", "verify").stdout == "The audit is whole.\n"
    with database.transaction() as session:
        session.execute(text("DROP TRIGGER audit_no_update"))
        session.execute(text("UPDATE audit_records SET actor = 'x' WHERE id = 2"))
    database.close()
    result = call("audit", "verify")
    assert (result.exit_code, "record 2 is not" in result.stderr) == (5, True)
