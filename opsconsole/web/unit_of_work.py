"""A request's way to the database and to the other parts of the process."""

from contextlib import AbstractContextManager
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from opsconsole.runtime import Runtime

EXTENSION = "opsconsole"


def runtime() -> Runtime:
    """Returns the parts of this process. Needs an application context."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Runtime)  # noqa: S101  the factory put it there; this is for the type checker
    return found


def transaction() -> AbstractContextManager[Session]:
    """Opens the request's one writing transaction: it commits at the end, or rolls back on an error."""
    return runtime().database.transaction()


def read() -> AbstractContextManager[Session]:
    """Opens a session for reading: no write lock, nothing is committed."""
    return runtime().database.read()


def now() -> datetime:
    """Returns the time of this process's clock, in UTC."""
    return runtime().clock.now()
