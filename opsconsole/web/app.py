"""Makes the web application."""

import hashlib
import hmac

from flask import Flask, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix

from opsconsole.errors import Invalid
from opsconsole.resources import data_dir
from opsconsole.runtime import Runtime
from opsconsole.web import (
    api,
    assets,
    auth,
    compression,
    csrf,
    errors,
    headers,
    limits,
    pages,
    recalled,
    request_log,
    said,
    sse,
)
from opsconsole.web.unit_of_work import EXTENSION
from opsconsole.web.unit_of_work import runtime as runtime_of_request

MAX_BODY_BYTES = 1024 * 1024
# An inventory of many thousand hosts is larger than any other request; as base64 it grows by a third.
MAX_IMPORT_BYTES = 12 * 1024 * 1024
# Files for hosts: read piece by piece, and never held in memory.
_UPLOADS = frozenset({"api.files.upload", "pages.upload_files"})
_IMPORTS = frozenset({"api.inventory_files.import_hosts", "pages.look_at_import", "pages.run_import"})


def create_app(runtime: Runtime) -> Flask:
    """Returns the WSGI application over ``runtime``. Making it connects to nothing."""
    app = Flask("opsconsole.web", template_folder=str(data_dir("templates")), static_folder="static")
    app.config.update(
        SECRET_KEY=_derived_key(runtime.settings.secret()),
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        TRAP_HTTP_EXCEPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    app.extensions[EXTENSION] = runtime
    request_log.register(app, runtime.settings)
    app.before_request(_refuse_early)
    auth.register(app)
    csrf.register(app)
    errors.register(app)
    said.register(app)
    recalled.register(app)
    headers.register(app)
    compression.register(app)
    assets.register(app, as_written=runtime.settings.log_level == "DEBUG")
    sse.register(app, runtime)
    api.register(app)
    pages.register(app)
    limits.register(app)
    if runtime.settings.behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


def _derived_key(secret: str) -> bytes:
    """Cookies are signed with a key of their own, so that it says nothing about the one that seals stored secrets."""
    return hmac.new(secret.encode(), b"opsconsole web forms v1", hashlib.sha256).digest()


def _most_bytes() -> int:
    if request.endpoint in _UPLOADS:
        return runtime_of_request().settings.max_file_bytes + MAX_BODY_BYTES
    return MAX_IMPORT_BYTES if request.endpoint in _IMPORTS else MAX_BODY_BYTES


def _refuse_early() -> None:
    """Refuses what no view can use, before anything is read or looked up."""
    most = _most_bytes()
    if (request.content_length or 0) > most:
        abort(413)
    request.max_content_length, request.max_form_memory_size = most, min(most, MAX_IMPORT_BYTES)
    parts = [request.path, *request.args.keys(), *request.args.values()]
    if any("\x00" in part for part in parts):
        raise Invalid("The address holds a NUL byte.", code="nul_byte")
