"""Inserts that may meet a row which is there already."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from opsconsole.db.base import Base


def insert_missing(session: Session, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Returns an INSERT into ``model``'s table that passes over rows whose key is taken."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(model).on_conflict_do_nothing()
    return postgresql.insert(model).on_conflict_do_nothing()


def insert_or_replace(session: Session, model: type[Base], key: str) -> postgresql.Insert | sqlite.Insert:
    """Returns an INSERT of whole rows into ``model``'s table that replaces the rows whose ``key`` is taken."""
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = make(model)
    columns = [column.name for column in model.__table__.columns if column.name != key]
    return statement.on_conflict_do_update(
        index_elements=[key], set_={name: statement.excluded[name] for name in columns}
    )
