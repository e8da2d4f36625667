"""Tables of credentials and of sealed secrets. What is sealed cannot be read without the console's secret key."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from opsconsole.db.base import Base, UTCDateTime


class DataKey(Base):
    """A key that seals secrets; new ones are sealed with the newest that is not retired."""

    __tablename__ = "data_keys"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class DataKeyWrap(Base):
    """A data key, wrapped by one secret key. While the secret key is exchanged there are two of each."""

    __tablename__ = "data_key_wraps"

    key_id: Mapped[int] = mapped_column(ForeignKey("data_keys.id", ondelete="CASCADE"), primary_key=True)
    master_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


class Credential(Base):
    """A way to log in that people use by its name and that nobody can read back.

    All columns but the notes and the times are sealed in with its secrets: a row that was changed behind the
    console's back opens no more.
    """

    __tablename__ = "credentials"
    __table_args__ = ({"sqlite_autoincrement": True},)

    # Never given twice: it is part of what binds a secret to its row.
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(56), unique=True)
    kind: Mapped[str] = mapped_column(String(24))
    # The remote user it is for; without one it is good for any.
    user: Mapped[str | None] = mapped_column(String(64))
    # What may be shown: fingerprint, key type, the address of something external.
    public: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    # Target expressions; the credential is used on these hosts alone.
    scope: Mapped[list[str]] = mapped_column(JSON, default=list)
    notes: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_by: Mapped[str] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class CredentialSecret(Base):
    """One sealed part of a credential: ``password``, ``private_key``."""

    __tablename__ = "credential_secrets"

    credential_id: Mapped[int] = mapped_column(ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True)
    field: Mapped[str] = mapped_column(String(32), primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("data_keys.id"), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class JobSecret(Base):
    """A secret typed for one job, wiped when the job ends. ``job_id`` has no foreign key: jobs are a later layer."""

    __tablename__ = "job_secrets"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    # None for what the secret key sealed itself, before there were data keys.
    key_id: Mapped[int | None] = mapped_column(ForeignKey("data_keys.id"), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
