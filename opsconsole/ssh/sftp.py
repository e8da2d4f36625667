"""SFTP version 3 (draft-ietf-secsh-filexfer-02) over a session channel, step by step.

paramiko's own client waits without a deadline, keeps the answers to pipelined writes unread, and reads ahead with a
thread for each file and no bound. This one is a set of generators: wherever it waits it yields an event, so that who
follows the run sees to deadlines and orders, in the caller's own thread.
"""

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.message import Message

from opsconsole.jobs.ports import Event, Idle, Stream
from opsconsole.ssh import failures
from opsconsole.ssh.channel import SEND_FAILURES, RunChannel
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.sftp_packets import ODD, Gone, Op, Reader, Refused, Status, number, text
from opsconsole.ssh.transport import ClientTransport

T = TypeVar("T")
Steps = Generator[Event, None, T]

# One channel message of the usual 32 KiB holds so much of a file beside the headers.
PIECE = 32 * 1024 - 128
_MOST_AT_ONCE = 4 * PIECE
# OpenSSH's own limit for a packet; a longer one is no answer, but what a login's start-up files print.
_MOST_PACKET = 256 * 1024 + 1024
# A peer that takes everything at once never lets another greenlet run, so we step aside after so many bytes.
_FAIR_SHARE = 256 * 1024
_PROBE_AFTER_SECONDS = 12.0
_PROBE_LIMIT_SECONDS = 12.0
# How long ``sudo`` and what it asks may take beyond the answer to the request.
_PASSAGE_SECONDS = 30.0

_NO_SESSION = "The server did not open a session in time."
_UNSENT = "The connection ended before anything was sent."
_NO_REPLY = "The server did not answer the request for SFTP."
_NO_SFTP = "The server offers no SFTP (no such subsystem), without which no files can be carried."
_TALKS = (
    "What answers is not SFTP: the login's start-up files seem to write to standard output, which is to be silent here."
)
_ENDED = "The connection ended."
_SILENT = "The host stopped answering."
_QUIT = "The SFTP server on the host ended."


class Turned(Exception):
    """Nobody got as far as an SFTP server; the text says why. ``run_as`` is set when it was the other account."""

    def __init__(self, words: str, *, run_as: bool = False) -> None:
        super().__init__(words)
        self.run_as = run_as


class Stopped(Exception):
    """An order to end came."""


class Sftp:
    """A client on ``channel``. One thread takes its steps; any may call ``stop`` and ``kill``.

    ``exec_line`` starts the server program as another account, through ``passage``; without it the subsystem is asked
    for. ``news`` may be set to what returns the event that is due when nothing else is to be told.
    """

    def __init__(
        self,
        transport: ClientTransport,
        channel: RunChannel,
        answer_seconds: float,
        *,
        exec_line: str | None = None,
        passage: Passage | None = None,
    ) -> None:
        self.transport = transport
        self.channel = channel
        self.poll_seconds = 0.2
        self.extensions: frozenset[bytes] = frozenset()
        self.most_write = self.most_read = PIECE
        self._answer_seconds = answer_seconds
        self._exec_line = exec_line
        self._passage = passage
        self.news: Callable[[], Event] = Idle
        self._told = time.monotonic()
        self._since_yield = 0
        self._probed_at: float | None = None
        self._out: deque[bytes] = deque()
        self._in = bytearray()
        self._next = 0
        self._waiting: set[int] = set()
        self._answers: dict[int, tuple[int, bytes]] = {}
        self._version: bytes | None = None
        self._begun = False
        self._stop = threading.Event()
        self._killed = threading.Event()
        # Set while what was begun is cleared away, which an order to end does not end again.
        self.clearing = False

    def stop(self) -> None:
        """Has the next step raise ``Stopped``, unless it clears up."""
        self._stop.set()
        self.channel.wake.set()

    def kill(self) -> None:
        """Has the next step raise ``Stopped``, whatever it does."""
        self._killed.set()
        self.channel.wake.set()

    @property
    def killed(self) -> bool:
        """Whether an order left no time for clearing up."""
        return self._killed.is_set()

    def begin(self) -> Steps[None]:
        """Starts the server program and greets it. Raises ``Turned`` when there is none."""
        give_up = time.monotonic() + self._answer_seconds
        yield from self.until(lambda: self.channel.answered() or time.monotonic() >= give_up)
        if self.channel.open_refusal is not None:
            raise Turned(failures.open_refused(self.channel.open_refusal))
        if not self.channel.opened:
            self.transport.abort()
            raise Turned(_NO_SESSION)
        try:
            self._request()
        except SEND_FAILURES:
            raise Turned(_UNSENT) from None
        if self._passage is None:
            self._send(Op.INIT, number(3))
        wait = self._answer_seconds + (_PASSAGE_SECONDS if self._passage is not None else 0.0)
        yield from self._greeted(time.monotonic() + wait)
        self._begun = True
        yield from self._learn_limits()

    def ask(self, op: Op, *fields: bytes) -> int:
        """Sends a request and returns the number its answer will have."""
        self._next = (self._next + 1) & 0xFFFFFFFF
        self._waiting.add(self._next)
        self._send(op, number(self._next), *fields)
        return self._next

    def answer(self, asked: int, expected: Op) -> Steps[Reader]:
        """Returns what the server answers. Raises ``Refused``."""
        yield from self.until(lambda: asked in self._answers)
        return self._taken(asked, expected)

    def arrived(self, asked: int) -> bool:
        """Returns whether the answer is there already."""
        return asked in self._answers

    def request(self, op: Op, *fields: bytes, expected: Op = Op.STATUS) -> Steps[Reader]:
        """Sends a request and returns what the server answers. Raises ``Refused``."""
        return (yield from self.answer(self.ask(op, *fields), expected))

    def drained(self) -> Steps[None]:
        """Waits until all that was asked is on its way, so that what is sent is never piled up here."""
        self._pump()
        if self._out:
            yield from self.until(lambda: not self._out)

    def breathe(self, size: int) -> Steps[None]:
        """Lets others run after every so many bytes, and tells the news when they are due."""
        self._since_yield += size
        if self._since_yield >= _FAIR_SHARE:
            self._since_yield = 0
            time.sleep(0)
            self._check()
        if time.monotonic() - self._told >= self.poll_seconds:
            yield self._tell()

    def until(self, condition: Callable[[], bool]) -> Steps[None]:
        """Waits for what the server's news make true. Raises ``Stopped`` and ``Gone``."""
        while not condition():
            self.channel.wake.clear()
            self._pump()
            self._read()
            if condition():
                return
            self._check()
            if not self.channel.has_output:
                left = self._told + self.poll_seconds - time.monotonic()
                self.channel.wake.wait(max(0.0, left))
            if time.monotonic() - self._told >= self.poll_seconds:
                yield self._tell()

    def pause(self, seconds: float) -> Steps[None]:
        """Waits so long. Raises as ``until`` does."""
        over_at = time.monotonic() + seconds
        yield from self.until(lambda: time.monotonic() >= over_at)

    def _tell(self) -> Event:
        self._told = time.monotonic()
        return self.news()

    def _request(self) -> None:
        if self._exec_line is not None:
            self.channel.request_exec(self._exec_line)
            return
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self.channel.remote_chanid)
        message.add_string("subsystem")
        message.add_boolean(True)
        message.add_string("sftp")
        self.channel.transport._send_user_message(message)

    def _greeted(self, give_up: float) -> Steps[None]:
        channel, passage = self.channel, self._passage

        def over() -> bool:
            refused = passage is not None and passage.refusal is not None
            ended = channel.exit_code is not None or channel.exec_accepted is False or refused
            ended = ended and not channel.has_output
            return self._version is not None or ended or time.monotonic() >= give_up

        yield from self.until(over)
        if self._version is None:
            raise self._why_not()
        greeting = Reader(self._version)
        greeting.number()
        names: list[bytes] = []
        while greeting.left and len(names) < 64:
            names.append(greeting.string())
            greeting.string()
        self.extensions = frozenset(names)

    def _why_not(self) -> Turned:
        passage, status = self._passage, self.channel.exit_code
        if passage is not None and not passage.through:
            return Turned(passage.refusal or passage.why_not(status, self.channel.exit_signal), run_as=True)
        if passage is not None and status == 127:
            words = "The host has no sftp-server program where it is looked for, so the other account cannot be used."
            return Turned(words, run_as=True)
        if self.channel.exec_accepted is False or self.channel.exit_code is not None:
            return Turned(_NO_SFTP)
        return Turned(_NO_REPLY)

    def _learn_limits(self) -> Steps[None]:
        if b"limits@openssh.com" not in self.extensions:
            return
        try:
            answer = yield from self.request(Op.EXTENDED, text("limits@openssh.com"), expected=Op.EXTENDED_REPLY)
        except Refused:
            return
        answer.long()
        most_read, most_write = answer.long(), answer.long()
        self.most_read = min(most_read or PIECE, _MOST_AT_ONCE)
        self.most_write = min(most_write or PIECE, _MOST_AT_ONCE)

    def _send(self, op: Op, *fields: bytes) -> None:
        body = b"".join(fields)
        packet = struct.pack(">IB", len(body) + 1, op) + body
        most = max(1024, self.channel.out_max_packet_size - 64)
        self._out.extend(packet[start : start + most] for start in range(0, len(packet), most))
        self._pump()

    def _pump(self) -> None:
        while self._out and not self.channel.closed:
            try:
                count = self.channel.send(self._out[0])
            except TimeoutError:
                # The window is shut; the server's next adjustment wakes us.
                return
            except SEND_FAILURES:
                self.transport.abort()
                return
            if not count:
                return
            piece = self._out.popleft()
            if count < len(piece):
                self._out.appendleft(piece[count:])

    def _read(self) -> None:
        while piece := self.channel.take():
            stream, data = piece
            if self._passage is not None and not self._passage.through:
                data = self._through(self._passage, stream, data)
            elif stream is Stream.STDERR:
                continue
            if data:
                self._in += data
                self._unpack()

    def _through(self, passage: Passage, stream: Stream, data: bytes) -> bytes:
        """Takes output that may still be of the way to the other account; returns what is of the server."""
        try:
            data = passage.answer(self.channel, stream, data)
        except SEND_FAILURES:
            self.transport.abort()
        if passage.through:
            self._send(Op.INIT, number(3))
        return data

    def _unpack(self) -> None:
        while len(self._in) >= 5:
            size, op = struct.unpack_from(">IB", self._in)
            if self._version is None and (op != Op.VERSION or size > _MOST_PACKET):
                raise Turned(_TALKS)
            if not 1 <= size <= _MOST_PACKET:
                raise Gone(ODD)
            if len(self._in) < size + 4:
                return
            body = bytes(self._in[5 : size + 4])
            del self._in[: size + 4]
            if self._version is None:
                self._version = body
                continue
            asked = Reader(body).number()
            if asked not in self._waiting:
                raise Gone(ODD)
            self._waiting.discard(asked)
            self._answers[asked] = (op, body[4:])

    def _taken(self, asked: int, expected: Op) -> Reader:
        op, body = self._answers.pop(asked)
        answer = Reader(body)
        if op == Op.STATUS:
            code = answer.number()
            if code != Status.OK:
                words = answer.string().decode("utf-8", "replace") if answer.left else ""
                raise Refused(code, words)
        if op != expected:
            raise Gone(ODD)
        return answer

    def _check(self) -> None:
        if self._killed.is_set() or (self._stop.is_set() and not self.clearing):
            raise Stopped
        channel = self.channel
        if channel.has_output:
            # What came before the end is read before the end is told.
            return
        if channel.closed or channel.eof_received or not self.transport.is_active():
            if self._begun:
                raise Gone(_QUIT if self.transport.is_active() else _ENDED)
            if not self.transport.is_active() or channel.exit_code is not None or channel.closed:
                raise self._why_not() if self.transport.is_active() else Turned(_UNSENT)
        self._probe()

    def _probe(self) -> None:
        if self.transport.silent_seconds() < _PROBE_AFTER_SECONDS:
            self._probed_at = None
        elif self._probed_at is None:
            self._probed_at = time.monotonic()
            try:
                self.transport.send_probe()
            except SEND_FAILURES:
                self.transport.abort()
        elif time.monotonic() >= self._probed_at + _PROBE_LIMIT_SECONDS:
            self.transport.abort()
            raise Gone(_SILENT)
