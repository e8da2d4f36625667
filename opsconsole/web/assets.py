"""Serves scripts and styles without their comments and needless white space, packed once in the life of a process.

The sources stay readable and are what is edited; nothing is built. A file keeps its ``no-cache`` and its entity tag: a
browser asks each time and is told "as before" in few bytes, so that after an upgrade no script of the old version meets
one of the new.
"""

import gzip
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, request
from rcssmin import cssmin
from rjsmin import jsmin
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join

from opsconsole.web.compression import understands_gzip

_KEPT = 128
# A page fetches many small modules, and a file is packed once: half of 600 bytes is worth it, the frame of gzip is not.
_WORTH_BYTES = 256


class _Kind(NamedTuple):
    mimetype: str
    smaller: Callable[[str], str]


class _Asset(NamedTuple):
    plain: bytes
    packed: bytes
    tag: str


_KINDS = {
    ".js": _Kind("text/javascript", jsmin),
    ".css": _Kind("text/css", cssmin),
    ".svg": _Kind("image/svg+xml", str),
}


def register(app: Flask, *, as_written: bool) -> None:
    """Serves the static files of ``app``; ``as_written`` leaves scripts and styles as they stand in the sources."""
    folder = Path(app.static_folder or "")

    def static(filename: str) -> Response:
        kind = _KINDS.get(Path(filename).suffix)
        if kind is None:
            return app.send_static_file(filename)
        return _answer(_read(_found(folder, filename), kind, as_written), kind)

    # In place of Flask's own view, whose rule and name stay.
    app.view_functions["static"] = static


def served(path: Path) -> str:
    """Returns the script or style at ``path`` as browsers get it."""
    return _KINDS[path.suffix].smaller(path.read_text(encoding="utf-8"))


def _found(folder: Path, filename: str) -> Path:
    path = safe_join(str(folder), filename)
    if path is None or not Path(path).is_file():
        raise NotFound
    return Path(path)


def _read(path: Path, kind: _Kind, as_written: bool) -> _Asset:
    known = path.stat()
    return _asset(path, known.st_mtime_ns, known.st_size, kind, as_written)


@lru_cache(maxsize=_KEPT)
def _asset(path: Path, _changed_ns: int, _size: int, kind: _Kind, as_written: bool) -> _Asset:
    text = path.read_text(encoding="utf-8")
    plain = (text if as_written else kind.smaller(text)).encode()
    # mtime is part of the format; a fixed one makes equal files equal.
    return _Asset(plain, gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:32])


def _answer(asset: _Asset, kind: _Kind) -> Response:
    packed = understands_gzip() and len(asset.plain) >= _WORTH_BYTES
    response = Response(asset.packed if packed else asset.plain, mimetype=kind.mimetype)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    response.cache_control.no_cache = True
    # The same tag stands for the packed and the plain bytes, which only a weak one may.
    response.set_etag(asset.tag, weak=True)
    response.make_conditional(request)
    return response
