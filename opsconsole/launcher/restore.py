"""``opsconsole recover --hold``: the database after a restore, from a person's point of view."""

import getpass
from collections.abc import Iterator
from contextlib import closing

from opsconsole.clock import SystemClock
from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.jobs import restore
from opsconsole.launcher.folder import RunLock, prepare
from opsconsole.settings import Settings


def hold_console(settings: Settings, reason: str) -> Iterator[str]:
    """Holds the console and yields what to say of it. Raises ``Conflict`` while a console runs on this data folder,
    ``Unavailable`` when the database does not answer or has another version's schema."""
    prepare(settings)
    with RunLock(settings), closing(Database(settings.database)) as database:
        schema.require_current(database)
        with database.transaction() as session:
            held = restore.hold(session, by=getpass.getuser(), reason=reason, now=SystemClock().now())
    yield "The console is on hold: nothing starts until an administrator lifts it."
    if held.lost:
        yield f"{_many(held.lost, 'command')} that ran when this copy was made: now lost. The hosts may tell more."
    if held.waiting:
        yield (
            f"{_many(held.waiting, 'host')} of {_many(held.jobs, 'job')} had not started as far as this copy knows, "
            "and may have run since. These jobs are paused: look at them before you resume or cancel them."
        )
    yield "Start the console again, every worker too. When all is clear: opsconsole lift"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
