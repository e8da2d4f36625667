"""A cheap SSH server for measuring: a thousand loopback addresses, real SSH, and no shell behind it.

``python -m opsconsole.launcher.bench_fleet FOLDER COUNT`` serves until SIGTERM. It costs a fraction of what OpenSSH's
server costs, so that the client is what is measured. Whatever it is told to run, it says ``ok`` and exits 0, after as
many seconds as a leading ``sleep N`` says. It speaks the stdin lease of our own guard as well as plain exec requests.
With the word ``real`` after the count it runs the commands, as the user who started it.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncssh

from opsconsole.launcher.folder import write_private
from opsconsole.launcher.ssh_session import CommandSession, Place, Processes

_PER_NETWORK = 250
_BACKLOG = 1024
_FIRST_PORT = 20022
_PORTS_TRIED = 500
_GUARD = "exec /bin/sh -c "
_SLEEP = b"sleep "


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """Where a running fleet is reached, and how its clients prove who they are and know whom they speak to."""

    addresses: tuple[str, ...]
    port: int
    user: str
    key: Path
    host_key: tuple[str, str]


def addresses(count: int) -> tuple[str, ...]:
    """Returns ``count`` loopback addresses from 127.0.0.1 on, 250 in each of the networks 127.0.0, 127.0.1 and on."""
    return tuple(f"127.0.{number // _PER_NETWORK}.{number % _PER_NETWORK + 1}" for number in range(count))


def facts(folder: Path, count: int) -> FleetFacts | None:
    """Returns what a fleet in ``folder`` says of itself, or ``None`` while it does not serve."""
    try:
        said = json.loads((folder / "fleet.json").read_text())
    except (OSError, ValueError):
        return None
    algorithm, key = said["host_key"].split()[:2]
    return FleetFacts(addresses(count), said["port"], "bench", folder / "id_ed25519", (algorithm, key))


Session = Callable[[], "asyncssh.SSHServerSession[bytes]"]


async def serve(folder: Path, count: int, *, real: bool) -> None:
    """Serves ``count`` addresses until SIGTERM; makes keys in ``folder``, where ``fleet.json`` then says the port."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    processes = Processes()
    loop.add_signal_handler(signal.SIGCHLD, processes.reap)
    place = Place(host="bench", home=folder, user="bench")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    write_private(folder / "id_ed25519", client_key.export_private_key().decode())
    listeners = _listen(addresses(count))
    session: Session = partial(CommandSession, place, processes) if real else _Command
    servers = [await _server(listener, host_key, client_key, session) for listener in listeners]
    said = {"port": listeners[0].getsockname()[1], "host_key": host_key.export_public_key().decode()}
    write_private(folder / "fleet.json", json.dumps(said))
    await stop.wait()
    processes.kill_all()
    for server in servers:
        server.close()


async def _server(
    listener: socket.socket, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey, session: Session
) -> asyncssh.SSHAcceptor:
    return await asyncssh.create_server(
        lambda: _Server(client_key.public_data, session),
        sock=listener,
        server_host_keys=[host_key],
        # paramiko knows this key exchange by its first name alone.
        kex_algs=["curve25519-sha256", "curve25519-sha256@libssh.org"],
        encryption_algs=["aes128-gcm@openssh.com", "aes128-ctr"],
        compression_algs=["none"],
        encoding=None,
        rdns_lookup=False,
        server_version="opsconsole-bench",
    )


class _Server(asyncssh.SSHServer):
    def __init__(self, accepted: bytes, session: Session) -> None:
        self._accepted = accepted
        self._session = session

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._accepted

    def session_requested(self) -> "asyncssh.SSHServerSession[bytes]":
        return self._session()


class _Command(asyncssh.SSHServerSession[bytes]):
    """One exec request. Behind the guard the script comes over stdin (``opsconsole.ssh.lease.stdin_bytes``)."""

    def __init__(self) -> None:
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._mark: str | None = None
        self._script = b""

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        if command.startswith(_GUARD):
            # The last words are the guard's arguments: mark, what to do when we go away, grace, limit.
            self._mark = command.rsplit(" ", 4)[1]
        else:
            self._script = command.encode()
        return True

    def session_started(self) -> None:
        if self._mark is None:
            self._answer(self._script)

    def data_received(self, data: bytes, _datatype: int | None) -> None:
        self._script += data
        if self._mark and (script := _whole_script(self._script)) is not None:
            self._write(f"\036opsc {self._mark} {os.getpid()}\n".encode())
            self._mark = None
            self._answer(script)

    def eof_received(self) -> bool:
        return True

    def _answer(self, script: bytes) -> None:
        seconds = script.removeprefix(_SLEEP).split(b";")[0].split() if script.startswith(_SLEEP) else []
        if seconds:
            asyncio.get_running_loop().call_later(float(seconds[0]), self._end)
        else:
            self._end()

    def _end(self) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._write(b"ok\n")
            self._channel.exit(0)

    def _write(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)


def _whole_script(data: bytes) -> bytes | None:
    """Returns the script once ``data`` holds all of it: behind the guard, after its size or the word ``line``."""
    size, separator, rest = data.partition(b"\n")[2].partition(b"\n")
    if not separator:
        return None
    if size == b"line":
        script, separator, _ = rest.partition(b"\n")
        return script if separator else None
    return rest if len(rest) >= int(size) else None


def _listen(wanted: tuple[str, ...]) -> list[socket.socket]:
    """Returns a listening socket for each address, all on the first port that is free on all of them."""
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED):
        opened: list[socket.socket] = []
        try:
            for address in wanted:
                opened.append(socket.create_server((address, port), backlog=_BACKLOG))
        except OSError:
            for listener in opened:
                listener.close()
        else:
            return opened
    raise SystemExit(f"no port from {_FIRST_PORT} on is free on all {len(wanted)} addresses")


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), real=sys.argv[3:] == ["real"]))
