"""The one row that tells this console's database from every other, and from an older copy of itself."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from opsconsole.db.base import Base, UTCDateTime


class Console(Base):
    """Row 1 is written by the first migration; ``generation`` is random, its start is the epoch clients see."""

    __tablename__ = "console"

    id: Mapped[int] = mapped_column(primary_key=True)
    generation: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The last audit record's hash; updated under this row's lock so that the chain has one end.
    audit_head: Mapped[str] = mapped_column(String(64))
    audit_count: Mapped[int] = mapped_column(BigInteger)
    # Set by an emergency stop or by ``recover --hold``: nothing starts until a person lifts it.
    held_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    held_by: Mapped[str | None] = mapped_column(String(150))
    held_reason: Mapped[str | None] = mapped_column(String(500))

    @property
    def epoch(self) -> str:
        """The first four characters of the generation, as in the ETag ``W/"8f3a.1127"``."""
        return self.generation[:4]
