"""Inserts that may meet a row which is there already."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.db.base import Base


def insert_missing(session: Session, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Returns an INSERT into ``model``'s table that passes over rows whose key is taken."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(model).on_conflict_do_nothing()
    return postgresql.insert(model).on_conflict_do_nothing()
