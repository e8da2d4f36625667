"""HashiCorp Vault over HTTP: KV version 2 and the SSH engine's signatures, with a token from a file or by AppRole.

https://developer.hashicorp.com/vault/api-docs says what is asked and answered. No answer's text gets into an error.
"""

import ssl
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from opsconsole.errors import Unavailable
from opsconsole.secret import Secret

_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024
# A token is replaced when less than this share of its time is left.
_RENEW_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Access:
    """How to get a token: from ``token_file``, which something else may renew, or by AppRole with ``role_id`` and the
    secret id in ``secret_id_file``."""

    token_file: Path | None = None
    role_id: str | None = None
    secret_id_file: Path | None = None


class HashiCorpVault:
    """One Vault server, asked by one worker process."""

    def __init__(self, url: str, access: Access, *, namespace: str | None = None, ca_file: Path | None = None) -> None:
        """Connects to nothing. ``ca_file`` holds the authority of a server that no public one vouches for."""
        self._url = url.rstrip("/")
        self._access = access
        self._namespace = namespace
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._token: tuple[float, Secret] | None = None

    def read_secret(self, path: str) -> dict[str, Secret]:
        """Returns the text fields of the newest version of a KV secret; ``path`` begins with the mount. Raises
        ``Unavailable``."""
        mount, _, rest = path.partition("/")
        answer = self._ask("GET", f"{mount}/data/{rest}", None, what=f"the secret {path}")
        fields = _inside(answer, "data", "data")
        return {str(name): Secret(value) for name, value in fields.items() if isinstance(value, str)}

    def sign_key(self, mount: str, role: str, public_key: str, user: str) -> str:
        """Returns the certificate that the SSH engine makes of a public key for ``user``. Raises ``Unavailable``."""
        wanted = {"public_key": public_key, "valid_principals": user, "cert_type": "user"}
        answer = self._ask("POST", f"{mount}/sign/{role}", wanted, what=f"a signature by {mount}/{role}")
        signed = _inside(answer, "data").get("signed_key")
        if not isinstance(signed, str):
            raise _unavailable("Vault's answer was not understood.")
        return signed.strip()

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)

    def _ask(self, method: str, path: str, body: dict[str, str] | None, *, what: str) -> dict[str, Any]:
        response = self._send(method, path, body, self._valid_token(fresh=False))
        if response.status_code == httpx.codes.FORBIDDEN and self._access.token_file is None:
            # Vault says the same of a token that was revoked and of one that may not.
            response = self._send(method, path, body, self._valid_token(fresh=True))
        return _answer(response, what)

    def _send(self, method: str, path: str, body: dict[str, str] | None, token: Secret | None) -> httpx.Response:
        headers = {"X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token.reveal()
        if self._namespace:
            headers["X-Vault-Namespace"] = self._namespace
        try:
            # A proxy named in the environment, or a redirect, could carry the token anywhere.
            with httpx.Client(
                verify=self._trusted, timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
            ) as client:
                return client.request(method, f"{self._url}/v1/{path}", headers=headers, json=body)
        except (httpx.HTTPError, OSError, ssl.SSLError) as error:
            raise _unavailable(f"Vault does not answer ({type(error).__name__}).") from None

    def _valid_token(self, *, fresh: bool) -> Secret:
        if self._access.token_file is not None:
            return _read(self._access.token_file)
        with self._lock:
            if fresh or self._token is None or time.monotonic() >= self._token[0]:
                self._token = self._log_in()
            return self._token[1]

    def _log_in(self) -> tuple[float, Secret]:
        if self._access.role_id is None or self._access.secret_id_file is None:
            raise _unavailable("This worker has no way to log in to Vault (vault_token_file, or vault_role_id).")
        body = {"role_id": self._access.role_id, "secret_id": _read(self._access.secret_id_file).reveal()}
        answer = _answer(self._send("POST", "auth/approle/login", body, None), "a login by AppRole")
        auth = _inside(answer, "auth")
        token, seconds = auth.get("client_token"), auth.get("lease_duration")
        if not isinstance(token, str) or not isinstance(seconds, int):
            raise _unavailable("Vault's answer was not understood.")
        return time.monotonic() + seconds * (1 - _RENEW_SHARE), Secret(token)


def _answer(response: httpx.Response, what: str) -> dict[str, Any]:
    match response.status_code:
        case httpx.codes.OK:
            pass
        case httpx.codes.FORBIDDEN:
            raise _unavailable(f"Vault refuses {what} to this worker.")
        case httpx.codes.NOT_FOUND:
            raise _unavailable(f"Vault has not got {what}.")
        case httpx.codes.BAD_REQUEST:
            raise _unavailable(f"Vault does not give {what}: the request is wrong for it, or not allowed.")
        case httpx.codes.SERVICE_UNAVAILABLE:
            raise _unavailable("Vault is sealed or under maintenance.")
        case status:
            raise _unavailable(f"Vault answered {status} when asked for {what}.")
    try:
        found = response.json() if len(response.content) <= _MAX_BYTES else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unavailable("Vault's answer was not understood.")
    return found


def _inside(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        inner = answer.get(name)
        if not isinstance(inner, dict):
            raise _unavailable("Vault's answer was not understood.")
        answer = inner
    return answer


def _read(path: Path) -> Secret:
    try:
        return Secret(path.read_text().strip())
    except (OSError, UnicodeDecodeError):
        raise _unavailable(f"The file {path.name} for Vault cannot be read on this worker.") from None


def _unavailable(sentence: str) -> Unavailable:
    return Unavailable(sentence, code="vault")
