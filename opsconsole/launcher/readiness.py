"""Looks whether a part can be used. Nothing here waits long: whoever asks comes back."""

import socket
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from opsconsole.errors import Unavailable
from opsconsole.settings import Settings

_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 5.0
_OLDEST_REDIS = (6, 2)


class WebProbe:
    """Asks a starting web server whether it is ready, over one connection that waits for it to come up."""

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self._address = address
        self._family = family
        self._connection: socket.socket | None = None

    def ready(self, _pid: int) -> bool:
        """Returns whether ``/readyz`` was answered with 200; asks anew after any other answer."""
        try:
            if self._connection is None:
                self._connection = self._ask()
            answer = self._connection.recv(256)
        except BlockingIOError:
            return False
        except OSError:
            answer = b""
        self._close()
        return answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 "))

    def _ask(self) -> socket.socket:
        connection = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            connection.settimeout(1.0)
            connection.connect(self._address)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            connection.setblocking(False)
        except OSError:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def broker_place(settings: Settings) -> str:
    """Returns where the broker of the settings is, without user and password: ``host:port`` or a socket's path."""
    parts = urlsplit(settings.broker)
    if parts.scheme == "redis+socket":
        return unquote(parts.path)
    return f"{parts.hostname or 'localhost'}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """A broker that lets us in: what it is, and what in its set-up may lose messages (with the remedy), if anything."""

    what: str
    risk: str = ""
    remedy: str = ""


def look_at_broker(settings: Settings) -> BrokerReport:
    """Returns what the broker of the settings is. Raises ``Unavailable`` when it is not there or keeps us out.

    No message holds the URL: it may carry a password.
    """
    _reach(settings)
    return _look_at_rabbitmq(settings) if settings.broker.startswith("amqp") else _look_at_redis(settings)


def _reach(settings: Settings) -> None:
    parts = urlsplit(settings.broker)
    try:
        if parts.scheme == "redis+socket":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_CONNECT_SECONDS)
                connection.connect(unquote(parts.path))
        else:
            place = (parts.hostname or "localhost", parts.port or _DEFAULT_PORTS[parts.scheme])
            socket.create_connection(place, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        if settings.embedded_broker:
            raise _fault("The embedded broker does not run. Start it with the rest: opsconsole up") from None
        why = error.strerror or str(error)
        raise _fault(
            f"The broker at {broker_place(settings)} does not answer: {why}. Start it, or correct OPSCONSOLE_BROKER_URL"
        ) from None


def _look_at_redis(settings: Settings) -> BrokerReport:
    place = broker_place(settings)
    url = settings.broker.replace("redis+socket://", "unix://", 1)
    # By itself the library tries ten times more.
    once = Retry(NoBackoff(), 0)
    try:
        with closing(redis.Redis.from_url(url, socket_timeout=_ANSWER_SECONDS, retry=once)) as client:
            server = client.info("server")
            policy = _eviction_policy(client)
    except redis.RedisError as error:
        raise _fault(
            f"The broker at {place} does not let us in: {str(error)[:200]}. Check user and password in "
            "OPSCONSOLE_BROKER_URL"
        ) from None
    brand = "Valkey" if "valkey_version" in server else "Redis"
    version = str(server.get("valkey_version") or server.get("redis_version"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        raise _fault(f"{brand} {version} at {place} is too old. Use 6.2 or later")
    if policy not in {None, "noeviction"}:
        return BrokerReport(
            f"{brand} {version} at {place}",
            f"may throw messages away when its memory is full (maxmemory-policy {policy})",
            "Set maxmemory-policy noeviction in its configuration",
        )
    return BrokerReport(f"{brand} {version} at {place}" + (", noeviction" if policy else ""))


def _eviction_policy(client: redis.Redis) -> str | None:
    try:
        found = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.ResponseError:
        # Providers and access lists often keep CONFIG to themselves.
        return None
    return str(found) if found else None


def _look_at_rabbitmq(settings: Settings) -> BrokerReport:
    # Only who uses RabbitMQ needs Celery loaded in the supervisor.
    from opsconsole.tasks.app import make_celery

    place = broker_place(settings)
    connection = make_celery(settings).connection_for_write(connect_timeout=_ANSWER_SECONDS)
    try:
        connection.connect()
    except (*connection.connection_errors, *connection.channel_errors) as error:
        raise _fault(
            f"RabbitMQ at {place} does not let us in ({type(error).__name__}). Check user, password and virtual host "
            "in OPSCONSOLE_BROKER_URL"
        ) from None
    finally:
        connection.release()
    return BrokerReport(f"RabbitMQ at {place}")


def _fault(detail: str) -> Unavailable:
    return Unavailable(f"{detail}.", code="broker")
