"""kombu's Redis transport with three differences: two so that the broker's trouble ends no worker and no command it
follows, one so that a slot that becomes free is filled at once.

A message that cannot be read is dropped: whoever can write to the broker could otherwise end every worker by one word.
A broker that has no memory left when a worker connects is one to connect to again, like one that is away.
"""

from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import OutOfMemoryError

_NO_ROOM_SECONDS = 0.05
_log = structlog.get_logger(__name__)
# What reading text that is no message can raise; trouble of the connection is another matter.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Channel(redis.Channel):
    """Reads messages that anybody may have written."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))  # type: ignore[misc]
        except _UNREADABLE as error:
            # Its text may be anything at all, and is told to nobody.
            _log.warning("a message that cannot be read was dropped", error=type(error).__name__)
            return True

    def _queue_bind(self, *place: Any) -> None:
        try:
            super()._queue_bind(*place)  # type: ignore[misc]
        except OutOfMemoryError as error:
            raise ConnectionError("the broker's memory is full") from error


class Transport(redis.Transport):
    """Redis over TCP, TLS or a unix socket."""

    Channel = Channel

    # kombu's stubs give its two base classes different signatures.
    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]
        """Hands out messages. A consumer that has no room now is asked again soon: nothing wakes kombu when it has."""
        if not all(channel.qos.can_consume() for channel in self.channels or ()):
            timeout = min(timeout or _NO_ROOM_SECONDS, _NO_ROOM_SECONDS)
        super().drain_events(connection, timeout)


def use() -> None:
    """Makes kombu use this transport for Redis URLs in this process; it offers no other way to name one."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
