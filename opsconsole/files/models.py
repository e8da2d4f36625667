"""Tables of uploaded files and of the jobs that carry them. The bytes themselves are not in the database."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from opsconsole.db.base import Base, UTCDateTime

_BigId = BigInteger().with_variant(Integer, "sqlite")


class UploadedFile(Base):
    """That a person gave a file. The same content of several people, or under several names, is kept once."""

    __tablename__ = "uploaded_files"
    __table_args__ = (UniqueConstraint("sha256", "created_by_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    # As the person called it; of those with the same content, the latest.
    name: Mapped[str] = mapped_column(String(255))
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_by: Mapped[str] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # When it was last given or ordered: what nobody has used for long is removed.
    used_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class JobFile(Base):
    """That a job carries a file."""

    __tablename__ = "job_files"
    __table_args__ = (Index("ix_job_files_sha256", "sha256"),)

    job_id: Mapped[int] = mapped_column(_BigId, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
