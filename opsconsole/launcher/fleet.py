"""Serves the demo fleet: real SSH servers on loopback that run real commands, in a world apart from this machine's."""

import asyncio
import os
import pwd
import signal
import socket
from contextlib import closing
from pathlib import Path

import asyncssh

from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.launcher import demo, demo_inventory
from opsconsole.launcher.confinement import Confinement, confine, user
from opsconsole.launcher.demo import Announcement, DemoHost, Kind
from opsconsole.launcher.ssh_session import CommandSession, Place, Processes, Runner
from opsconsole.settings import Settings

_FIRST_PORT = 2222
_PORTS_TRIED = 200
_ALGORITHM = "ssh-ed25519"


def serve(settings: Settings, count: int, *, unconfined: bool = False) -> None:
    """Serves ``count`` demo hosts until SIGTERM; their commands end with it.

    ``unconfined`` lets their commands run with all the rights of whoever started this. Where they cannot be confined
    that is done all the same, and announced, unless that is root: then raises ``Unavailable``.
    """
    hosts = demo.fleet(count)
    world, why = (None, "as --demo-unconfined asks") if unconfined else confine(settings, hosts)
    try:
        asyncio.run(_serve(settings, hosts, world, why))
    finally:
        if world:
            world.close()


async def _serve(settings: Settings, hosts: list[DemoHost], world: Confinement | None, why: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    processes = Processes()
    loop.add_signal_handler(signal.SIGCHLD, processes.reap)
    if world:
        world.watch(loop, stop.set)

    client_key = _key(demo.key_file(settings))
    host_keys = {host.name: _key(demo.folder(settings) / "host_keys" / host.name) for host in hosts}
    former = demo.announced(settings)
    listeners = _listen(hosts, former.port if former else _FIRST_PORT)
    port = listeners[hosts[0].name].getsockname()[1]
    servers = [
        await _serve_host(host, listeners[host.name], (host_keys[host.name], client_key), settings, world or processes)
        for host in hosts
        if host.kind is not Kind.DOWN
    ]
    _register(settings, hosts, port, host_keys, _name(user() if world else os.geteuid()))
    demo.announce(settings, Announcement(pid=os.getpid(), port=port, count=len(hosts), unconfined=why))
    await stop.wait()
    processes.kill_all()
    for server in servers:
        server.close()
    await asyncio.gather(*(server.wait_closed() for server in servers))
    if world and world.ended:
        raise Unavailable("The world of the demo hosts has ended.", code="demo_confinement")


async def _serve_host(
    host: DemoHost,
    listener: socket.socket,
    keys: tuple[asyncssh.SSHKey, asyncssh.SSHKey],
    settings: Settings,
    runner: Runner,
) -> asyncssh.SSHAcceptor:
    host_key, client_key = keys
    delay = demo.SLOW_SECONDS if host.kind is Kind.SLOW else 0.0
    confined = isinstance(runner, Confinement)
    home = Confinement.home(host.name) if confined else demo.home(settings, host)
    place = Place(host=host.name, home=home, user=_name(user() if confined else os.geteuid()), delay=delay)
    accepted = None if host.kind is Kind.REFUSES else client_key
    return await asyncssh.create_server(
        lambda: _Server(accepted, place, runner),
        sock=listener,
        server_host_keys=[host_key],
        encoding=None,
        server_version="opsconsole-demo",
        keepalive_interval=15,
        keepalive_count_max=3,
    )


class _Server(asyncssh.SSHServer):
    """One connection to a demo host. Only the fleet's own key opens it, and it only runs commands."""

    def __init__(self, accepted: asyncssh.SSHKey | None, place: Place, runner: Runner) -> None:
        self._accepted = accepted
        self._place = place
        self._runner = runner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keeps the connection: channels are made through it."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Everybody has to prove who he is."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are the only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Accepts the fleet's key, for any user name: all commands run as one user."""
        return self._accepted is not None and key.public_data == self._accepted.public_data

    def session_requested(self) -> "tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]] | bool":
        """Opens a channel for one command."""
        if self._connection is None:
            return False
        channel = self._connection.create_server_channel(encoding=None)
        return channel, CommandSession(self._place, self._runner)


def _listen(hosts: list[DemoHost], first: int) -> dict[str, socket.socket]:
    """Returns a listening socket for each host, all on one port that is free on all their addresses.

    The host that is down keeps its socket bound but not listening, so that nobody else answers there.
    """
    problem: OSError | None = None
    for port in dict.fromkeys([first, *range(_FIRST_PORT, _FIRST_PORT + _PORTS_TRIED)]):
        opened: dict[str, socket.socket] = {}
        try:
            for host in hosts:
                opened[host.name] = _bind(host, port)
        except OSError as error:
            problem = error
            for listener in opened.values():
                listener.close()
        else:
            return opened
    reason = problem.strerror if problem else "no port was tried"
    raise Unavailable(f"The demo hosts cannot listen on {hosts[0].address} and on: {reason}.", code="demo_listen")


def _bind(host: DemoHost, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.address, port))
        if host.kind is not Kind.DOWN:
            listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _name(number: int) -> str:
    """Returns a user's name. A container may run as a user that has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid{number}"


def _key(path: Path) -> asyncssh.SSHKey:
    """Returns the private key in ``path``, made at the first start and kept: a changed host key would be refused."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        asyncssh.generate_private_key(_ALGORITHM, comment="opsconsole demo").write_private_key(draft)
        draft.chmod(0o600)
        draft.replace(path)
    return asyncssh.read_private_key(path)


def _register(
    settings: Settings, hosts: list[DemoHost], port: int, host_keys: dict[str, asyncssh.SSHKey], login: str
) -> None:
    """Puts the fleet into the inventory, with the key that opens it and its host keys trusted."""
    public = {name: _public(key) for name, key in host_keys.items()}
    with closing(Database(settings.database)) as database, database.transaction() as session:
        demo_inventory.enter(session, hosts, port, login, public, SystemClock().now())


def _public(key: asyncssh.SSHKey) -> KnownKey:
    algorithm, text = key.export_public_key().decode().split()[:2]
    return KnownKey(algorithm=algorithm, key=text)
