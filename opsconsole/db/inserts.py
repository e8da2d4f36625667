"""Inserts that may meet a row which is there already."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.db.base import Base


def insert_missing(session: Session, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Returns an INSERT into ``model``'s table that passes over rows whose key is taken."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(model).on_conflict_do_nothing()
    return postgresql.insert(model).on_conflict_do_nothing()


def replace_rows(session: Session, table: Table, key: str, rows: Sequence[dict[str, Any]]) -> None:
    """Writes whole rows into ``table``, over those whose ``key`` is taken."""
    session.connection().execute(_replacing(session.get_bind().dialect.name, table, key), rows)


@cache
def _replacing(dialect: str, table: Table, key: str) -> postgresql.Insert | sqlite.Insert:
    # Made once: making it costs as much as running it with fifty rows.
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    columns = [column.name for column in table.columns if column.name != key]
    return statement.on_conflict_do_update(
        index_elements=[key], set_={name: statement.excluded[name] for name in columns}
    )
