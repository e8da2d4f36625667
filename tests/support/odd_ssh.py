"""An SSH server that is not OpenSSH (asyncssh) and misbehaves on request: the user name says how.

``run`` and the passwords are ordinary; every other name is one fault. It runs no commands: it answers a guarded
command as the guard would, with ``ok``. A user whose name begins with ``device`` gets a device that runs nothing at
once and has a command line (``tests.support.device``).
"""

import asyncio
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from opsconsole.jobs.ports import Auth, KnownKey, Secret, Target
from tests.support.device import DeviceLine
from tests.support.sshd import make_key

PASSWORD = "correct horse"


class OddServer:
    """A running server; ``port`` is its own, ``seen`` the user names that got as far as a login."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.seen: list[str] = []
        self.passwords: list[str] = []
        self._host_key = folder / "odd_host"
        self.client_key = folder / "odd_client"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="odd-ssh")
        self._acceptor: asyncssh.SSHAcceptor | None = None

    def start(self) -> None:
        """Starts the server."""
        make_key(self._host_key)
        make_key(self.client_key)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Stops it and its thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def target(self, user: str = "run", address: str = "127.0.0.1") -> Target:
        """Returns a target whose user name asks for a behaviour."""
        algorithm, blob, *_ = self._host_key.with_name("odd_host.pub").read_text().split()
        return Target(address, address, self.port, user, (KnownKey(algorithm, blob),))

    def key_auth(self) -> Auth:
        """Returns a login by key."""
        return Auth("odd key", key_files=(str(self.client_key),))

    def password_auth(self, password: str = PASSWORD) -> Auth:
        """Returns a login by password."""
        return Auth("typed password", password=Secret(password))

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.create_server(
            lambda: _Server(self),
            "0.0.0.0",
            0,
            server_host_keys=[str(self._host_key)],
            login_timeout=30,
            line_editor=False,
        )
        self.port = self._acceptor.get_port()

    async def _end(self) -> None:
        assert self._acceptor is not None
        self._acceptor.close()
        await self._acceptor.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Server(asyncssh.SSHServer):
    def __init__(self, odd: OddServer) -> None:
        self._odd = odd
        self._user = ""
        self._connection: Any = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        self._user = username
        self._odd.seen.append(username)
        if username == "drop-at-auth":
            self._connection.abort()
        return True

    def public_key_auth_supported(self) -> bool:
        return self._user not in {"password-only", "kbdint-only"}

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if username == "auth-never-answers":
            await asyncio.Event().wait()
        return username not in {"no-keys", "two-factors"}

    def password_auth_supported(self) -> bool:
        return self._user not in {"kbdint-only", "keys-only", "many-prompts", "asks-for-ever"}

    def validate_password(self, username: str, password: str) -> bool:
        self._odd.passwords.append(password)
        if self._user == "password-expired":
            raise asyncssh.PasswordChangeRequired("Your password has expired.")
        return password == PASSWORD

    def kbdint_auth_supported(self) -> bool:
        return self._user in {"kbdint-only", "many-prompts", "asks-for-ever"}

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)] * (50 if self._user == "many-prompts" else 1)

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        self._odd.passwords.extend(responses)
        if self._user == "asks-for-ever":
            return self.get_kbdint_challenge(username, "", "")
        return list(responses) == [PASSWORD]

    async def session_requested(self) -> Any:
        if self._user == "open-never-answers":
            await asyncio.Event().wait()
        if self._user == "open-refused":
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "<b>no</b>")
        return _Session(self._user, self._connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, user: str, connection: Any) -> None:
        self._user = user
        self._connection = connection
        self._channel: Any = None
        self._command = ""
        self._device: DeviceLine | None = None

    def connection_made(self, chan: Any) -> None:
        chan.set_encoding(None)
        self._channel = chan

    def exec_requested(self, command: str) -> Any:
        if self._user == "device-closes":
            self._channel.get_loop().call_soon(self._channel.close)
            return False
        if self._user == "exec-never-answers":
            # asyncssh sends no answer for None.
            return None
        self._command = command
        return self._user != "exec-refused" and not self._user.startswith("device")

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        return self._user != "device-without-pty"

    def shell_requested(self) -> bool:
        return self._user.startswith("device") and self._user != "device-refuses"

    def data_received(self, data: bytes, datatype: Any) -> None:
        if self._device is None:
            return
        self._channel.write(data.replace(b"\r", b"\r\n"))
        for line in data.decode().replace("\r", "\n").splitlines():
            if not self._device.obey(line):
                # No exit status: few devices know of any.
                self._channel.close()
                return
        self._channel.write(self._device.prompt.encode())

    def session_started(self) -> None:
        if self._user.startswith("device"):
            if self._user == "device-mute":
                self._channel.write(b"Password: ")
                return
            self._device = DeviceLine("odd", lambda text: self._channel.write(text.encode()), None)
            self._device.greet()
            return
        words = shlex.split(self._command)
        mark = words[5].encode() if len(words) > 5 else b""
        if self._user != "no-guard":
            self._channel.write(b"\036opsc " + mark + b" 4242\n")
        self._behave()

    def _behave(self) -> None:
        channel = self._channel
        match self._user:
            case "drops-connection":
                channel.write(b"half")
                channel.get_loop().call_later(0.1, self._connection.abort)
            case "no-exit-status":
                channel.write(b"ok\n")
                channel.close()
            case "exit-signal":
                channel.exit_with_signal("SEGV", True, "dumped")
            case "odd-signal":
                channel.exit_with_signal("<b>\x00\n", False, "")
            case _:
                channel.write(b"ok\n")
                channel.exit(0)


@contextmanager
def running_odd_ssh(folder: Path) -> Iterator[OddServer]:
    """Runs the server while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    server = OddServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
