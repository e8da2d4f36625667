"""kombu's Redis transport with one difference: a message that cannot be read is dropped instead of ending the worker.

Whoever can write to the broker could otherwise end every worker, with all commands it follows, by one word.
"""

from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis

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


class Transport(redis.Transport):
    """Redis over TCP, TLS or a unix socket."""

    Channel = Channel


def use() -> None:
    """Makes kombu use this transport for Redis URLs in this process; it offers no other way to name one."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
