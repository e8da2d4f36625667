"""Looks whether a part can be used. Nothing here waits long: whoever asks comes back."""

import socket
from urllib.parse import unquote, urlsplit

from opsconsole.errors import Unavailable
from opsconsole.settings import Settings

_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
_CONNECT_SECONDS = 3.0


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


def require_broker(settings: Settings) -> None:
    """Raises ``Unavailable`` when nothing listens where the broker should be."""
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
        why = error.strerror or str(error)
        raise Unavailable(
            f"The broker at {broker_place(settings)} does not answer: {why}. Start it, or correct "
            "OPSCONSOLE_BROKER_URL.",
            code="broker",
        ) from None
