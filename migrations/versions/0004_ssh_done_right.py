"""What a host is reached through, logged in to with and trusted by, and what is run there.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from opsconsole.db.base import UTCDateTime

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
        sa.Column("saved_id", sa.Integer(), nullable=True),
    ],
    "host_runs": [
        sa.Column("jump", sa.String(length=1000), nullable=True),
        sa.Column("host_key_policy", sa.String(length=16), nullable=True),
        sa.Column("variables", sa.JSON(none_as_null=True), nullable=True),
    ],
}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.add_column(table, column)
    _add_host_keys()
    _add_credentials()
    _add_job_events()
    _add_saved_commands()


def _add_host_keys() -> None:
    op.create_index("ix_host_keys_status", "host_keys", ["status"])
    op.create_table(
        "host_authorities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patterns", sa.String(length=1000), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.String(length=150), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_authorities")),
        sa.UniqueConstraint("patterns", "fingerprint", name=op.f("uq_host_authorities_patterns_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "host_key_scans",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=320), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("jump", sa.String(length=1000), nullable=True),
        sa.Column("host_key_policy", sa.String(length=16), nullable=True),
        sa.Column("requested_by", sa.String(length=150), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_publish_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_key_scans")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_host_key_scans_batch", "host_key_scans", ["batch"])
    op.create_index("ix_host_key_scans_done_at", "host_key_scans", ["done_at"])


def _drop_host_keys() -> None:
    op.drop_table("host_key_scans")
    op.drop_table("host_authorities")
    op.drop_index("ix_host_keys_status", "host_keys")


def downgrade() -> None:
    _drop_saved_commands()
    op.drop_table("job_events")
    _drop_credentials()
    _drop_host_keys()
    for table, columns in _COLUMNS.items():
        for column in columns:
            # Copying the table, as alembic would on SQLite, would lose what alembic does not know of it.
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")


def _add_credentials() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("retired_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "data_key_wraps",
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("master_id", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["data_keys.id"], name=op.f("fk_data_key_wraps_key_id_data_keys"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "master_id", name=op.f("pk_data_key_wraps")),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=56), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=True),
        sa.Column("public", sa.JSON(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.String(length=150), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("last_used_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("name", name=op.f("uq_credentials_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "credential_secrets",
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credentials.id"],
            name=op.f("fk_credential_secrets_credential_id_credentials"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["key_id"], ["data_keys.id"], name=op.f("fk_credential_secrets_key_id_data_keys")),
        sa.PrimaryKeyConstraint("credential_id", "field", name=op.f("pk_credential_secrets")),
    )
    op.create_index(op.f("ix_credential_secrets_key_id"), "credential_secrets", ["key_id"])
    with op.batch_alter_table("job_secrets") as batch:
        batch.add_column(sa.Column("key_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(op.f("fk_job_secrets_key_id_data_keys"), "data_keys", ["key_id"], ["id"])
        batch.create_index(op.f("ix_job_secrets_key_id"), ["key_id"])


def _drop_credentials() -> None:
    # What a data key sealed opens no more without it; its jobs ask for the password again.
    op.execute("DELETE FROM job_secrets WHERE key_id IS NOT NULL")
    with op.batch_alter_table("job_secrets") as batch:
        batch.drop_index(op.f("ix_job_secrets_key_id"))
        batch.drop_constraint(op.f("fk_job_secrets_key_id_data_keys"), type_="foreignkey")
        batch.drop_column("key_id")
    for table in ("credential_secrets", "credentials", "data_key_wraps", "data_keys"):
        op.drop_table(table)


def _add_job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_job_events_job_id"), "job_events", ["job_id"])


def _add_saved_commands() -> None:
    op.create_index(op.f("ix_jobs_saved_id"), "jobs", ["saved_id"])
    op.create_table(
        "saved_commands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("order", sa.JSON(), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=150), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_saved_commands_created_by_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_commands")),
        sa.UniqueConstraint("key", name=op.f("uq_saved_commands_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_saved_commands_created_by_id"), "saved_commands", ["created_by_id"])


def _drop_saved_commands() -> None:
    op.drop_table("saved_commands")
    op.drop_index(op.f("ix_jobs_saved_id"), "jobs")
