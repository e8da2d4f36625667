"""The tags that a job's hosts had when it was launched.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_tags()


def downgrade() -> None:
    _drop_tags()


def _add_tags() -> None:
    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("tags", sa.JSON(none_as_null=True), nullable=True))


def _drop_tags() -> None:
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("tags")
