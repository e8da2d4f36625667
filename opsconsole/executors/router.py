"""Hands each run to what carries it out: SSH, this machine, or a host that is played."""

from collections.abc import Mapping

from opsconsole.inventory.executor import Executor
from opsconsole.jobs.ports import Auth, Connector, KnownKey, Limits, Session, Target, Unreached


class Router:
    """See ``opsconsole.jobs.ports.Connector``: one connector for each executor."""

    def __init__(self, connectors: Mapping[Executor, Connector]) -> None:
        self._connectors = connectors

    def connect(self, target: Target, auth: Auth, limits: Limits) -> Session | Unreached:
        """Returns a session of the target's own executor, or why there is none."""
        return self._connectors[target.executor].connect(target, auth, limits)

    def scan(self, target: Target, limits: Limits) -> tuple[KnownKey, ...] | Unreached:
        """Returns the host keys that are shown there, or why none are."""
        return self._connectors[target.executor].scan(target, limits)

    def close(self) -> None:
        """Closes all connectors."""
        for connector in self._connectors.values():
            connector.close()
