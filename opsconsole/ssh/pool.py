"""Kept connections: the most recently used ones, each given to one run at a time, closed when idle for too long."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from opsconsole.jobs.ports import Hop, KnownKey
from opsconsole.ssh.transport import ClientTransport

Key = Hashable


@dataclass(frozen=True, slots=True)
class Kept:
    """A logged-in connection and the host key it was verified with; ``hops`` are the jump hosts it goes through."""

    key: Key
    transport: ClientTransport
    host_key: KnownKey
    address: str
    hops: tuple[tuple[Hop, KnownKey], ...] = ()
    born: float = field(default_factory=time.monotonic)


class Pool:
    """At most ``capacity`` idle connections, none of them older than ``age_seconds``, so that what a server decides at
    a login (an account that was closed, another limit) is asked again now and then.

    Each one's own reader sees to its end, so there is no helper thread.
    """

    def __init__(self, capacity: int, idle_seconds: float, age_seconds: float) -> None:
        self._capacity = capacity
        self._idle_seconds = idle_seconds
        self._age_seconds = age_seconds
        self._lock = threading.Lock()
        self._idle: OrderedDict[ClientTransport, tuple[Kept, float]] = OrderedDict()
        self._by_key: dict[Key, list[Kept]] = {}
        self._closed = False

    def take(self, key: Key) -> Kept | None:
        """Returns a live idle connection for ``key``, which then belongs to the caller, or ``None``."""
        while True:
            with self._lock:
                kept = self._last(key)
                if kept is None:
                    return None
                self._forget(kept.transport)
            if kept.transport.is_active() and not self._old(kept):
                return kept
            kept.transport.abort()

    def put(self, kept: Kept) -> None:
        """Keeps a connection for a later run, or ends one that is too old; the longest unused one makes room."""
        if self._old(kept):
            kept.transport.abort()
            return
        with self._lock:
            self._idle[kept.transport] = (kept, time.monotonic())
            self._by_key.setdefault(kept.key, []).append(kept)
            kept.transport.on_end = lambda: self._ended(kept.transport)
            kept.transport.wire.on_quiet = lambda: self._quiet(kept.transport)
            surplus = self._surplus()
        # It may have ended while it was being put in, before anybody was told of its end.
        if not kept.transport.is_active():
            self._ended(kept.transport)
        for transport in surplus:
            transport.abort()

    def close(self) -> None:
        """Ends all kept connections; later ones are ended at once."""
        with self._lock:
            self._closed = True
            surplus = self._surplus()
        for transport in surplus:
            transport.abort()

    def __len__(self) -> int:
        with self._lock:
            return len(self._idle)

    def _old(self, kept: Kept) -> bool:
        return time.monotonic() >= kept.born + self._age_seconds

    def _surplus(self) -> list[ClientTransport]:
        room = 0 if self._closed else self._capacity
        surplus = list(self._idle)[: max(0, len(self._idle) - room)]
        for transport in surplus:
            self._forget(transport)
        return surplus

    def _last(self, key: Key) -> Kept | None:
        waiting = self._by_key.get(key)
        return waiting[-1] if waiting else None

    def _forget(self, transport: ClientTransport) -> bool:
        entry = self._idle.pop(transport, None)
        if entry is None:
            return False
        kept = entry[0]
        waiting = self._by_key[kept.key]
        waiting.remove(kept)
        if not waiting:
            del self._by_key[kept.key]
        transport.on_end = None
        transport.wire.on_quiet = None
        return True

    def _ended(self, transport: ClientTransport) -> None:
        with self._lock:
            self._forget(transport)

    def _quiet(self, transport: ClientTransport) -> None:
        with self._lock:
            entry = self._idle.get(transport)
            if entry is None or time.monotonic() < entry[1] + self._idle_seconds:
                return
            self._forget(transport)
        transport.abort()
