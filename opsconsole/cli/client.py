"""The console's JSON API as the command line sees it: one method an endpoint, faults as the product's own errors."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx

from opsconsole import errors
from opsconsole.errors import FieldError, OpsconsoleError, Unavailable
from opsconsole.secret import Secret
from opsconsole.settings import Settings

Body = dict[str, Any]

_NO_CONSOLE = "No console is running. Start one with: opsconsole up"
_BY_STATUS: dict[int, type[OpsconsoleError]] = {
    401: errors.NotAuthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    428: errors.ConfirmationRequired,
    429: errors.TooMany,
}
_PROBLEM_MEMBERS = frozenset({"type", "title", "status", "detail", "code", "request_id", "errors"})
# A long poll is answered within 25 s; whatever takes longer than this is no answer.
_TIMEOUT = httpx.Timeout(40.0, connect=5.0)
_UPLOAD_TIMEOUT = httpx.Timeout(300.0, connect=5.0)
_PIECE = 256 * 1024


class NoConsole(Unavailable):
    """Nothing answers where the console should be; the order, if any, may or may not have arrived."""

    code = "no_console"


class ConsoleClient:
    """Speaks to one console. Safe to use from several threads. Close it, or use it as a context manager."""

    def __init__(self, url: str, token: Secret) -> None:
        self.url = url.rstrip("/")
        # A proxy named in the environment must not see, and cannot reach, what listens on this machine's loopback.
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            headers={"Authorization": f"Bearer {token.reveal()}", "User-Agent": "opsconsole-cli"},
            timeout=_TIMEOUT,
            trust_env=not _on_loopback(self.url),
        )

    def __enter__(self) -> "ConsoleClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        self._http.close()

    def upload(self, name: str, source: BinaryIO, size: int, tell: Callable[[int], None]) -> Body:
        """Sends a file of ``size`` bytes and returns what the console knows it by; ``tell`` hears how much is sent."""

        def pieces() -> Iterator[bytes]:
            sent = 0
            while data := source.read(_PIECE):
                yield data
                sent += len(data)
                tell(sent)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer: Body = self._json("POST", "files", params={"name": name}, content=pieces(), headers=headers)
        return answer

    def get(self, path: str, **params: object) -> Any:
        """Returns the JSON behind ``path``; parameters that are ``None`` are left out."""
        return self._json("GET", path, params=_given(params))

    def post(self, path: str, body: Mapping[str, object], *, headers: Mapping[str, str] | None = None) -> Any:
        """Sends ``body`` without its ``None`` members and returns the JSON of the answer."""
        return self._json("POST", path, json=_given(body), headers=headers)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:
        """Changes what is behind ``path``: members that are ``None`` unset a field."""
        return self._json("PATCH", path, json=dict(body))

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        """Puts ``body`` in the place of what is behind ``path``."""
        return self._json("PUT", path, json=dict(body))

    def delete(self, path: str) -> None:
        """Deletes what is behind ``path``."""
        self._json("DELETE", path)

    def launch(self, order: Mapping[str, object], *, key: str) -> Body:
        """Launches a job and returns ``{"id", "url", ...}``.

        The idempotency ``key`` makes it safe to ask again when an answer is lost, which is done once.
        """
        try:
            launched: Body = self.post("jobs", order, headers={"Idempotency-Key": key})
        except NoConsole:
            launched = self.post("jobs", order, headers={"Idempotency-Key": key})
        return launched

    def status(self, job: int) -> Body:
        """Returns the status object of the job."""
        status: Body = self.get(f"jobs/{job}")
        return status

    def host(self, job: int, host: int | str) -> Body:
        """Returns the row of one host of the job."""
        row: Body = self.get(f"jobs/{job}/hosts/{_segment(host)}")
        return row

    def groups(self, job: int, alike: str | None = None) -> list[Body]:
        """Returns the hosts of the job grouped by exit and output, as far as they have finished.

        ``alike`` is the mode of the API; without it the usual one.
        """
        groups: list[Body] = self.get(f"jobs/{job}/groups", mode=alike, limit=10_000)["groups"]
        return groups

    def group(self, job: int, g: str, alike: str | None, *, from_line: int = 1, limit: int = 1000) -> Body:
        """Returns one group, with lines of what its hosts said, once."""
        group: Body = self.get(f"jobs/{job}/groups/{g}", mode=alike, from_line=from_line, limit=limit)
        return group

    def group_diff(self, job: int, g: str, against: str, alike: str | None) -> Body:
        """Returns how one group departs from another."""
        found: Body = self.get(f"jobs/{job}/groups/{g}/diff", mode=alike, against=against)
        return found

    def output(
        self,
        job: int,
        host: int | str,
        *,
        from_line: int = 1,
        limit: int = 1000,
        step: str | None = None,
        encoding: str | None = None,
    ) -> Body:
        """Returns up to ``limit`` lines of one host's output, or of one step of it, from line ``from_line``, counted
        from 1."""
        asked = {"from_line": from_line, "limit": limit, "step": step, "encoding": encoding}
        page: Body = self.get(f"jobs/{job}/hosts/{_segment(host)}/output", **asked)
        return page

    def raw(self, job: int, host: int | str, *, stream: str = "both", step: str | None = None) -> Iterator[bytes]:
        """Yields the bytes of one host's output, or of one step of it."""
        params = {"stream": stream} | ({"step": step} if step else {})
        with self.streaming(f"jobs/{job}/hosts/{_segment(host)}/raw", params=params) as response:
            yield from response.iter_bytes()

    @contextmanager
    def streaming(
        self,
        path: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> Iterator[httpx.Response]:
        """Opens ``path`` for reading piece by piece. ``read_timeout`` is the longest silence, in seconds."""
        timeout = _TIMEOUT if read_timeout is None else httpx.Timeout(read_timeout, connect=5.0)
        try:
            with self._http.stream("GET", path, params=params, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise _problem(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        content: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        # A console that stores what it was sent may take long to answer.
        timeout = _TIMEOUT if content is None else _UPLOAD_TIMEOUT
        try:
            response = self._http.request(
                method, path, params=params, json=json, content=content, headers=headers, timeout=timeout
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if response.is_error:
            raise _problem(response)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            return response.json()
        except ValueError:
            raise Unavailable(f"What answers at {self.url} is not a console.", code="not_a_console") from None

    def _unreachable(self, error: httpx.TransportError) -> NoConsole:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return NoConsole(_NO_CONSOLE if _on_loopback(self.url) else f"The console at {self.url} cannot be reached.")
        return NoConsole(f"The console at {self.url} broke off ({type(error).__name__}).", code="broken_off")


def open_client(settings: Settings) -> ConsoleClient:
    """Returns a client for the console that ``settings`` name, else for the one that runs on this data folder; a
    token that is set goes before that console's own.

    Raises ``NoConsole`` when there is none, ``Invalid`` when a URL is set without its token.
    """
    own = None if settings.token is None else Secret(settings.token.get_secret_value())
    if settings.url is not None:
        if own is None:
            raise errors.Invalid("OPSCONSOLE_URL is set: set OPSCONSOLE_TOKEN, too.", code="settings")
        _check_url(settings.url)
        return ConsoleClient(settings.url, own)
    try:
        noted = json.loads(settings.console_file.read_text())
        return ConsoleClient(str(noted["url"]), own or Secret(str(noted["token"])))
    except (OSError, ValueError, KeyError, TypeError):
        raise NoConsole(_NO_CONSOLE) from None


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise errors.Invalid("OPSCONSOLE_URL must look like https://console.example.net.", code="settings")


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(values: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _segment(host: int | str) -> str:
    return quote(str(host), safe="")


def _problem(response: httpx.Response) -> OpsconsoleError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    default = errors.Unavailable if response.is_server_error else errors.Invalid
    detail = problem.get("detail") or problem.get("title") or f"The console answered {response.status_code}."
    return _BY_STATUS.get(response.status_code, default)(
        str(detail),
        code=str(problem.get("code") or "http_error"),
        errors=[_field_error(item) for item in problem.get("errors") or () if isinstance(item, dict)],
        extra={name: value for name, value in problem.items() if name not in _PROBLEM_MEMBERS},
    )


def _field_error(item: Mapping[str, Any]) -> FieldError:
    return FieldError(
        field=str(item.get("field", "")),
        message=str(item.get("message", "")),
        code=str(item.get("code", "invalid")),
        column=item["column"] if isinstance(item.get("column"), int) else None,
        hint=str(item["hint"]) if item.get("hint") else None,
    )
