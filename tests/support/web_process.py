"""The real web server of a console, as a process of its own that a test may kill, and a person's way to its API."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from opsconsole.accounts.models import User
from opsconsole.launcher import folder
from opsconsole.launcher.commands import cli_command
from opsconsole.launcher.orphans import end_with_parent
from tests.support.console import Console, environment_of, until
from tests.support.factories import make_token
from tests.support.sshd import free_port

_START_SECONDS = 60.0


@dataclass
class Web:
    """A web server process (gunicorn's first, with one that serves below it). ``api`` is signed in as its console's
    administrator."""

    url: str
    process: "subprocess.Popen[bytes]"
    api: httpx.Client

    def launch(self, targets: str, command: str, *, key: str | None = None, **fields: Any) -> httpx.Response:
        """Returns the answer to an order. Raises what httpx raises when there is none."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.api.post("/jobs", json={"targets": targets, "command": command, **fields}, headers=headers)

    def status(self, job_id: int) -> dict[str, Any]:
        """Returns the status body of a job."""
        answer = self.api.get(f"/jobs/{job_id}")
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def answers(self) -> bool:
        """Returns whether it serves."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Ends it and what serves below it, as the kernel does when memory is short."""
        # One that was asked to stop before has nothing left to kill.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_web(console: Console, **overrides: object) -> Iterator[Web]:
    """Runs the web server of ``console``; ``overrides`` are settings of its alone."""
    port = overrides.pop("port", None) or free_port()
    log = folder.logs_dir(console.settings) / "web.log"
    with log.open("ab") as handle:
        process = subprocess.Popen(
            cli_command("web"),
            env=environment_of(console.settings, {"port": port, **overrides}),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )
    with console.database.transaction() as session:
        token = make_token(session, session.get_one(User, console.actor.user_id))
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=30, trust_env=False) as api:
        web = Web(url, process, api)
        try:
            until(web.answers, _START_SECONDS, "the web server answers")
            yield web
        finally:
            web.kill()
