"""A channel of a connection: output in order of arrival, and one wake-up for all news. See ``transport``."""

import re
import threading
from collections import deque
from collections.abc import Callable

from paramiko.common import (
    cMSG_CHANNEL_FAILURE,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
)
from paramiko.message import Message
from paramiko.ssh_exception import SSHException

from opsconsole.jobs.ports import Stream
from opsconsole.ssh.deadline import news
from opsconsole.ssh.seams import Channel

# What a host may send before we have read it: bounds the memory of a hundred hosts whose output waits for the database.
WINDOW = 512 * 1024
# What sending may raise: the connection ended, or a key exchange holds everything up for too long.
SEND_FAILURES = (EOFError, OSError, SSHException)
_READ_AT_ONCE = 64 * 1024
_SIGNAL_NAME = re.compile(r"[A-Za-z0-9@._-]{1,32}")


class RunChannel(Channel):
    """A session channel that keeps output in order of arrival and sets ``wake`` at every piece of news."""

    def __init__(self, chanid: int, wake: threading.Event | None = None) -> None:
        super().__init__(chanid)
        self.wake = wake or threading.Event()
        self.opened = False
        self.open_refusal: int | None = None
        self.exec_accepted: bool | None = None
        self.pty_granted: bool | None = None
        # The requests that wait for an answer; a server answers them in their order.
        self._asked: deque[str] = deque()
        self.exit_code: int | None = None
        self.exit_signal: str | None = None
        self.peer_closed = False
        self._news: deque[tuple[Stream, bytes]] = deque()
        self._waiting = 0
        self.settimeout(0.0)

    @property
    def has_output(self) -> bool:
        """True when ``take`` has something to give."""
        return bool(self._news)

    def take(self) -> tuple[Stream, bytes] | None:
        """Returns the next output, neighbouring pieces of one stream joined, or ``None``; tells the host to go on."""
        if not self._news:
            return None
        stream, data = self._news.popleft()
        parts, size = [data], len(data)
        while self._news and self._news[0][0] is stream and size + len(self._news[0][1]) <= _READ_AT_ONCE:
            data = self._news.popleft()[1]
            parts.append(data)
            size += len(data)
        self._waiting -= size
        self._open_window(size)
        return stream, b"".join(parts)

    @property
    def ended(self) -> bool:
        """True when nothing more will arrive."""
        return self.closed or bool(self.eof_received)

    def answered(self) -> bool:
        """Returns whether the server has opened or refused this channel, or never will."""
        return self.opened or self.open_refusal is not None or self.closed

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until news make ``condition`` true; returns whether it is."""
        return news(self.wake, condition, seconds)

    def request_exec(self, command: str) -> None:
        """Sends the exec request without waiting for its answer, which sets ``exec_accepted``."""
        self._request("exec", [command])

    def request_shell(self) -> None:
        """Asks for the login's shell, or what a device has in its place; the answer sets ``exec_accepted`` anew."""
        self.exec_accepted = None
        self._request("shell", [])

    def request_pty(self, columns: int, rows: int) -> None:
        """Asks for a terminal of that size; the answer sets ``pty_granted``."""
        # No sizes in pixels, and no modes (RFC 4254, 8): the server has its usual ones.
        self._request("pty-req", ["vt100", columns, rows, 0, 0, ""])

    def _request(self, kind: str, details: list[str | int]) -> None:
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self.remote_chanid)
        message.add_string(kind)
        message.add_boolean(True)
        for detail in details:
            message.add_int(detail) if isinstance(detail, int) else message.add_string(detail)
        self._asked.append(kind)
        self.transport._send_user_message(message)

    def refuse(self, code: int) -> None:
        """Called when the server refused to open this channel."""
        self.open_refusal = code
        self.wake.set()

    def _open_window(self, size: int) -> None:
        grant = self._check_add_window(size)
        if grant > 0:
            message = Message()
            message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
            message.add_int(self.remote_chanid)
            message.add_int(grant)
            try:
                self.transport._send_user_message(message)
            except SEND_FAILURES:
                self.transport.stop_thread()

    def _set_remote_channel(self, chanid: int, window_size: int, max_packet_size: int) -> None:
        super()._set_remote_channel(chanid, window_size, max_packet_size)
        self.opened = True
        self.wake.set()

    def _feed(self, m: Message) -> None:
        self._arrived(Stream.STDOUT, m.get_string())

    def _feed_extended(self, m: Message) -> None:
        # Code 1 is stderr; no other is defined, and what a server sends there still counts as an error text.
        m.get_int()
        self._arrived(Stream.STDERR, m.get_string())

    def _arrived(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        self._waiting += len(data)
        if self._waiting > 2 * WINDOW:
            raise SSHException("the server ignores the channel window")
        self._news.append((stream, data))
        self.wake.set()

    def _handle_request(self, m: Message) -> None:
        kind = m.get_text()
        wants_reply = m.get_boolean()
        if kind == "exit-status":
            self.exit_code = m.get_int()
        elif kind == "exit-signal":
            name = m.get_text()
            self.exit_signal = name if _SIGNAL_NAME.fullmatch(name) else "UNKNOWN"
        if wants_reply:
            reply = Message()
            reply.add_byte(cMSG_CHANNEL_FAILURE)
            reply.add_int(self.remote_chanid)
            self.transport._send_user_message(reply)
        self.wake.set()

    def _request_success(self, m: Message) -> None:
        self._answer(granted=True)

    def _request_failed(self, m: Message) -> None:
        self._answer(granted=False)

    def _answer(self, *, granted: bool) -> None:
        if self._asked and self._asked.popleft() == "pty-req":
            self.pty_granted = granted
        else:
            self.exec_accepted = granted
        self.wake.set()

    def _window_adjust(self, m: Message) -> None:
        super()._window_adjust(m)
        self.wake.set()

    def _handle_eof(self, m: Message) -> None:
        super()._handle_eof(m)
        self.wake.set()

    def _handle_close(self, m: Message) -> None:
        self.peer_closed = True
        super()._handle_close(m)
        self.wake.set()

    def _set_closed(self) -> None:
        super()._set_closed()
        self.wake.set()

    def _log(self, level: int, msg: str, *args: object) -> None:
        """Says nothing: what matters reaches the run's record as a value."""
