"""The launcher's own view of the database."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.launcher.database import bring_up_to_date, impatient, revisions
from opsconsole.settings import Settings


def test_the_supervisor_does_not_stand_still_behind_a_lock(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    bring_up_to_date(settings)
    with (
        closing(Database(settings.database)) as other,
        closing(impatient(settings)) as ours,
        other.transaction() as holder,
    ):
        holder.connection()
        started = time.monotonic()
        with pytest.raises(Unavailable), ours.transaction() as session:
            session.connection()
        assert 2 < time.monotonic() - started < 10
        # Reading is not held up at all.
        ours.ping()


def test_up_to_date_stays_as_it_is_and_another_version_is_explained(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    bring_up_to_date(settings)
    bring_up_to_date(settings)
    current, wanted = revisions(settings)
    assert current == wanted
    with closing(Database(settings.database)) as database, database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="another version"):
        bring_up_to_date(settings)
