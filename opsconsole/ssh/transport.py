"""paramiko's Transport as this product needs it: modern algorithms, exit signals, no polling, one wake-up for all news.

What is overridden here is not public in paramiko; ``seams`` lists it.
"""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_FAILURE,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.message import Message
from paramiko.ssh_exception import SSHException

from opsconsole.jobs.ports import Stream
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.seams import Channel, Transport
from opsconsole.ssh.wire import Packets, Wire

# What a host may send before we have read it: bounds the memory of a hundred hosts whose output waits for the database.
WINDOW = 512 * 1024
# What sending may raise: the connection ended, or a key exchange holds everything up for too long.
SEND_FAILURES = (EOFError, OSError, SSHException)
_READ_AT_ONCE = 64 * 1024
_SIGNAL_NAME = re.compile(r"[A-Za-z0-9@._-]{1,32}")
_MAX_EXTENSIONS = 64
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class RunChannel(Channel):
    """A session channel that keeps output in order of arrival and sets ``wake`` at every piece of news."""

    def __init__(self, chanid: int, wake: threading.Event | None = None) -> None:
        super().__init__(chanid)
        self.wake = wake or threading.Event()
        self.opened = False
        self.open_refusal: int | None = None
        self.exec_accepted: bool | None = None
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

    def answered(self) -> bool:
        """Returns whether the server has opened or refused this channel, or never will."""
        return self.opened or self.open_refusal is not None or self.closed

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until news make ``condition`` true; returns whether it is."""
        give_up = Deadline(seconds)
        while not condition():
            if give_up.passed:
                return False
            self.wake.clear()
            if not condition():
                self.wake.wait(give_up.left)
        return True

    def request_exec(self, command: str) -> None:
        """Sends the exec request without waiting for its answer, which sets ``exec_accepted``."""
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
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
        self.exec_accepted = True
        self.wake.set()

    def _request_failed(self, m: Message) -> None:
        self.exec_accepted = False
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


class ClientTransport(Transport):
    """One SSH connection. ``abort`` ends it from any thread; ``on_end`` is called once when it has ended."""

    _kex_info = {**Transport._kex_info, "curve25519-sha256": KexCurve25519}
    _preferred_kex = (
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group14-sha256",
    )
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    # Looked up on the channel's own class, so that RunChannel's methods are the ones called.
    _channel_handler_table = {
        MSG_CHANNEL_SUCCESS: lambda channel, m: channel._request_success(m),
        MSG_CHANNEL_FAILURE: lambda channel, m: channel._request_failed(m),
        MSG_CHANNEL_DATA: lambda channel, m: channel._feed(m),
        MSG_CHANNEL_EXTENDED_DATA: lambda channel, m: channel._feed_extended(m),
        MSG_CHANNEL_WINDOW_ADJUST: lambda channel, m: channel._window_adjust(m),
        MSG_CHANNEL_REQUEST: lambda channel, m: channel._handle_request(m),
        MSG_CHANNEL_EOF: lambda channel, m: channel._handle_eof(m),
        MSG_CHANNEL_CLOSE: lambda channel, m: channel._handle_close(m),
    }

    def __init__(self, wire: Wire, known_algorithms: Sequence[str]) -> None:
        super().__init__(wire, default_window_size=WINDOW, packetizer_class=Packets)  # type: ignore[arg-type]
        self.wire = wire
        self._preferred_keys = host_key_order(known_algorithms)
        self.ready = threading.Event()
        self.on_end: Callable[[], None] | None = None

    @property
    def preferred_keys(self) -> Sequence[str]:
        """Host key algorithms, best first; no host certificates, which nothing here could check."""
        return self._preferred_keys

    @property
    def greeting(self) -> bytes:
        """The start of the first line the server sent; may be anything."""
        packets: Packets = self.packetizer  # type: ignore[assignment]
        return packets.greeting

    def negotiate(self) -> None:
        """Starts the key exchange; ``ready`` is set when it is done, or when the connection has ended."""
        self.start_client(event=self.ready)

    def abort(self) -> None:
        """Ends the connection at once. May be called more than once and from any thread."""
        if self.ident is None:
            self.wire.release()
            return
        self.stop_thread()

    def open_run_channel(self, wake: threading.Event | None = None) -> RunChannel:
        """Asks for a session channel without waiting for the answer; the channel tells by ``wake`` when it comes."""
        with self.lock:
            chanid = self._next_channel()
            channel = RunChannel(chanid, wake)
            self._channels.put(chanid, channel)
            self.channels_seen[chanid] = True
            channel._set_transport(self)
            channel._set_window(WINDOW, self.default_max_packet_size)
        message = Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("session")
        message.add_int(chanid)
        message.add_int(WINDOW)
        message.add_int(self.default_max_packet_size)
        self._send_user_message(message)
        return channel

    def send_probe(self) -> None:
        """Asks for any answer at all; a living server sends one, and ``wire.heard_at`` moves."""
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    def silent_seconds(self) -> float:
        """Returns how long nothing has arrived."""
        return time.monotonic() - self.wire.heard_at

    def run(self) -> None:
        """Reads until the connection ends; then wakes whoever waits and gives the descriptor back."""
        try:
            super().run()
        finally:
            self.active = False
            self.wire.release()
            self.ready.set()
            if self.auth_handler is not None:
                self.auth_handler.abort()
            # Read once: the pool may take it back at any moment.
            on_end = self.on_end
            if on_end is not None:
                on_end()

    def _parse_channel_open_failure(self, m: Message) -> None:
        channel = self._channels.get(m.get_int())
        code = m.get_int()
        if isinstance(channel, RunChannel):
            self._channels.delete(channel.chanid)
            channel.refuse(code)

    def _parse_ext_info(self, msg: Message) -> None:
        if Message(msg.asbytes()).get_int() > _MAX_EXTENSIONS:
            raise SSHException("too many extensions")
        super()._parse_ext_info(msg)

    def _log(self, level: int, msg: object, *args: object) -> None:
        """Says nothing: paramiko writes tracebacks and what the server sent; the run's record gets our own words."""


def host_key_order(known_algorithms: Sequence[str]) -> tuple[str, ...]:
    """Returns the host key algorithms to ask for, those of the keys already known for the host first.

    Otherwise a server with several keys shows one that nobody trusted yet, though a trusted one is there.
    """
    return tuple(sorted(_HOST_KEY_ALGORITHMS, key=lambda name: _key_type(name) not in known_algorithms))


def _key_type(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm


def quiet_paramiko() -> None:
    """Keeps paramiko's own loggers from writing: their records may hold what a host sent, and whole tracebacks."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
