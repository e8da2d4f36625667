"""Runs migrations against the URL that ``opsconsole.db.schema`` hands over."""

from alembic import context

import opsconsole.accounts.models
import opsconsole.audit.models
import opsconsole.credentials.models
import opsconsole.db.console
import opsconsole.files.models
import opsconsole.inventory.models
import opsconsole.jobs.models  # noqa: F401
from opsconsole.db.base import Base
from opsconsole.db.engine import make_engine


def run() -> None:
    """Upgrades or downgrades in one transaction, so that an interrupted migration leaves nothing half done."""
    engine = make_engine(context.config.attributes["url"])
    try:
        with engine.connect() as connection:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=connection.dialect.name == "sqlite",
                compare_type=True,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


run()
