"""Every error leaves the web in one of two shapes: a problem document for the API, a page for people."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response as SansIOResponse
from werkzeug.wrappers import Response as BaseResponse

from opsconsole.errors import Invalid, NotAuthenticated, OpsconsoleError, Unavailable
from opsconsole.sentences import Sentence
from opsconsole.web.request_log import log_failure, log_refusal
from opsconsole.web.said import said, said_of

_PROBLEM = "application/problem+json"
_MACHINE_PATHS = ("/api/", "/healthz", "/readyz")

# Code and sentence by status.
_WORDS = {
    400: ("bad_request", Sentence("The request cannot be understood.")),
    404: ("not_found", Sentence("There is nothing at this address.")),
    405: ("method_not_allowed", Sentence("This address does not take that method.")),
    413: ("too_large", Sentence("The request is over the limit of 1 MiB.")),
    414: ("uri_too_long", Sentence("The address is too long.")),
    415: ("unsupported_media_type", Sentence("Send the body as application/json.")),
    416: ("range_not_satisfiable", Sentence("The asked range lies outside of the content.")),
    431: ("headers_too_large", Sentence("The request's headers are too large.")),
}


def _(text: str) -> str:
    """The library's own says nothing of what it returns."""
    return str(gettext(text))


def register(app: Flask) -> None:
    """Makes ``app`` answer every error in the shape its caller reads."""
    app.register_error_handler(OpsconsoleError, _on_known)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(DataError, _on_unstorable)
    app.register_error_handler(Exception, _on_unexpected)


def problem(error: OpsconsoleError) -> dict[str, Any]:
    """Returns the problem document (RFC 9457) of ``error``; its ``extra`` fields stand beside the usual ones.

    Its sentences are in the language of who is answered: a browser's reader, English for programs.
    """
    return {
        **said_of(error.extra),
        "type": f"urn:opsconsole:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": said(error.detail),
        "code": error.code,
        "request_id": g.get("request_id", ""),
        "errors": [
            {
                "field": item.field,
                "message": said(item.message),
                "code": item.code,
                "column": item.column,
                "hint": said(item.hint) if item.hint else item.hint,
            }
            for item in error.errors
        ],
    }


def _on_known(error: OpsconsoleError) -> BaseResponse:
    if not _for_machines() and isinstance(error, NotAuthenticated) and request.method in {"GET", "HEAD"}:
        return redirect(url_for("pages.login", next=request.full_path.rstrip("?")), 303)
    if not _for_machines() and isinstance(error, NotAuthenticated):
        return Response(_sign_in_again(), error.status)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_refusal(error)
    if error.code == "database":
        # The driver's words name servers, ports and files: they are in the log.
        error = Unavailable("The database does not answer. Try again in a moment.", code=error.code)
    return _answer(error)


def _sign_in_again() -> str:
    """Returns the login page for whoever sent a form when their session had ended; it leads back to that form."""
    came = urlsplit(request.referrer or "")
    back = f"{came.path}?{came.query}" if came.netloc == request.host else ""
    words = Sentence("Your session has ended, and nothing of what you sent was done. Sign in, and send it again.")
    return render_template("accounts/login.html", following=back.rstrip("?"), name="", error=words)


def _on_http(error: HTTPException) -> BaseResponse | SansIOResponse:
    if error.response is not None:
        return error.get_response(request.environ)
    status = error.code or 500
    if status < HTTPStatus.BAD_REQUEST:
        return error.get_response(request.environ)
    code, detail = _WORDS.get(status, ("http_error", HTTPStatus(status).description or HTTPStatus(status).phrase))
    known = OpsconsoleError(detail, code=code)
    known.status = status
    response = _answer(known)
    for name, value in error.get_headers(request.environ):
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _title(status: int) -> str:
    """Returns the head of an error page, in the reader's language; one without words here has the English phrase."""
    phrase = HTTPStatus(status).phrase
    return {
        400: _("Bad Request"),
        401: _("Unauthorized"),
        403: _("Forbidden"),
        404: _("Not Found"),
        405: _("Method Not Allowed"),
        409: _("Conflict"),
        422: _("Unprocessable Entity"),
        428: _("Precondition Required"),
        429: _("Too Many Requests"),
        500: _("Internal Server Error"),
        503: _("Service Unavailable"),
    }.get(status, phrase)


def _on_unstorable(error: DataError) -> BaseResponse:
    """A value that the database has no room for (PostgreSQL takes no NUL in a text) came in from outside."""
    log_failure(error)
    return _answer(Invalid("The request holds a value that cannot be stored.", code="not_storable"))


def _on_unexpected(error: Exception) -> BaseResponse:
    log_failure(error)
    return _answer(OpsconsoleError("Something went wrong here. It was logged under the request's id.", code="internal"))


def _for_machines() -> bool:
    return request.path.startswith(_MACHINE_PATHS)


def _answer(error: OpsconsoleError) -> Response:
    response = _document(error) if _for_machines() else _page(error)
    response.status_code = error.status
    retry_after = error.extra.get("retry_after")
    if isinstance(retry_after, (int, float)):
        response.headers["Retry-After"] = str(max(1, round(retry_after)))
    return response


def _document(error: OpsconsoleError) -> Response:
    response = jsonify(problem(error))
    response.mimetype = _PROBLEM
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="opsconsole"'
    return response


def _page(error: OpsconsoleError) -> Response:
    try:
        body = render_template("errors/error.html", **{**problem(error), "title": _title(error.status)})
    except Exception as failure:  # noqa: BLE001  an error page that fails must not hide the error behind a second one
        log_failure(failure)
        return Response(f"{error.detail}\nRequest {g.get('request_id', '')}\n", mimetype="text/plain")
    return Response(body, mimetype="text/html")
