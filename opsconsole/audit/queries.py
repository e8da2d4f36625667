"""Reads the audit."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from opsconsole.audit.models import AuditRecord
from opsconsole.audit.record import chained
from opsconsole.db.console import Console

START = "0" * 64
_BATCH = 2000
_COLUMNS = tuple(column for column in AuditRecord.__table__.columns if column.name not in {"prev_hash", "hash"})
_NAMES = tuple(column.name for column in _COLUMNS)


def verify(session: Session) -> int | None:
    """Returns the id of the first record that was changed, removed or put in between, or ``None`` when all is whole.

    A missing end is named by the id that the first missing record had.
    """
    previous, expected_id = START, 1
    table = AuditRecord.__table__
    statement = select(*_COLUMNS, table.c.prev_hash, table.c.hash).order_by(table.c.id)
    with session.execute(statement.execution_options(yield_per=_BATCH)) as rows:
        for row in rows:
            values = dict(zip(_NAMES, row[:-2], strict=True))
            whole = row.id == expected_id and row.prev_hash == previous and row.hash == chained(previous, values)
            if not whole:
                return expected_id
            previous, expected_id = row.hash, expected_id + 1
    console = session.get_one(Console, 1, populate_existing=True)
    return None if (console.audit_count, console.audit_head) == (expected_id - 1, previous) else expected_id


def recent(
    session: Session,
    *,
    action: str | None = None,
    object: str | None = None,  # noqa: A002 - the column's own word
    actor: str | None = None,
    address: str | None = None,
    text: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditRecord]:
    """Returns the newest records first; ``before`` is the id of the last one of the page before.

    ``action`` is a whole one (``job.launch``) or its kind (``job``); ``text`` is a part of the command or reason;
    records of ``since`` itself are in, those of ``until`` are not.
    """
    statement = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
    if action is not None:
        kind = AuditRecord.action.startswith(f"{action}.", autoescape=True)
        statement = statement.where(or_(AuditRecord.action == action, kind))
    for column, wanted in ((AuditRecord.object, object), (AuditRecord.actor, actor), (AuditRecord.address, address)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if text is not None:
        statement = statement.where(AuditRecord.text.icontains(text, autoescape=True))
    if since is not None:
        statement = statement.where(AuditRecord.at >= since)
    if until is not None:
        statement = statement.where(AuditRecord.at < until)
    if before is not None:
        statement = statement.where(AuditRecord.id < before)
    return list(session.scalars(statement))
