"""The inventory: jump hosts, zones, frozen hosts, groups inside groups, and sources that hosts are fetched from.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from opsconsole.db.base import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_HOST_COLUMNS = [
    sa.Column("jump", sa.String(length=1000), nullable=True),
    sa.Column("zone", sa.String(length=100), nullable=True),
    sa.Column("frozen", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("frozen_reason", sa.String(length=200), nullable=True),
    sa.Column("source_id", sa.Integer(), nullable=True),
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
]
_GROUP_COLUMNS = [
    sa.Column("notes", sa.Text(), nullable=True),
    sa.Column("source_id", sa.Integer(), nullable=True),
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
]


def upgrade() -> None:
    op.create_table(
        "inventory_sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("argv", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=True),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("tried_at", UTCDateTime(), nullable=True),
        sa.Column("fetched_at", UTCDateTime(), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("host_count", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_inventory_sources_name")),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        _number_groups_for_good()
    for table, columns in (("hosts", _HOST_COLUMNS), ("host_groups", _GROUP_COLUMNS)):
        for column in columns:
            op.add_column(table, column)
        op.create_index(op.f(f"ix_{table}_source_id"), table, ["source_id"])
    op.create_table(
        "group_links",
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("child_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["host_groups.id"],
            name=op.f("fk_group_links_parent_id_host_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["child_id"],
            ["host_groups.id"],
            name=op.f("fk_group_links_child_id_host_groups"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("parent_id", "child_id", name=op.f("pk_group_links")),
    )
    op.create_index(op.f("ix_group_links_child_id"), "group_links", ["child_id"])


def downgrade() -> None:
    op.drop_table("group_links")
    for table, columns in (("hosts", _HOST_COLUMNS), ("host_groups", _GROUP_COLUMNS)):
        op.drop_index(op.f(f"ix_{table}_source_id"), table)
        for column in columns:
            # Copying the table, as alembic would on SQLite, would lose what alembic does not know of it.
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
    op.drop_table("inventory_sources")


def _number_groups_for_good() -> None:
    """Makes the table of groups anew so that SQLite never gives a number twice; its members are kept meanwhile."""
    for table in ("host_groups", "group_members"):
        op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608  two fixed names
    op.drop_table("group_members")
    op.drop_table("host_groups")
    op.create_table(
        "host_groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_host_groups_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("host_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["host_groups.id"],
            name=op.f("fk_group_members_group_id_host_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_group_members_host_id_hosts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "host_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_host_id"), "group_members", ["host_id"])
    op.execute("INSERT INTO host_groups (id, name) SELECT id, name FROM kept_host_groups")
    op.execute(
        "INSERT INTO group_members (group_id, host_id, position) "
        "SELECT group_id, host_id, position FROM kept_group_members"
    )
    for table in ("host_groups", "group_members"):
        op.execute(f"DROP TABLE kept_{table}")
