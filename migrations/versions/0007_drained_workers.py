"""Workers that a person has drained, and what people have chosen for their pages.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from opsconsole.db.base import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_drain()
    _add_preferences()


def downgrade() -> None:
    _drop_preferences()
    _drop_drain()


def _add_drain() -> None:
    with op.batch_alter_table("worker_processes") as batch:
        batch.add_column(sa.Column("drained_at", UTCDateTime(), nullable=True))
        batch.add_column(sa.Column("drained_by", sa.String(length=150), nullable=True))


def _drop_drain() -> None:
    with op.batch_alter_table("worker_processes") as batch:
        batch.drop_column("drained_by")
        batch.drop_column("drained_at")


def _add_preferences() -> None:
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("preferences", sa.JSON(none_as_null=True), nullable=True))


def _drop_preferences() -> None:
    with op.batch_alter_table("users") as batch:
        batch.drop_column("preferences")
