"""Regular cleaning, once a minute: what has expired and what nobody looks at any more."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from opsconsole.accounts.models import LoginLink, WebSession
from opsconsole.db.database import Database, database_time
from opsconsole.jobs.models import WorkerProcess

_KEEP_GONE_WORKERS = timedelta(days=1)


def tidy(database: Database) -> None:
    """Deletes expired sessions and links, and worker processes that were gone and reaped a day ago."""
    with database.transaction() as session:
        _tidy(session)


def _tidy(session: Session) -> None:
    now = database_time(session)
    session.execute(delete(WebSession).where(WebSession.expires_at < now))
    session.execute(delete(LoginLink).where(LoginLink.expires_at < now))
    old = WorkerProcess.reaped_at.is_not(None) & (WorkerProcess.gone_at < now - _KEEP_GONE_WORKERS)
    session.execute(delete(WorkerProcess).where(old))
