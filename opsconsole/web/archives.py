"""What archives that are made while they are sent have in common: where they are written to, and names within them."""

import io
from typing import Any

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@")
_LONGEST = 150


class Sent(io.RawIOBase):
    """What an archive is written to: bytes that wait to be sent. It cannot be gone back in."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def write(self, data: Any) -> int:
        """Takes bytes."""
        self._waiting.append(bytes(data))
        return len(data)

    def writable(self) -> bool:
        """Says that it takes bytes."""
        return True

    def take(self) -> bytes:
        """Returns what waits."""
        data, self._waiting = b"".join(self._waiting), []
        return data


class Names:
    """Names for hosts within one archive: no path, no dots alone, and no two the same in any case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, host: str, i: int) -> str:
        """Returns the name of a host that stands at place ``i`` of the roster."""
        name = "".join(char if char in _SAFE else "_" for char in host).strip(".")[:_LONGEST] or "host"
        while name.lower() in self._taken:
            name = f"{name}-{i}"
        self._taken.add(name.lower())
        return name
