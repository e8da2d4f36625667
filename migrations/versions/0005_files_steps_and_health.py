"""What is carried to hosts and back, in which steps, and how hosts have answered.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_executors()


def downgrade() -> None:
    _drop_executors()


def _add_executors() -> None:
    """What carries out a job, a run, and the runs of a host."""
    for table in ("jobs", "host_runs"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("executor", sa.String(16), nullable=False, server_default="ssh"))
    with op.batch_alter_table("hosts") as batch:
        batch.add_column(sa.Column("executor", sa.String(16), nullable=True))


def _drop_executors() -> None:
    for table in ("hosts", "host_runs", "jobs"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("executor")
