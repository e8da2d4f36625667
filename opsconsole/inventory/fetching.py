"""Asks a source: runs its program or reads its address, within bounds. Holds no transaction while it waits."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from opsconsole.errors import FieldError, Invalid, Unavailable
from opsconsole.inventory.importers.reading import MAX_BYTES

_CHUNK = 65536
# A program learns nothing of the console's own environment, where its secrets may be.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the settings let sources use: programs by their full path, addresses by their start."""

    programs: Collection[str] = ()
    urls: Collection[str] = ()


def check_argv(argv: Sequence[str], allowed: Allowed) -> list[str]:
    """Returns the program and its arguments. Raises ``Invalid`` unless the settings name the program."""
    words = [str(word) for word in argv]
    if not words or words[0] not in allowed.programs or any("\0" in word for word in words):
        message = "This program is not allowed for sources (setting source_programs)."
        raise Invalid(message, errors=[FieldError("argv", message, code="not_allowed")])
    return words


def check_url(url: str, allowed: Allowed) -> str:
    """Returns the address. Raises ``Invalid`` unless it lies below one that the settings name."""
    try:
        wanted = urlsplit(url)
        below = any(_below(wanted, urlsplit(start)) for start in allowed.urls)
    except ValueError:
        below = False
    if not below or not url.isprintable() or not url.isascii():
        message = "This address is not allowed for sources (setting source_urls)."
        raise Invalid(message, errors=[FieldError("url", message, code="not_allowed")])
    return url


def fetch(argv: Sequence[str] | None, url: str | None, *, timeout: float, allowed: Allowed) -> bytes:
    """Returns what the source answers, at most 8 MiB, within ``timeout`` seconds.

    Raises ``Invalid`` for one that the settings do not allow any more, ``Unavailable`` when it fails.
    """
    if argv:
        return _run(check_argv(argv, allowed), timeout)
    return _read(check_url(url or "", allowed), timeout)


def _below(wanted: SplitResult, start: SplitResult) -> bool:
    if "@" in wanted.netloc or wanted.scheme not in {"http", "https"} or not wanted.hostname:
        return False
    same = (wanted.scheme, wanted.hostname, wanted.port) == (start.scheme, start.hostname, start.port)
    path, base = wanted.path or "/", (start.path or "/").rstrip("/")
    inside = path == base or path.startswith(f"{base}/")
    return same and inside and ".." not in unquote(path).replace("\\", "/").split("/")


def _run(argv: list[str], timeout: float) -> bytes:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable("The program cannot be started: {reason}.", reason=error.strerror, code="source") from None
    try:
        content = _gathered(process, timeout)
        status = process.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Unavailable("The program did not end within {timeout:g} s.", timeout=timeout, code="source") from None
    finally:
        _end(process)
    if status != 0:
        raise Unavailable("The program ended with status {status}.", status=status, code="source")
    return content


def _gathered(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    assert process.stdout is not None  # noqa: S101  asked for above; this is for the type checker
    deadline = time.monotonic() + timeout
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise subprocess.TimeoutExpired(process.args, timeout)
            part = os.read(process.stdout.fileno(), _CHUNK)
            if not part:
                return b"".join(parts)
            size += len(part)
            if size > MAX_BYTES:
                raise Unavailable("The program printed more than 8 MiB.", code="source")
            parts.append(part)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program that still runs, and all it started: they are a group of their own."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    process.wait()


def _read(url: str, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    parts: list[bytes] = []
    size = 0
    # A redirect could lead anywhere, and a proxy named in the environment is none of the source's.
    client = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)
    try:
        with client, client.stream("GET", url, headers={"Accept": "application/json"}) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(
                    "The address answered {status_code}.", status_code=response.status_code, code="source"
                )
            for part in response.iter_bytes():
                size += len(part)
                if size > MAX_BYTES:
                    raise Unavailable("The address answered more than 8 MiB.", code="source")
                if time.monotonic() > deadline:
                    raise Unavailable("The address took longer than {timeout:g} s.", timeout=timeout, code="source")
                parts.append(part)
    except httpx.HTTPError as error:
        raise Unavailable("The address cannot be read ({name}).", name=type(error).__name__, code="source") from None
    return b"".join(parts)
