"""Makes large JSON answers small: a roster of 5,000 hosts shrinks to a tenth. ``assets`` packs scripts and styles.

Pages are left alone: they hold form tokens beside what people typed, and the size of such a mix can be made to tell.
"""

import gzip

from flask import Flask, Response, request

_WORTH_BYTES = 1024
# Higher levels cost more time than they save on a wire.
_LEVEL = 4


def register(app: Flask) -> None:
    """Compresses the JSON answers of ``app`` for clients that understand gzip."""
    app.after_request(_compress)


def understands_gzip() -> bool:
    """Whether the asking client takes gzip."""
    return request.accept_encodings.quality("gzip") > 0


def _compress(response: Response) -> Response:
    if response.mimetype != "application/json" or response.is_streamed or response.direct_passthrough:
        return response
    response.vary.add("Accept-Encoding")
    if understands_gzip() and len(response.get_data()) >= _WORTH_BYTES:
        # mtime is part of the format; a fixed one makes equal answers equal.
        response.set_data(gzip.compress(response.get_data(), _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
