"""Somebody at a browser: follows links and sends forms with the token that the page gave."""

import re
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from opsconsole.accounts.models import User
from opsconsole.accounts.service import open_session
from opsconsole.runtime import Runtime

_COOKIE = "opsconsole_80"


@dataclass
class Person:
    """A signed-in browser without script."""

    client: FlaskClient
    user: User

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def text(self, path: str, status: int = 200) -> str:
        """Returns the page at ``path``, which must answer with ``status``."""
        answer = self.get(path)
        assert answer.status_code == status, answer.get_data(as_text=True)[:2000]
        return answer.get_data(as_text=True)

    def send(self, path: str, fields: dict[str, Any] | None = None, *, to: str | None = None) -> TestResponse:
        """Sends a form of the page ``path`` to ``to``."""
        token = form_token(self.text(path))
        return self.client.post(to or path, data={**(fields or {}), "csrf_token": token})

    def run(self, targets: str = "web[1-3]", command: str = "uptime", **fields: Any) -> TestResponse:
        """Sends the Run form."""
        return self.send("/run", {"targets": targets, "command": command, **fields})

    def job(self, targets: str = "web[1-3]", command: str = "uptime", **fields: Any) -> int:
        """Starts a job from the Run form and returns its number."""
        answer = self.run(targets, command, **fields)
        assert answer.status_code == 303, answer.get_data(as_text=True)[:2000]
        return int(answer.headers["Location"].rpartition("/")[2])


def form_token(page: str) -> str:
    """Returns the token in a page's form."""
    found = re.search(r'name="csrf" content="([^"]+)"', page)
    assert found
    return found.group(1)


def person_at(app: Flask, runtime: Runtime, user: User) -> Person:
    """Returns ``user`` at a browser that is signed in."""
    with runtime.database.transaction() as session:
        cookie = open_session(session, user, address=None, now=runtime.clock.now(), settings=runtime.settings)
    client = app.test_client()
    client.set_cookie(_COOKIE, cookie)
    return Person(client, user)
