"""How often one address may try to sign in, before this process spends anything on looking.

Guessing itself is slowed down by ``accounts.throttle``, in the database and thus over all processes. What is counted
here protects this process alone from a flood, so its own memory is the right place and no broker can hold it up.
"""

from typing import Any, NoReturn

from flask import Flask, request
from flask_limiter import Limiter, RequestLimit

from opsconsole.errors import TooMany

_LIMITS = {"pages.sign_in": "60 per minute"}


def register(app: Flask) -> None:
    """Puts the limits before the views of ``app`` that have one. Call it when all views are there."""
    limiter = Limiter(_address, app=app, storage_uri="memory://", strategy="moving-window")
    for endpoint, limit in _LIMITS.items():
        limited: Any = limiter.limit(limit, methods=["POST"], on_breach=_refuse)(app.view_functions[endpoint])
        app.view_functions[endpoint] = limited


def _address() -> str:
    return request.remote_addr or ""


def _refuse(breached: RequestLimit) -> NoReturn:
    raise TooMany(
        "Too many attempts from your address. Try again in a minute.",
        extra={"retry_after": breached.limit.get_expiry()},
    )
