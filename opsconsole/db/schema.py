"""Migrations, driven from code so that an installed copy needs no ini file."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.resources import data_dir


def migration_config(url: str) -> Config:
    """Returns the Alembic configuration for the database at ``url``."""
    config = Config()
    # Alembic reads its options through a parser to which % means something.
    config.set_main_option("script_location", str(data_dir("migrations")).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the database at ``url`` to ``revision``."""
    command.upgrade(migration_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Takes the database at ``url`` back to ``revision``."""
    command.downgrade(migration_config(url), revision)


def revisions(database: Database) -> tuple[str | None, str | None]:
    """Returns the revision the database is at and the one this code wants; they differ when a migration is due."""
    with database.read() as session:
        current = MigrationContext.configure(session.connection()).get_current_revision()
    return current, ScriptDirectory(str(data_dir("migrations"))).get_current_head()


def require_current(database: Database) -> None:
    """Raises ``Unavailable`` unless the database has exactly the schema of this code."""
    current, wanted = revisions(database)
    if current != wanted:
        raise Unavailable(
            f"The database is at revision {current or 'none'}, this version needs {wanted}. Run: opsconsole db upgrade",
            code="schema",
        )
