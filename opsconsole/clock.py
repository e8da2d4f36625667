"""Time as a dependency: wall-clock time for records, monotonic time for every deadline."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of the code may know of time."""

    def now(self) -> datetime:
        """Returns the wall-clock time, aware, in UTC."""

    def monotonic(self) -> float:
        """Returns seconds on a clock that never jumps; only differences mean anything."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Returns the machine's wall-clock time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Returns the machine's monotonic time in seconds."""
        return time.monotonic()
