"""The web server: gunicorn with threads, one process, so that every viewer of a job shares one reader of it."""

import errno
import gc
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.http.message import Request
from gunicorn.workers.base import Worker

from opsconsole.bootstrap import Console, build
from opsconsole.db.schema import require_current
from opsconsole.errors import Invalid, OpsconsoleError, Unavailable
from opsconsole.launcher.orphans import end_with_parent
from opsconsole.launcher.secret_keys import self_test
from opsconsole.settings import Settings

Application = Callable[..., Iterable[bytes]]

_BACKLOG = 512
_NEXT_PORTS = 50
# A request that holds a thread longer than this is stuck, and so is the process that counts these seconds.
_STUCK_SECONDS = 60
_GRACEFUL_SECONDS = 3
_KEEPALIVE_SECONDS = 15
# A worker of gunicorn that ends with it is not started once more.
_BOOT_FAILED = 3


def check_exposure(settings: Settings) -> None:
    """Raises ``Invalid`` when the address is beyond this machine and nobody vouched for the way there (S2)."""
    if settings.behind_proxy or settings.insecure_http or is_loopback(settings.host):
        return
    raise Invalid(
        f"{settings.host} can be reached from other machines, and passwords would cross the network in clear. Put a "
        "TLS proxy in front and set OPSCONSOLE_BEHIND_PROXY=1, or accept that with OPSCONSOLE_INSECURE_HTTP=1.",
        code="exposed",
    )


def is_loopback(host: str) -> bool:
    """Returns whether every address of ``host`` is of this machine alone."""
    return all(ipaddress.ip_address(address).is_loopback for _, address in _addresses(host))


def listen(settings: Settings) -> socket.socket:
    """Returns a listening socket on the port of the settings, or on the next free one when that is in use.

    Raises ``Unavailable`` when the address is none of this machine or no port is free.
    """
    family, address = _addresses(settings.host)[0]
    last = min(settings.port + _NEXT_PORTS, 65535)
    problem: OSError | None = None
    for port in [*range(settings.port, last + 1), 0] if settings.port else [0]:
        try:
            return _bound(family, address, port)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise _cannot_listen(address, port, error) from None
            problem = error
    raise _cannot_listen(address, settings.port, problem or OSError()) from None


def url_of(listener: socket.socket) -> str:
    """Returns the address a browser on this machine reaches ``listener`` at."""
    host, port = listener.getsockname()[:2]
    shown = socket.gethostname() if ipaddress.ip_address(host).is_unspecified else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def serve(settings: Settings, listener: int | None, say: Callable[[str], None]) -> None:
    """Serves until a signal ends it. ``listener`` is the descriptor of a socket that listens already, if there is one.

    Without one it listens by itself and says where. Raises ``Unavailable`` when the database does not have the schema
    of this version.
    """
    check_exposure(settings)
    console = _grounded(settings)
    if listener is None:
        own = listen(settings)
        say(f"Serving {url_of(own)}")
        listener = own.detach()
    _Server(console.make_wsgi_app, _options(settings, listener)).run()


def application() -> Application:
    """Returns the web application for a server of one's own, such as ``gunicorn wsgi:app``.

    Where settings, schema or secret key do not fit it says so in one sentence and raises ``SystemExit``, with the
    status that keeps gunicorn from trying again.
    """
    try:
        return _grounded(Settings.load()).make_wsgi_app()
    except OpsconsoleError as error:
        sys.stderr.write(f"ERROR {error.detail}\n")
        raise SystemExit(_BOOT_FAILED) from None


def _grounded(settings: Settings) -> Console:
    """Returns the console. Raises ``Unavailable`` unless its database has this version's schema and this secret key."""
    console = build(settings)
    require_current(console.runtime.database)
    self_test(settings, console.runtime.database)
    # The process that serves is often a fork of this one, and connections do not survive that.
    console.runtime.database.close()
    return console


def _options(settings: Settings, descriptor: int) -> dict[str, Any]:
    return {
        "bind": [f"fd://{descriptor}"],
        "worker_class": "gthread",
        "workers": 1,
        "threads": settings.web_threads,
        # Idle connections of browsers and streams must not use up what new ones need.
        "worker_connections": settings.web_threads * 4,
        "timeout": _STUCK_SECONDS,
        "graceful_timeout": _GRACEFUL_SECONDS,
        "keepalive": _KEEPALIVE_SECONDS,
        "control_socket_disable": True,
        # Addresses may hold one-time codes; the application logs requests without them.
        "accesslog": None,
        "errorlog": "-",
        "loglevel": settings.log_level.lower(),
        "proc_name": "opsconsole web",
        "forwarded_allow_ips": "127.0.0.1,::1" if settings.behind_proxy else "",
        "limit_request_line": 8190,
        "post_fork": _post_fork,
        "pre_request": _pre_request,
        "post_worker_init": _post_worker_init,
        "worker_exit": _worker_exit,
    }


def _post_fork(_server: object, worker: Worker) -> None:
    end_with_parent(worker.ppid)


def _pre_request(_worker: Worker, request: Request) -> None:
    """Closes the connection after a body that is refused unread: its rest must not be taken in for nothing.

    Gunicorn drops a ``Connection`` header that an application sets, so it is asked itself.
    """
    from opsconsole.web.app import MAX_BODY_BYTES

    sizes = [value for name, value in request.headers if name == "CONTENT-LENGTH"]
    if any(int(size) > MAX_BODY_BYTES for size in sizes if size.isdecimal()):
        request.force_close()


def _post_worker_init(worker: Worker) -> None:
    """Lets live streams say good-bye on SIGTERM: their viewers then come back at random moments, not all at once.

    What the application is made of stays as long as the process: the collector need not look at it again each time that
    a request has made many objects. It took a third of the time that an order for thousands of hosts takes.
    """
    from opsconsole.web.sse import stop_streams

    gc.collect()
    gc.freeze()

    def end(signum: int, frame: FrameType | None) -> None:
        stop_streams(worker.wsgi)
        worker.handle_exit(signum, frame)

    signal.signal(signal.SIGTERM, end)


def _worker_exit(_server: object, worker: Worker) -> None:
    """Ends the process that serves, once requests have had their grace.

    The interpreter would first wait for every thread of the pool, and a viewer's stream holds one for up to a minute.
    A process that could not even start keeps its own exit status, which tells gunicorn to give up.
    """
    if worker.booted:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _Server(BaseApplication):
    """Gunicorn with our options instead of its own command line."""

    def __init__(self, make_app: Callable[[], Application], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Takes over the options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Makes the application, in the process that serves it."""
        return self._make_app()


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise Invalid(f"OPSCONSOLE_HOST: {host!r} is no address of this machine.", code="host") from None
    return [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found]


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _cannot_listen(address: str, port: int, error: OSError) -> Unavailable:
    return Unavailable(f"The web server cannot listen on {address} port {port}: {error.strerror}.", code="listen")
