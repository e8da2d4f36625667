"""Sealed secrets. What is stored here cannot be read without the console's secret key."""

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from opsconsole.db.base import Base, UTCDateTime


class JobSecret(Base):
    """A secret typed for one job, wiped when the job ends. ``job_id`` has no foreign key: jobs are a later layer."""

    __tablename__ = "job_secrets"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
