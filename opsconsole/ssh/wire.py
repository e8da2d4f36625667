"""The socket as paramiko sees it: buffered reads without polling, bounded packets, a close that wakes the reader."""

import contextlib
import socket
import time
from collections.abc import Callable
from threading import Event
from typing import Protocol

from paramiko.packet import Packetizer
from paramiko.ssh_exception import SSHException

# RFC 4253 asks for 35,000 bytes; OpenSSH's own limit is this one.
_MAX_PACKET = 256 * 1024
_MAX_GREETING_LINE = 8 * 1024
_CHUNK = 64 * 1024
# A peer that takes nothing for so long is gone.
_SEND_STALL_SECONDS = 20.0
# A socket that always has data never lets another greenlet run, so the reader steps aside after so many bytes.
_FAIR_SHARE = 256 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Line(Protocol):
    """What carries a connection: a TCP socket, or a channel through a jump host."""

    def settimeout(self, seconds: float, /) -> None:
        """Bounds each ``recv`` and ``send``, which raise ``TimeoutError`` then."""

    def recv(self, size: int, /) -> bytes:
        """Returns what arrived, empty at the end."""

    def send(self, data: memoryview, /) -> int:
        """Returns how many bytes were taken."""

    def shutdown(self, how: int, /) -> None:
        """Ends the connection for both sides and wakes whoever waits in ``recv``."""

    def close(self) -> None:
        """Gives the connection back."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Sets an option of the socket, where there is one."""


class Wire:
    """One connection. ``close`` may be called by anyone at any time; ``release`` only by the reader, at its end.

    ``on_quiet`` is called by the reader about every ``tick_seconds`` in which nothing arrives.
    """

    def __init__(self, sock: Line, tick_seconds: float) -> None:
        self._sock = sock
        sock.settimeout(tick_seconds)
        self._chunk = b""
        self._at = 0
        self._since_yield = 0
        self._closed = False
        self.on_quiet: Callable[[], None] | None = None
        self._listeners: list[Event] = []
        self.received = 0
        self.heard_at = time.monotonic()
        self._acknowledge_now()

    def listen(self) -> Event:
        """Returns an event that is set when the next bytes arrive or the connection ends."""
        heard = Event()
        self._listeners.append(heard)
        if self._closed:
            heard.set()
        return heard

    def settimeout(self, seconds: float) -> None:
        """Ignored: paramiko asks for a tenth of a second to poll by, which is ten wake-ups a second for each host."""

    def close(self) -> None:
        """Ends the connection for both sides and wakes a waiting reader; the descriptor stays until ``release``."""
        self._closed = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def release(self) -> None:
        """Gives the descriptor back."""
        self._closed = True
        self._sock.close()
        self._tell_listeners()

    def read(self, size: int) -> bytes:
        """Returns exactly ``size`` bytes; ``EOFError`` when the connection ends before."""
        if size > _MAX_PACKET:
            raise SSHException("packet too large")
        while len(self._chunk) - self._at < size:
            self._fill()
        return self._take(size)

    def read_line(self) -> bytes:
        """Returns one line without its end; ``SSHException`` when it is longer than any server's greeting."""
        while True:
            end = self._chunk.find(b"\n", self._at)
            if end >= 0:
                return self._take(end + 1 - self._at).rstrip(b"\r\n")
            if len(self._chunk) - self._at > _MAX_GREETING_LINE:
                raise SSHException("greeting too long")
            self._fill()

    def write(self, data: bytes) -> None:
        """Sends all of ``data``; ``EOFError``, and the end of the connection, when the peer does not take it."""
        view = memoryview(data)
        give_up_at = time.monotonic() + _SEND_STALL_SECONDS
        while view and not self._closed:
            try:
                view = view[self._sock.send(view) :]
            except TimeoutError:
                if time.monotonic() >= give_up_at:
                    break
            except OSError:
                break
        if view:
            self.close()
            raise EOFError

    def _take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        data = self._chunk[start : self._at]
        if self._at == len(self._chunk):
            self._chunk, self._at = b"", 0
        return data

    def _fill(self) -> None:
        data = self._receive()
        self._chunk = self._chunk[self._at :] + data if self._at < len(self._chunk) else data
        self._at = 0

    def _receive(self) -> bytes:
        while not self._closed:
            try:
                data = self._sock.recv(_CHUNK)
            except TimeoutError:
                # Read once: the pool may take it back at any moment.
                on_quiet = self.on_quiet
                if on_quiet is not None:
                    on_quiet()
                continue
            except OSError:
                break
            if not data:
                break
            self._account(len(data))
            return data
        raise EOFError

    def _account(self, size: int) -> None:
        self.received += size
        self.heard_at = time.monotonic()
        self._tell_listeners()
        if size < _CHUNK:
            self._acknowledge_now()
        self._since_yield += size
        if self._since_yield >= _FAIR_SHARE:
            self._since_yield = 0
            time.sleep(0)

    def _tell_listeners(self) -> None:
        while self._listeners:
            self._listeners.pop().set()

    def _acknowledge_now(self) -> None:
        # Linux falls back to delayed acknowledgements by itself, and a delayed one makes the server's Nagle wait 40 ms.
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class Packets(Packetizer):
    """paramiko's packet layer over a ``Wire``: same packets, without its polling, its timer thread and its logging."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)  # type: ignore[arg-type]  # A Wire has all that paramiko asks of a socket here.
        self._wire = wire
        self.greeting = b""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Returns exactly ``n`` bytes."""
        return self._wire.read(n)

    def write_all(self, out: bytes) -> None:  # type: ignore[override]  # Called with bytes only.
        """Sends all of ``out``."""
        self._wire.write(out)

    def readline(self, timeout: float) -> str:
        """Returns one line of the server's greeting; the deadline is the caller's, who closes the wire."""
        line = self._wire.read_line()
        self.greeting = self.greeting or line[:64]
        return line.decode("utf-8", "replace")

    def start_handshake(self, timeout: float) -> None:
        """Starts no timer: the whole connect has one deadline, and one more thread for each host is dear."""

    def complete_handshake(self) -> None:
        """Nothing to stop, see ``start_handshake``."""

    def handshake_timed_out(self) -> bool:
        """Never by itself, see ``start_handshake``."""
        return False

    def _log(self, level: int, msg: object) -> None:
        """Says nothing: what matters reaches the run's record as a value."""
