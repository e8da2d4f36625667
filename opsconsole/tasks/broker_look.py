"""Looks at the broker as one who wants to send: does it answer, does it take a message, will it keep it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from opsconsole.jobs.states import BrokerFault
from opsconsole.settings import Settings
from opsconsole.tasks.app import QUEUE

_SECONDS = 2.0
_SIGN = "opsc:alive"
_SIGN_SECONDS = 60


def make_look(settings: Settings, app: Celery) -> Callable[[], BrokerFault | None]:
    """Returns a function that says what is wrong with the broker of the settings, if anything; it raises nothing."""
    if settings.broker.startswith("amqp"):
        return _RabbitMQ(app).look
    return _Redis(settings.broker.replace("redis+socket://", "unix://", 1)).look


class _Redis:
    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 0)
        )

    def look(self) -> BrokerFault | None:
        try:
            # Something is written: a broker that is full still answers questions.
            self._client.set(_SIGN, 1, ex=_SIGN_SECONDS)
            return BrokerFault.EVICTS if self._evicts() else None
        except redis.exceptions.OutOfMemoryError:
            return BrokerFault.FULL
        except redis.exceptions.NoPermissionError:
            # It answers; what an access list allows besides is its own business.
            return None
        except (redis.RedisError, OSError):
            return BrokerFault.UNREACHABLE

    def _evicts(self) -> bool:
        with suppress(redis.ResponseError):
            # Providers and access lists often keep CONFIG to themselves.
            found = self._client.config_get("maxmemory-policy").get("maxmemory-policy")
            return found not in {None, "noeviction"}
        return False


class _RabbitMQ:
    def __init__(self, app: Celery) -> None:
        self._connection = app.connection_for_write(connect_timeout=_SECONDS)

    def look(self) -> BrokerFault | None:
        faults: tuple[type[BaseException], ...] = (
            *self._connection.connection_errors,
            *self._connection.channel_errors,
            OSError,
        )
        try:
            self._connection.connect()
            channel: Any = self._connection.default_channel
            channel.queue_declare(QUEUE, passive=True)
        except faults:
            with suppress(*faults):
                self._connection.close()
            return BrokerFault.UNREACHABLE
        return None
