"""Makes large answers small: a roster of 5,000 hosts shrinks to a tenth, scripts and styles to a third.

Pages are left alone: they hold form tokens beside what people typed, and the size of such a mix can be made to tell.
"""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

_WORTH_BYTES = 1024
# Higher levels cost more time than they save on a wire.
_LEVEL = 4
_FILES_LEVEL = 9
_FILES_KEPT = 64
_FILE_TYPES = frozenset({"text/javascript", "text/css", "image/svg+xml"})


def register(app: Flask) -> None:
    """Compresses JSON answers and the files of ``app`` for clients that understand gzip."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if request.endpoint == "static" and response.mimetype in _FILE_TYPES:
        return _file(response)
    if response.mimetype != "application/json" or response.is_streamed or response.direct_passthrough:
        return response
    response.vary.add("Accept-Encoding")
    if _understood() and len(response.get_data()) >= _WORTH_BYTES:
        return _packed(response, _gzip(response.get_data(), _LEVEL))
    return response


def _file(response: Response) -> Response:
    """A file keeps its ``no-cache`` and its entity tag: a browser asks each time and is told "as before" in few bytes,
    so that after an upgrade no script of the old version meets one of the new."""
    response.vary.add("Accept-Encoding")
    tag, _ = response.get_etag()
    if tag is not None:
        # The same tag stands for the packed and the plain bytes, which only a weak one may.
        response.set_etag(tag, weak=True)
    if response.status_code != 200 or not _understood():
        return response
    response.direct_passthrough = False
    plain = response.get_data()
    return _packed(response, _gzip_file(plain)) if len(plain) >= _WORTH_BYTES else response


def _understood() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _packed(response: Response, packed: bytes) -> Response:
    response.set_data(packed)
    response.headers["Content-Encoding"] = "gzip"
    return response


@lru_cache(maxsize=_FILES_KEPT)
def _gzip_file(plain: bytes) -> bytes:
    return _gzip(plain, _FILES_LEVEL)


def _gzip(plain: bytes, level: int) -> bytes:
    # mtime is part of the format; a fixed one makes equal answers equal.
    return gzip.compress(plain, level, mtime=0)
