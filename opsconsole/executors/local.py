"""Runs commands on the worker's own machine, as the worker's user, behind the same guard as on a host over SSH."""

from opsconsole.executors.local_line import LocalLine
from opsconsole.jobs.ports import (
    Auth,
    Become,
    ConnectionFacts,
    KnownKey,
    Limits,
    RemoteCommand,
    RemoteProcess,
    Sight,
    Target,
    Unreached,
)
from opsconsole.jobs.states import Reason
from opsconsole.ssh.session import clean_up, started
from opsconsole.ssh.sweep import Sweep

_START_SECONDS = 10.0
_OFF = Unreached(
    Reason.NOT_PERMITTED, "This worker runs nothing on its own machine (setting allow_local); nothing was started."
)
_NO_KEYS = Unreached(Reason.PROTOCOL, "Nothing is connected to there: it is run on the worker's own machine.")


class LocalConnector:
    """See ``opsconsole.jobs.ports.Connector``. Unless it is ``allowed`` it lets nobody in."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed

    def connect(self, target: Target, auth: Auth, limits: Limits) -> "LocalSession | Unreached":
        """Returns a session at once; nobody has to log in."""
        return LocalSession() if self._allowed else _OFF

    def scan(self, target: Target, limits: Limits) -> tuple[KnownKey, ...] | Unreached:
        """Returns that there are no host keys."""
        return _NO_KEYS

    def close(self) -> None:
        """Has nothing that is kept."""


class LocalSession:
    """See ``opsconsole.jobs.ports.Session``."""

    def __init__(self) -> None:
        self.facts = ConnectionFacts("localhost", None, host_key_new=False, reused=False, connect_ms=0)
        self._line = LocalLine()

    def start(self, command: RemoteCommand) -> RemoteProcess:
        """Starts the command."""
        return started(self._line, self._line.open_run_channel(), command, _START_SECONDS)

    def search(self, mark: str, *, end: float | None, seconds: float, become: Become | None = None) -> Sight:
        """Returns what on this machine carries ``mark``; with ``end`` it is ended."""
        return Sweep(self._line, mark, end=end, seconds=seconds, become=become).wait()

    def forget(self, mark: str, become: Become | None = None) -> None:
        """Removes what is kept of the durable run with ``mark``."""
        clean_up(self._line, mark, become)

    def close(self, *, keep: bool) -> None:
        """Ends what is still running, but for what is durable."""
        self._line.abort()
