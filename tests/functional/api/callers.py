"""Two kinds of callers: programs with a token, browsers with a cookie and a form token."""

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from opsconsole.accounts.models import User
from opsconsole.accounts.service import open_session
from opsconsole.runtime import Runtime

COOKIE = "opsconsole_80"


@dataclass
class Program:
    """Calls the API with a bearer token."""

    client: FlaskClient
    user: User
    token: str

    def get(self, path: str, **options: Any) -> TestResponse:
        return self._call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self._call("POST", path, json=json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self._call("PATCH", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self._call("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self._call("DELETE", path, **options)

    def _call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        address = path if path.startswith("/") else f"/api/v1/{path}"
        return self.client.open(address, method=method, headers=headers, **options)

    def launch(self, targets: str = "web[1-3]", command: str = "uptime", **fields: Any) -> int:
        """Launches a job and returns its id."""
        answer = self.post("jobs", {"targets": targets, "command": command, **fields})
        assert answer.status_code == 201, answer.json
        assert answer.json is not None
        return int(answer.json["id"])


@dataclass
class Browser:
    """Calls with the session cookie; ``form_token`` is what a page of the product would have given it."""

    client: FlaskClient
    user: User
    cookie: str
    form_token: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        headers = {"X-CSRFToken": self.form_token, **options.pop("headers", {})}
        return self.client.post(path, json=json, headers=headers, **options)


def sign_in(app: Flask, runtime: Runtime, user: User) -> Browser:
    """Returns a browser signed in as ``user``."""
    with runtime.database.transaction() as session:
        cookie = open_session(session, user, address=None, now=runtime.clock.now(), settings=runtime.settings)
    client = app.test_client()
    client.set_cookie(COOKIE, cookie)
    with client.session_transaction() as form:
        form["csrf_token"] = "0123456789abcdef"
    assert app.secret_key is not None
    token = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps("0123456789abcdef")
    return Browser(client, user, cookie, str(token))
