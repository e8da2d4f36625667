"""Questions that wait in a table until a worker has answered them: which of them to send to the workers now."""

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from opsconsole.inventory.models import HostKeyScan
from opsconsole.jobs.models import ConnectionTest

# How many questions of a kind may be with the workers at once: they take slots from runs.
_MOST_AT_ONCE = 50


def due(
    session: Session, kind: type[HostKeyScan] | type[ConnectionTest], now: datetime, *, again_seconds: float
) -> list[int]:
    """Returns the ids of those that should be sent to a worker now, and notes that they were; one that nobody has
    answered ``again_seconds`` later is sent to another."""
    waits = kind.done_at.is_(None)
    under_way = session.scalar(select(func.count()).where(waits, kind.next_publish_at > now)) or 0
    may = or_(kind.next_publish_at.is_(None), kind.next_publish_at <= now)
    query = select(kind.id).where(waits, may).order_by(kind.id).limit(max(_MOST_AT_ONCE - under_way, 0))
    ids = list(session.scalars(query))
    if ids:
        noting = update(kind).where(kind.id.in_(ids)).values(next_publish_at=now + timedelta(seconds=again_seconds))
        session.execute(noting.execution_options(synchronize_session=False))
    return ids
