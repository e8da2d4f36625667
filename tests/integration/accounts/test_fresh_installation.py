"""Two fresh installations share no secret and know nobody; what they keep is closed to other users."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text

from opsconsole.accounts import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.console import Console
from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.errors import Unavailable
from opsconsole.settings import Settings
from tests.support.clock import START


def install(folder: Path) -> tuple[Settings, Database]:
    settings = Settings.load(data_dir=folder)
    settings.secret()
    upgrade(settings.database)
    return settings, Database(settings.database)


def secrets_of(settings: Settings, database: Database) -> set[str]:
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM users")).scalar_one() == 0
        admin = service.first_admin(session, now=START)
        assert not service.has_password(admin)
        code = service.issue_login_link(session, admin, now=START)
        cookie = service.open_session(session, admin, address=None, now=START, settings=settings)
        generation = session.scalars(select(Console.generation)).one()
    database.close()
    return {settings.secret(), code, cookie, generation}


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    one = secrets_of(*install(tmp_path / "one"))
    two = secrets_of(*install(tmp_path / "two"))
    assert len(one | two) == 8


def test_what_is_kept_is_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        settings, database = install(tmp_path / "data")
        database.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.data_dir / "secret.key").stat().st_mode) == 0o600


def test_processes_that_start_at_once_make_one_secret(tmp_path: Path) -> None:
    settings = [Settings.load(data_dir=tmp_path / "data") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(Settings.secret, settings))) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_what_one_installation_seals_no_other_opens(tmp_path: Path) -> None:
    one, two = (Settings.load(data_dir=tmp_path / name).secret() for name in ("one", "two"))
    sealed = Cipher(one).seal("violet engine tuesday 41", place="here")
    assert b"violet" not in sealed
    assert Cipher(one).open(sealed, place="here") == "violet engine tuesday 41"
    for cipher, place in ((Cipher(two), "here"), (Cipher(one), "there")):
        with pytest.raises(Unavailable) as caught:
            cipher.open(sealed, place=place)
        assert "violet" not in caught.value.detail
