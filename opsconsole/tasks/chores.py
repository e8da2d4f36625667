"""Regular cleaning, once a minute: what has expired and what nobody looks at any more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete
from sqlalchemy.orm import Session

from opsconsole.accounts.models import LoginLink, WebSession
from opsconsole.clock import Clock
from opsconsole.db.database import Database, database_time
from opsconsole.errors import OpsconsoleError
from opsconsole.files.store import Store
from opsconsole.inventory import health, sources
from opsconsole.inventory.fetching import Allowed
from opsconsole.jobs import retention
from opsconsole.jobs.models import WorkerProcess
from opsconsole.settings import Settings

_log = structlog.get_logger(__name__)
_KEEP_GONE_WORKERS = timedelta(days=1)


def tidy(database: Database) -> None:
    """Deletes expired sessions and links, worker processes that were gone and reaped a day ago, and the health of hosts
    that are no longer there."""
    with database.transaction() as session:
        _tidy(session)


def tidy_files(
    settings: Settings,
    database: Database,
    clock: Clock,
    offload: Callable[[Callable[[], Any]], Any],
    *,
    on_disk: Callable[[Callable[[], Any]], Any],
) -> None:
    """Removes uploaded files that nobody needs any more, and what hosts gave to jobs that ended long ago."""
    store = Store(settings.files, spare_bytes=settings.files_spare_bytes)
    now = clock.now()
    before = now - timedelta(days=settings.files_keep_days)
    pulled = on_disk(store.jobs_with_pulled)

    def look() -> tuple[list[str], list[int]]:
        with database.transaction() as session:
            return retention.forget_files(session, before, now), retention.without_need(session, pulled, before)

    digests, jobs = offload(look)

    def remove() -> None:
        for sha256 in digests:
            store.remove_blob(sha256)
        for job_id in jobs:
            store.remove_pulled(job_id)
        store.clear()

    on_disk(remove)


def refresh_sources(
    settings: Settings, database: Database, clock: Clock, offload: Callable[[Callable[[], Any]], Any]
) -> None:
    """Asks the inventory's sources whose time has come, one after the other; one that fails keeps its last answer.

    Only the database goes through ``offload``: a source may take minutes, and nobody else waits for it.
    """

    def transact(work: Callable[[Session], Any]) -> Any:
        def inside() -> Any:
            with database.transaction() as session:
                return work(session)

        return offload(inside)

    allowed = Allowed(settings.source_programs, settings.source_urls)
    key_files = {name: str(path) for name, path in settings.key_files.items()}
    for name in transact(lambda session: sources.due(session, clock.now())):
        try:
            sources.refresh(transact, name, allowed=allowed, key_files=key_files, actor=None, now=clock.now)
        except OpsconsoleError as error:
            _log.warning("an inventory source failed; its last answer stays", source=name, reason=error.detail)


def _tidy(session: Session) -> None:
    now = database_time(session)
    session.execute(delete(WebSession).where(WebSession.expires_at < now))
    session.execute(delete(LoginLink).where(LoginLink.expires_at < now))
    old = WorkerProcess.reaped_at.is_not(None) & (WorkerProcess.gone_at < now - _KEEP_GONE_WORKERS)
    session.execute(delete(WorkerProcess).where(old))
    health.forget(session, now)
