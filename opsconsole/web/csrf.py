"""Nobody else's page may act with a person's cookie: a token in the request, and the browser's word on its origin."""

from flask import Flask, request
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms import ValidationError

from opsconsole.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FIELD = "csrf_token"
_HEADER = "X-CSRFToken"


def register(app: Flask) -> None:
    """Makes ``csrf_token()`` known to the templates of ``app``. The check itself is part of ``auth``'s gate."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # the gate calls check() itself, after it knows how the caller proved who it is
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as the browser's session: a form left open stays usable
    )
    CSRFProtect(app)


def check() -> None:
    """Raises ``Forbidden`` unless the request is safe, or comes from our own page and carries its token.

    The token is the form field ``csrf_token`` or the header ``X-CSRFToken``.
    """
    if request.method in SAFE_METHODS:
        return
    _check_origin()
    try:
        validate_csrf(request.form.get(_FIELD) or request.headers.get(_HEADER))
    except ValidationError:
        raise Forbidden("The form is too old or came from elsewhere. Reload the page.", code="csrf") from None


def _check_origin() -> None:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    own = f"{request.scheme}://{request.host}"
    if site not in {None, "same-origin", "none"} or (origin is not None and origin != own):
        raise Forbidden("The request comes from another site.", code="origin")
