"""Whether the other end of a connection is still there, asked when it has been silent for long."""

import time

from opsconsole.ssh.channel import SEND_FAILURES
from opsconsole.ssh.line import Line

# Silence after which the host is asked for a sign of life, and how long it may take: together under 30 seconds.
_PROBE_AFTER_SECONDS = 12.0
_PROBE_LIMIT_SECONDS = 12.0


class Pulse:
    """One connection's pulse, felt by the thread that follows what runs over it."""

    def __init__(self, transport: Line) -> None:
        self._transport = transport
        self._probed_at: float | None = None

    def feel(self) -> None:
        """Asks for a sign of life when it is time to."""
        if self._transport.silent_seconds() < _PROBE_AFTER_SECONDS:
            self._probed_at = None
        elif self._probed_at is None:
            self._probed_at = time.monotonic()
            try:
                self._transport.send_probe()
            except SEND_FAILURES:
                self._transport.abort()

    @property
    def gone(self) -> bool:
        """True when it was asked and did not answer in time."""
        return self._probed_at is not None and time.monotonic() >= self._probed_at + _PROBE_LIMIT_SECONDS

    @property
    def next_look(self) -> float:
        """The monotonic time at which to feel it again."""
        if self._probed_at is not None:
            return self._probed_at + _PROBE_LIMIT_SECONDS
        return time.monotonic() - self._transport.silent_seconds() + _PROBE_AFTER_SECONDS
