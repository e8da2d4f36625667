"""Run control: waves, pauses, budgets, retries, looks at lost runs, and the hold of the whole console.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from opsconsole.db.base import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NEW_COLUMNS = {
    "console": [
        sa.Column("held_at", UTCDateTime(), nullable=True),
        sa.Column("held_by", sa.String(length=150), nullable=True),
        sa.Column("held_reason", sa.String(length=500), nullable=True),
    ],
    "host_runs": [
        sa.Column("rank", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("wave", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("limit_keys", sa.JSON(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("cancel_grace", sa.Double(), nullable=True),
        sa.Column("mark", sa.String(length=64), nullable=True),
        sa.Column("look", sa.String(length=16), nullable=True),
        sa.Column("look_kill", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("look_detail", sa.String(length=500), nullable=True),
        sa.Column("looked_at", UTCDateTime(), nullable=True),
    ],
    "jobs": [
        sa.Column("order_digest", sa.String(length=64), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("wave", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("hold_ms", sa.Integer(), nullable=True),
        sa.Column("pause_reason", sa.String(length=16), nullable=True),
        sa.Column("paused_by", sa.String(length=150), nullable=True),
        sa.Column("elapsed_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("failures_allowed", sa.Integer(), nullable=True),
        sa.Column("count_unreachable", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("durable", sa.Boolean(), nullable=False, server_default=sa.false()),
    ],
    "worker_processes": [
        sa.Column("broker_fault", sa.String(length=16), nullable=True),
        sa.Column("refuses", sa.String(length=16), nullable=True),
    ],
}


def upgrade() -> None:
    for table, columns in _NEW_COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    # Rows of before keep the order of their roster.
    op.execute("UPDATE host_runs SET rank = i")
    op.drop_index("ix_host_runs_job_id_state_i", "host_runs")
    op.create_index(op.f("ix_host_runs_job_id_state_rank"), "host_runs", ["job_id", "state", "rank"])
    op.create_index(op.f("ix_jobs_rerun_of"), "jobs", ["rerun_of"])
    asked = sa.text("look = 'asked'")
    op.create_index("ix_host_runs_look", "host_runs", ["look"], sqlite_where=asked, postgresql_where=asked)
    op.create_table(
        "run_attempts",
        sa.Column("host_run_id", _BIG_ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("claimed_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_run_id"],
            ["host_runs.id"],
            name=op.f("fk_run_attempts_host_run_id_host_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("host_run_id", "attempt", name=op.f("pk_run_attempts")),
    )


def downgrade() -> None:
    op.drop_table("run_attempts")
    op.drop_index("ix_jobs_rerun_of", "jobs")
    op.drop_index("ix_host_runs_look", "host_runs")
    op.drop_index("ix_host_runs_job_id_state_rank", "host_runs")
    op.create_index(op.f("ix_host_runs_job_id_state_i"), "host_runs", ["job_id", "state", "i"])
    for table, columns in _NEW_COLUMNS.items():
        for column in columns:
            # Copying the table, as alembic would on SQLite, would lose what alembic does not know of it.
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
