"""What a host is reached through, logged in to with and trusted by, and what is run there.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = {
    "hosts": [
        sa.Column("profile", sa.String(length=16), nullable=True),
        sa.Column("host_key_policy", sa.String(length=16), nullable=True),
    ],
    "host_groups": [
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("jump", sa.String(length=1000), nullable=True),
        sa.Column("profile", sa.String(length=16), nullable=True),
        sa.Column("host_key_policy", sa.String(length=16), nullable=True),
    ],
    "jobs": [
        sa.Column("what", sa.JSON(none_as_null=True), nullable=True),
    ],
    "host_runs": [
        sa.Column("jump", sa.String(length=1000), nullable=True),
        sa.Column("variables", sa.JSON(none_as_null=True), nullable=True),
    ],
}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    _add_host_keys()


def _add_host_keys() -> None:
    op.create_index("ix_host_keys_status", "host_keys", ["status"])


def _drop_host_keys() -> None:
    op.drop_index("ix_host_keys_status", "host_keys")


def downgrade() -> None:
    _drop_host_keys()
    for table, columns in _COLUMNS.items():
        for column in columns:
            # Copying the table, as alembic would on SQLite, would lose what alembic does not know of it.
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
