"""Tables of hosts, groups, the sources they are fetched from, and host keys."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from opsconsole.db.base import Base, UTCDateTime


class Host(Base):
    """A managed host. ``address``, ``port``, ``user`` and ``credential`` fall back to the console's settings."""

    __tablename__ = "hosts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    # Lower case, so that two spellings of one DNS name cannot be two hosts; ``name`` keeps the spelling.
    key: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    address: Mapped[str | None] = mapped_column(String(255))
    port: Mapped[int | None]
    user: Mapped[str | None] = mapped_column(String(64))
    # Name of one of the key files of the settings.
    credential: Mapped[str | None] = mapped_column(String(64))
    tags: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    notes: Mapped[str | None] = mapped_column(Text)
    # Hosts to go through, in order: ``user@bastion:22,inner``.
    jump: Mapped[str | None] = mapped_column(String(1000))
    zone: Mapped[str | None] = mapped_column(String(100))
    # Which algorithms are spoken with it (modern, legacy) and how its host key is judged; else its groups say it.
    profile: Mapped[str | None] = mapped_column(String(16))
    host_key_policy: Mapped[str | None] = mapped_column(String(16))
    # What carries out its runs: ssh, local or simulate; else the order or the settings say it.
    executor: Mapped[str | None] = mapped_column(String(16))
    # Nothing is run on a frozen host.
    frozen: Mapped[bool] = mapped_column(default=False, server_default=false())
    frozen_reason: Mapped[str | None] = mapped_column(String(200))
    # The source that made it, whose numbers are never given twice.
    source_id: Mapped[int | None] = mapped_column(index=True)
    # Rises with every change, so that nobody overwrites what somebody else has just changed.
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class HostGroup(Base):
    """A named set of hosts and of other groups."""

    __tablename__ = "host_groups"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    notes: Mapped[str | None] = mapped_column(Text)
    # What its hosts use unless they say otherwise themselves.
    credential: Mapped[str | None] = mapped_column(String(64))
    jump: Mapped[str | None] = mapped_column(String(1000))
    profile: Mapped[str | None] = mapped_column(String(16))
    host_key_policy: Mapped[str | None] = mapped_column(String(16))
    source_id: Mapped[int | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    members: Mapped[list["GroupMember"]] = relationship(
        cascade="all, delete-orphan", order_by="GroupMember.position", lazy="selectin"
    )


class GroupMember(Base):
    """One host's place in one group."""

    __tablename__ = "group_members"

    group_id: Mapped[int] = mapped_column(ForeignKey("host_groups.id", ondelete="CASCADE"), primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True, index=True)
    position: Mapped[int]
    host: Mapped[Host] = relationship(lazy="joined")


class GroupLink(Base):
    """One group's place inside another. ``inventory.groups`` sees to it that no group is inside of itself."""

    __tablename__ = "group_links"

    parent_id: Mapped[int] = mapped_column(ForeignKey("host_groups.id", ondelete="CASCADE"), primary_key=True)
    child_id: Mapped[int] = mapped_column(
        ForeignKey("host_groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position: Mapped[int]


class InventorySource(Base):
    """A program or an address that tells hosts and groups; what it said last is in the inventory until it says more.

    Exactly one of ``argv`` and ``url`` is set. Times are seconds; ``interval_seconds`` 0 means only by hand.
    """

    __tablename__ = "inventory_sources"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    argv: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    url: Mapped[str | None] = mapped_column(String(2000))
    timeout_seconds: Mapped[int]
    interval_seconds: Mapped[int]
    # When it was asked last, when it last gave a good answer, what was wrong with the last one.
    tried_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    fetched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    error: Mapped[str | None] = mapped_column(String(500))
    digest: Mapped[str | None] = mapped_column(String(64))
    host_count: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class KeyStatus(StrEnum):
    """``offered`` keys were seen and await a person; only ``trusted`` ones let a connection through.

    ``alarm`` is a key that a host showed instead of a trusted one: nothing connects there until a person has decided.
    """

    TRUSTED = "trusted"
    OFFERED = "offered"
    ALARM = "alarm"
    REVOKED = "revoked"


class HostKey(Base):
    """A public host key for one dialled ``address`` and ``port``, as known_hosts keeps them."""

    __tablename__ = "host_keys"
    __table_args__ = (UniqueConstraint("address", "port", "algorithm", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(255), index=True)
    port: Mapped[int]
    algorithm: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16), index=True)
    source: Mapped[str] = mapped_column(String(32))
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(150))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class HostAuthority(Base):
    """A line of known_hosts that speaks of many hosts: whose certificates count there, or which key is revoked there.

    ``patterns`` are those of known_hosts, parted by commas. A ``trusted`` key may sign host certificates; a ``revoked``
    one counts for nothing, neither as a host's key nor as a signer.
    """

    __tablename__ = "host_authorities"
    __table_args__ = (UniqueConstraint("patterns", "fingerprint"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    patterns: Mapped[str] = mapped_column(String(1000))
    algorithm: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    decided_by: Mapped[str | None] = mapped_column(String(150))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class HostKeyScan(Base):
    """One host whose keys a worker is asked to collect, with those asked for together (``batch``).

    ``found`` is how many keys it showed, ``detail`` why it showed none; both are empty until a worker was there.
    """

    __tablename__ = "host_key_scans"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[str] = mapped_column(String(32), index=True)
    host: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    jump: Mapped[str | None] = mapped_column(String(1000))
    host_key_policy: Mapped[str | None] = mapped_column(String(16))
    requested_by: Mapped[str] = mapped_column(String(150))
    requested_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_publish_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    found: Mapped[int | None]
    detail: Mapped[str | None] = mapped_column(String(500))


class HostHealth(Base):
    """How a host has answered, by its name in lower case, in the inventory or not; see ``inventory.health``.

    ``history`` are its last contacts, the oldest first, each ``[seconds since 1970, letter, reason, connect_ms, job]``;
    ``verdict`` and ``last_at`` are of the newest, ``reason`` and ``detail`` of the newest that failed.
    """

    __tablename__ = "host_health"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    history: Mapped[list[Any]] = mapped_column(JSON)
    verdict: Mapped[str] = mapped_column(String(16))
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ok_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reason: Mapped[str | None] = mapped_column(String(24))
    detail: Mapped[str | None] = mapped_column(String(500))
    host_key: Mapped[str | None] = mapped_column(String(16))
    connect_ms: Mapped[int | None]
