"""Ways in for the person at the console."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from opsconsole.accounts.models import ApiToken
from opsconsole.accounts.permissions import Role
from opsconsole.accounts.service import create_user, disable_user, find_user
from opsconsole.clock import SystemClock
from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from opsconsole.launcher import access, folder
from opsconsole.settings import Settings

URL = "http://127.0.0.1:8765"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data")
    folder.prepare(settings)
    schema.upgrade(settings.database)
    return settings


@pytest.fixture
def database(settings: Settings) -> Database:
    return Database(settings.database)


def _live_tokens(database: Database) -> int:
    with database.read() as session:
        return len(session.scalars(select(ApiToken).where(ApiToken.revoked_at.is_(None))).all())


def test_a_grant_is_private_and_replaces_the_one_before(settings: Settings, database: Database) -> None:
    first = access.grant(settings, database, URL)
    second = access.grant(settings, database, URL)
    assert first.code != second.code
    assert stat.S_IMODE(settings.console_file.stat().st_mode) == 0o600
    assert json.loads(settings.console_file.read_text())["url"] == URL
    assert _live_tokens(database) == 1
    access.withdraw(settings, database)
    assert _live_tokens(database) == 0
    assert not settings.console_file.exists()


def test_without_an_administrator_there_is_no_way_in(settings: Settings, database: Database) -> None:
    now = SystemClock().now()
    with database.transaction() as session:
        create_user(session, "bob", Role.VIEWER, now=now)
    assert access.grant(settings, database, URL).code is None
    assert not settings.console_file.exists()


def test_the_entry_page_keeps_the_code_off_command_lines(settings: Settings) -> None:
    page = access.entry_page(settings, URL, "4F9K-22QX")
    assert "4F9K-22QX" in page.read_text()
    assert "4F9K" not in str(page)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_links_for_people(settings: Settings, database: Database) -> None:
    assert access.link_for(settings, None).startswith(f"{URL}/login?once=")
    link = access.new_admin_link(settings, "ada")
    assert link.startswith(f"{URL}/login?once=")
    with pytest.raises((Conflict, Invalid)):
        access.new_admin_link(settings, "ada")
    with pytest.raises(NotFound):
        access.link_for(settings, "nobody")
    with database.transaction() as session:
        ada = find_user(session, "ada")
        assert ada
        assert ada.role == Role.ADMIN
        disable_user(session, ada, actor=None, now=SystemClock().now())
    with pytest.raises(Forbidden):
        access.link_for(settings, "ada")


def test_an_old_schema_is_said(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(Unavailable, match="opsconsole db upgrade"):
        access.link_for(settings, None)
