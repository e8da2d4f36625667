"""What is carried to hosts and back, in which steps, and how hosts have answered.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from opsconsole.db.base import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_files()
    _add_executors()
    _add_steps()
    _add_digests()
    _add_health()
    _add_connection_tests()


def downgrade() -> None:
    _drop_connection_tests()
    _remove_files()
    _drop_health()
    _drop_digests()
    _drop_steps()
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


def _add_steps() -> None:
    op.add_column("jobs", sa.Column("step", sa.String(length=8), nullable=True))
    op.add_column("host_runs", sa.Column("step", sa.String(length=8), nullable=True))
    op.add_column("host_runs", sa.Column("so_far", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "run_steps",
        sa.Column("host_run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("from_byte", sa.BigInteger(), nullable=False),
        sa.Column("to_byte", sa.BigInteger(), nullable=True),
        sa.Column("lines", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(
            ["host_run_id"], ["host_runs.id"], name=op.f("fk_run_steps_host_run_id_host_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host_run_id", "step", name=op.f("pk_run_steps")),
    )


def _drop_steps() -> None:
    op.drop_table("run_steps")
    op.drop_column("host_runs", "so_far")
    op.drop_column("host_runs", "step")
    op.drop_column("jobs", "step")


def _add_digests() -> None:
    """What a run's output has in common with that of other hosts."""
    for name in ("digest_clean", "digest_similar"):
        op.add_column("host_runs", sa.Column(name, sa.String(length=64), nullable=True))


def _drop_digests() -> None:
    with op.batch_alter_table("host_runs") as batch:
        for name in ("digest_similar", "digest_clean"):
            batch.drop_column(name)


def _add_health() -> None:
    """How each host has answered."""
    op.create_table(
        "host_health",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=True),
        sa.Column("ok_at", UTCDateTime(), nullable=True),
        sa.Column("failed_at", UTCDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("host_key", sa.String(length=16), nullable=True),
        sa.Column("connect_ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_health")),
    )


def _drop_health() -> None:
    op.drop_table("host_health")


def _add_files() -> None:
    op.create_table(
        "uploaded_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=150), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_uploaded_files_created_by_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploaded_files")),
        sa.UniqueConstraint("sha256", "created_by_id", name=op.f("uq_uploaded_files_sha256_created_by_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_uploaded_files_created_by_id"), "uploaded_files", ["created_by_id"])
    op.create_index(op.f("ix_uploaded_files_used_at"), "uploaded_files", ["used_at"])
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "sha256", name=op.f("pk_job_files")),
    )
    op.create_index("ix_job_files_sha256", "job_files", ["sha256"])
    for name in ("done_bytes", "total_bytes"):
        op.add_column("host_runs", sa.Column(name, sa.BigInteger(), nullable=True))


def _remove_files() -> None:
    with op.batch_alter_table("host_runs") as batch:
        for name in ("total_bytes", "done_bytes"):
            batch.drop_column(name)
    op.drop_table("job_files")
    op.drop_table("uploaded_files")


def _add_connection_tests() -> None:
    """Connections that workers are asked to test."""
    op.create_table(
        "connection_tests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=320), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("jump", sa.String(length=1000), nullable=True),
        sa.Column("host_key_policy", sa.String(length=16), nullable=True),
        sa.Column("executor", sa.String(length=16), nullable=False),
        sa.Column("run_as", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("connect_ms", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(length=150), nullable=False),
        sa.Column("requested_at", UTCDateTime(), nullable=False),
        sa.Column("next_publish_at", UTCDateTime(), nullable=True),
        sa.Column("done_at", UTCDateTime(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("findings", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_connection_tests_batch", "connection_tests", ["batch"])
    op.create_index("ix_connection_tests_done_at", "connection_tests", ["done_at"])
    op.create_index("ix_connection_tests_host_id", "connection_tests", ["host", "id"])


def _drop_connection_tests() -> None:
    op.drop_table("connection_tests")
