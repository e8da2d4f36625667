"""``opsconsole hosts``, ``groups`` and ``inventory`` against the real web application."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.support.factories import make_token, make_user
from tests.support.liveserver import serve

Call = Callable[..., Result]


@pytest.fixture
def cli(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, call: Call) -> Iterator[Call]:
    with database.transaction() as session:
        token = make_token(session, make_user(session, "root", Role.ADMIN))
    with serve(settings, database) as live:
        monkeypatch.setenv("OPSCONSOLE_URL", live.url)
        monkeypatch.setenv("OPSCONSOLE_TOKEN", token)
        yield call


def test_a_file_is_looked_at_then_imported_then_exported(cli: Call, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    file.write_text("name,port,groups,tag:dc\nweb1,2222,web,eu\nbad;x,,,\n")
    seen = cli("inventory", "import", str(file), "--dry-run")
    assert seen.exit_code == 2
    assert "+ web1  port (none) -> 2222; tag dc (none) -> eu" in seen.output
    assert "line 3" in seen.output
    assert cli("hosts", "list").output == ""
    assert cli("inventory", "import", str(file), "--yes").exit_code == 2
    assert cli("inventory", "import", str(file), "--yes", "--skip-faulty").exit_code == 0
    assert cli("inventory", "export", "@web", "--format", "ssh-config").output.startswith("Host web1\n    Port 2222")
    again = cli("inventory", "import", str(file), "--json", "--skip-faulty")
    assert json.loads(again.stdout)["changes_count"] == 0


def test_hosts_and_groups_are_made_changed_and_removed(cli: Call) -> None:
    assert cli("hosts", "add", "web1", "--user", "deploy", "--tag", "dc=eu").output == "web1 added.\n"
    assert cli("hosts", "add", "web1").exit_code == 2
    assert cli("hosts", "set", "web1", "--user", "", "--port", "2222").output == "web1 changed.\n"
    assert cli("hosts", "tag", "web1", "role=web", "--drop", "dc").output == "1 host changed.\n"
    assert cli("groups", "set", "web", "-w", "web1").output == "@web made: 1 host in all.\n"
    assert cli("groups", "set", "prod", "--child", "web").exit_code == 0
    assert cli("groups", "set", "prod", "--notes", "careful").output == "@prod changed: 1 host in all.\n"
    assert cli("groups", "set", "web", "--child", "prod").exit_code == 2
    assert cli("hosts", "freeze", "@prod", "--reason", "disk").exit_code == 0
    host = json.loads(cli("hosts", "show", "web1", "--json").stdout)
    assert (host["user"], host["port"], host["tags"], host["groups"]) == (None, 2222, {"role": "web"}, ["web"])
    assert (host["frozen"], host["frozen_reason"]) == (True, "disk")
    assert cli("hosts", "remove", "web1").exit_code == 2
    assert cli("hosts", "remove", "web1", "--yes").exit_code == 0
    assert cli("groups", "remove", "prod", "--yes").output == "@prod removed.\n"
    assert cli("groups", "list").output.split()[:2] == ["@web", "0"]


def test_an_ssh_config_brings_the_files_below_its_folder_and_no_others(cli: Call, tmp_path: Path) -> None:
    folder = tmp_path / "ssh"
    (folder / "conf.d").mkdir(parents=True)
    (tmp_path / "secret").write_text("Host never\n")
    (folder / "conf.d" / "link").symlink_to(tmp_path / "secret")
    (folder / "conf.d" / "a").write_text("Host in1\n  Port 22\n")
    (folder / "config").write_text("Include conf.d/*\nHost gw\n")
    done = cli("inventory", "import", str(folder / "config"), "--yes")
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in cli("hosts", "list").output.splitlines()] == ["gw", "in1"]
