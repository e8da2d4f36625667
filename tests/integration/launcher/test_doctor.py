"""The doctor: every ill in one line with its remedy. (A healthy console is looked at in test_up.py.)"""

from contextlib import closing
from pathlib import Path

import pytest

from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.launcher import folder
from opsconsole.launcher.doctor import Finding, examine
from opsconsole.settings import Settings


def _examined(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings)}


def test_nothing_there_yet(tmp_path: Path) -> None:
    found = _examined(Settings(data_dir=tmp_path / "data"))
    assert not found["data folder"].ok
    assert found["data folder"].remedy == "opsconsole up makes it"
    assert "opsconsole db upgrade" in found["database"].remedy
    assert not found["broker"].ok
    assert not (tmp_path / "data").exists()


def test_an_old_schema_no_worker_and_an_open_folder(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    folder.prepare(settings)
    with closing(Database(settings.database)) as database:
        database.ping()
    assert _examined(settings)["database"].remedy == "Run: opsconsole db upgrade"
    schema.upgrade(settings.database)
    settings.data_dir.chmod(0o755)
    found = _examined(settings)
    assert found["database"].ok
    assert found["data folder"].remedy == f"chmod 700 {settings.data_dir}"
    assert "no worker process" in found["workers"].detail
    assert found["broker"].detail == "The embedded broker does not run. Start it with the rest: opsconsole up"


def test_a_broker_by_url_is_named_without_its_password(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url="redis://:hush@127.0.0.1:1/0")  # type: ignore[arg-type]
    broker = _examined(settings)["broker"]
    assert not broker.ok
    assert "127.0.0.1:1" in broker.detail
    assert "hush" not in broker.detail + broker.remedy


def test_keys_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    settings = Settings(data_dir=tmp_path, key_files={"fleet": tmp_path / "missing"})
    assert _examined(settings)["SSH keys"].detail == "key files cannot be read: fleet"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    assert "agent that is not there" in _examined(Settings(data_dir=tmp_path))["SSH keys"].detail
