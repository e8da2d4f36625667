"""A server on loopback that speaks the part of HashiCorp Vault's HTTP API that the console uses, as Vault's own pages
describe it (KV version 2, SSH secrets engine, AppRole). It is not Vault: it shows that we say and read what is written
there, not that Vault does as it writes. Certificates are really signed, by ``ssh-keygen``.
"""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.sshd import make_key

TOKEN = "hvs.root-of-the-test"
ROLE_ID, SECRET_ID = "role-1", "secret-1"


class FakeVault:
    """What the server holds and was asked. ``authority`` is the SSH engine's key, whose public half is beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.secrets: dict[str, dict[str, Any] | None] = {}
        self.roles = {"ssh-client-signer/ops"}
        self.validity = "+30m"
        self.sealed = False
        self.tokens = {TOKEN}
        self.asked: list[str] = []
        self.authority = folder / "authority"
        make_key(self.authority)

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Returns the status and the document that Vault would answer."""
        self.asked.append(f"{method} {path}")
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if (method, path) == ("POST", "auth/approle/login"):
            return self._log_in(body)
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if method == "GET" and (found := re.fullmatch(r"([^/]+)/data/(.+)", path)):
            return self._secret("/".join(found.groups()))
        if method == "POST" and (found := re.fullmatch(r"(.+)/sign/([^/]+)", path)):
            return self._sign("/".join(found.groups()), body)
        return 404, {"errors": []}

    def _log_in(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body != {"role_id": ROLE_ID, "secret_id": SECRET_ID}:
            return 400, {"errors": ["invalid role or secret ID"]}
        token = f"hvs.of-login-{len(self.asked)}"
        self.tokens.add(token)
        auth = {"client_token": token, "policies": ["default"], "lease_duration": 1200, "renewable": True}
        return 200, {"auth": auth, "data": None}

    def _secret(self, path: str) -> tuple[int, dict[str, Any]]:
        if path not in self.secrets:
            return 404, {"errors": []}
        metadata = {"created_time": "2026-11-01T00:00:00Z", "deletion_time": "", "destroyed": False, "version": 3}
        # A deleted version is answered with 404 and its metadata.
        status = 200 if self.secrets[path] is not None else 404
        return status, {"request_id": "1", "lease_id": "", "data": {"data": self.secrets[path], "metadata": metadata}}

    def _sign(self, role: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if role not in self.roles:
            return 400, {"errors": [f"unknown role: {role}"]}
        assert body["cert_type"] == "user"
        path = self.folder / f"asked-{len(self.asked)}.pub"
        path.write_text(body["public_key"])
        words = ["ssh-keygen", "-q", "-s", str(self.authority), "-I", "vault-test", "-n", body["valid_principals"]]
        subprocess.run([*words, "-V", self.validity, str(path)], check=True, capture_output=True)
        signed = path.with_name(path.stem + "-cert.pub").read_text()
        return 200, {"data": {"serial_number": "c73f26d2340276aa", "signed_key": signed}}


@contextmanager
def running_vault(folder: Path) -> Iterator[FakeVault]:
    """Runs a server of its own on loopback; keeps what it writes in ``folder``."""
    vault = FakeVault(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def _serve(self, method: str) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            path = self.path.removeprefix("/v1/")
            status, document = vault.answer(method, path, self.headers.get("X-Vault-Token"), body)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vault.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
