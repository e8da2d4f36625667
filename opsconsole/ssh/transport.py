"""paramiko's Transport as this product needs it: modern algorithms, exit signals, no polling, one wake-up for all news.

What is overridden here is not public in paramiko; ``seams`` lists it.
"""

import base64
import contextlib
import logging
import threading
import time
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
    cMSG_CHANNEL_OPEN,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.message import Message
from paramiko.ssh_exception import SSHException

from opsconsole.jobs.ports import KnownKey
from opsconsole.ssh.channel import SEND_FAILURES, WINDOW, RunChannel
from opsconsole.ssh.seams import Transport
from opsconsole.ssh.wire import Packets, Wire

_MAX_EXTENSIONS = 64
# Where a connection through a jump host is said to come from: the worker's own address is nobody's business.
_ORIGIN = ("127.0.0.1", 0)
_CERTIFIED = "-cert-v01@openssh.com"
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class ClientTransport(Transport):
    """One SSH connection. ``abort`` ends it from any thread; ``on_end`` is called once when it has ended.

    With ``certified`` the server is asked for a host certificate before any plain key.
    """

    _kex_info = {**Transport._kex_info, "curve25519-sha256": KexCurve25519}
    _preferred_kex: tuple[str, ...] = (
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group14-sha256",
    )
    _preferred_ciphers: tuple[str, ...] = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    )
    _preferred_macs: tuple[str, ...] = (
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

    # The cipher that was agreed on.
    remote_cipher: str

    def __init__(self, wire: Wire, known_algorithms: Sequence[str], *, certified: bool = False) -> None:
        super().__init__(wire, default_window_size=WINDOW, packetizer_class=Packets)  # type: ignore[arg-type]
        self.wire = wire
        self._preferred_keys = host_key_order(known_algorithms, certified=certified)
        self.ready = threading.Event()
        self.on_end: Callable[[], None] | None = None
        # Channels that nobody wants any more and the server has not answered yet.
        self._given_up: dict[int, RunChannel] = {}

    @property
    def preferred_keys(self) -> Sequence[str]:
        """Host key algorithms, best first."""
        return self._preferred_keys

    @property
    def shown_key(self) -> KnownKey | None:
        """The key or the certificate that the server proved to hold; ``None`` before the key exchange is done."""
        key = self.host_key
        if key is None:
            return None
        certificate = key.public_blob
        if certificate is None:
            return KnownKey(key.get_name(), key.get_base64())
        return KnownKey(certificate.key_type, base64.b64encode(certificate.key_blob).decode("ascii"))

    @property
    def greeting(self) -> bytes:
        """The start of the first line the server sent; may be anything."""
        packets: Packets = self.packetizer  # type: ignore[assignment]
        return packets.greeting

    def ask_only(self, kinds: Sequence[str]) -> None:
        """Asks the server for host keys of these algorithms alone; call before ``negotiate``."""
        self._preferred_keys = tuple(kinds)

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
        return self._open_channel("session", wake)

    def open_tunnel(self, address: str, port: int) -> RunChannel:
        """Asks the server to connect to ``address``; the channel tells as that of ``open_run_channel``."""
        where = Message()
        for name, number in ((address, port), _ORIGIN):
            where.add_string(name)
            where.add_int(number)
        return self._open_channel("direct-tcpip", None, where.asbytes())

    def give_up(self, channel: RunChannel) -> None:
        """Closes a channel that nobody wants any more; one that is not open yet, as soon as it is."""
        self._given_up[channel.chanid] = channel
        if channel.answered() and self._given_up.pop(channel.chanid, None) is not None:
            _close(channel)

    def _open_channel(self, kind: str, wake: threading.Event | None, more: bytes = b"") -> RunChannel:
        with self.lock:
            chanid = self._next_channel()
            channel = RunChannel(chanid, wake)
            self._channels.put(chanid, channel)
            self.channels_seen[chanid] = True
            channel._set_transport(self)
            channel._set_window(WINDOW, self.default_max_packet_size)
        message = Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string(kind)
        message.add_int(chanid)
        message.add_int(WINDOW)
        message.add_int(self.default_max_packet_size)
        message.add_bytes(more)
        self._send_user_message(message)
        return channel

    def send_probe(self) -> None:
        """Asks for any answer at all; a living server sends one, and ``wire.heard_at`` moves."""
        message = Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    def answers(self, seconds: float) -> bool:
        """Returns whether anything at all arrives within ``seconds`` when the server is asked for a sign of life."""
        heard = self.wire.listen()
        try:
            self.send_probe()
        except SEND_FAILURES:
            return False
        return heard.wait(seconds) and self.is_active()

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

    def _parse_channel_open_success(self, m: Message) -> None:
        chanid = Message(m.asbytes()).get_int()
        super()._parse_channel_open_success(m)
        unwanted = self._given_up.pop(chanid, None)
        if unwanted is not None:
            _close(unwanted)

    def _parse_channel_open_failure(self, m: Message) -> None:
        channel = self._channels.get(m.get_int())
        code = m.get_int()
        if isinstance(channel, RunChannel):
            self._given_up.pop(channel.chanid, None)
            self._channels.delete(channel.chanid)
            channel.refuse(code)

    def _parse_ext_info(self, msg: Message) -> None:
        if Message(msg.asbytes()).get_int() > _MAX_EXTENSIONS:
            raise SSHException("too many extensions")
        super()._parse_ext_info(msg)

    def _log(self, level: int, msg: object, *args: object) -> None:
        """Says nothing: paramiko writes tracebacks and what the server sent; the run's record gets our own words."""


def _close(channel: RunChannel) -> None:
    # What cannot be told the server any more is told it by the end of the connection.
    with contextlib.suppress(*SEND_FAILURES):
        channel.close()


def host_key_order(known_algorithms: Sequence[str], *, certified: bool = False) -> tuple[str, ...]:
    """Returns the host key algorithms to ask for, those of the keys already known for the host first.

    Otherwise a server with several keys shows one that nobody trusted yet, though a trusted one is there. With
    ``certified`` certificates come before all plain keys: where an authority speaks for the host, a new key with a
    certificate is as good as the old one. Without, none is asked for, as nothing could tell what it is worth.
    """
    plain = tuple(sorted(_HOST_KEY_ALGORITHMS, key=lambda name: _key_type(name) not in known_algorithms))
    return (*(f"{name}{_CERTIFIED}" for name in plain), *plain) if certified else plain


def _key_type(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm


def quiet_paramiko() -> None:
    """Keeps paramiko's own loggers from writing: their records may hold what a host sent, and whole tracebacks."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
