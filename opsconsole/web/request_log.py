"""One log line a request, and one for each failure. Control characters of hostile input never reach the log raw."""

import secrets
import sys
import time
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import StatementError
from structlog.typing import EventDict, WrappedLogger

from opsconsole.errors import OpsconsoleError
from opsconsole.jobs.masking import without_known_secrets
from opsconsole.settings import Settings

EXTENSION = "opsconsole-log"
# Nobody's password may take these away.
_OUR_WORDS = frozenset({"event", "level", "timestamp"})
_QUIET = ("/static/", "/healthz", "/readyz")


def register(app: Flask, settings: Settings) -> None:
    """Gives each request of ``app`` an id, and logs it when it is answered."""
    app.extensions[EXTENSION] = make_logger(settings)
    app.before_request(_begin)
    app.after_request(_end)


def make_logger(settings: Settings) -> structlog.typing.FilteringBoundLogger:
    """Returns a logger that writes to standard error: JSON lines with ``log_json``, ``key=value`` lines otherwise."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=True)
    if not settings.log_json:
        # Values are written as their repr, which escapes line breaks, escape sequences and bidi marks.
        renderer = structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], repr_native_str=True
        )
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_parameters,
            structlog.processors.format_exc_info,
            _hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
    )
    return logger


def logger() -> structlog.typing.FilteringBoundLogger:
    """Returns the application's logger."""
    found: structlog.typing.FilteringBoundLogger = current_app.extensions[EXTENSION]
    return found


def log_failure(error: BaseException) -> None:
    """Logs ``error`` with its traceback and the request it came from."""
    logger().error(
        "request failed", request_id=g.get("request_id"), method=request.method, path=request.path, exc_info=error
    )


def log_refusal(error: OpsconsoleError) -> None:
    """Logs ``error`` as one line: it is an expected answer, and its words say all there is."""
    logger().warning(
        "request refused",
        request_id=g.get("request_id"),
        method=request.method,
        path=request.path,
        code=error.code,
        detail=error.detail,
    )


def _hide_parameters(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Keeps what people typed out of a database error's text."""
    error = event.get("exc_info")
    while isinstance(error, BaseException):
        if isinstance(error, StatementError):
            error.hide_parameters = True
        error = error.__cause__ or error.__context__
    return event


def _hide_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Masks what people typed as a password, and whatever else of that kind this process holds."""
    for name, value in event.items():
        if isinstance(value, str) and name not in _OUR_WORDS:
            event[name] = without_known_secrets(value)
    return event


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    g.request_started = time.monotonic()


def _end(response: Response) -> Response:
    # A failure before the request got its id (a broken URL, say) is still answered and logged.
    request_id = g.setdefault("request_id", secrets.token_hex(8))
    response.headers["X-Request-ID"] = request_id
    actor = g.get("actor")
    log = logger().debug if request.path.startswith(_QUIET) else logger().info
    # The path without its query: a query may hold a login code.
    log(
        "request",
        request_id=request_id,
        method=request.method,
        path=request.path,
        status=response.status_code,
        ms=round((time.monotonic() - g.get("request_started", time.monotonic())) * 1000, 1),
        user=actor.name if actor else None,
        token=actor.token_id if actor else None,
        address=request.remote_addr,
    )
    return response
