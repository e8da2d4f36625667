"""A command given to a device over a terminal: in one exec request, or typed line by line at its prompt.

A command is given once: what a server took as an exec request is never typed as well. See ``opsconsole.jobs.raw``.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto

from opsconsole.jobs.ports import Dropped, Event, NotStarted, Output, Stream
from opsconsole.jobs.raw import RawCommand, RawEnded
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh import failures
from opsconsole.ssh.channel import SEND_FAILURES, WINDOW, RunChannel
from opsconsole.ssh.following import Followed
from opsconsole.ssh.pulse import Pulse
from opsconsole.ssh.screen import Screen, Shown
from opsconsole.ssh.transport import ClientTransport

# Wide enough that an echo is seldom wrapped, long enough that a pager that asks for the size has nothing to do.
_COLUMNS, _ROWS = 511, 1000
# After so much silence the open line is judged; after the longer one it is output that may go on.
_QUIET_SECONDS = 0.2
_STILL_SECONDS = 1.0
# How long the first prompt may take, beyond the time to connect, and a device to close after ``exit``.
_PROMPT_SECONDS = 15.0
_EXIT_SECONDS = 4.0
_EOF_WAIT_SECONDS = 2.0
# Each leaves one mode of a device's command line.
_MOST_EXITS = 4
_INTERRUPT = b"\x03"
_SHOWN_CHARS = 160

_REFUSED = "The device refused to run a command and to open a shell."
_NO_SESSION = "The server did not open a session in time."
_NO_REPLY = "The server did not answer the order to run the command."
_UNSENT = "The connection ended before the command was sent."
_ENDED = "The connection ended before the command's result came."
_SILENT = "The host stopped answering."
_UNTOLD = Sentence("The device closed the session and told no exit status.")
_LEFT = Sentence("The device told no exit status; the session was closed at its prompt.")
_DOUBT = Sentence(
    "^C was sent and the session closed, but the device did not tell that the command ended: it may go on."
)

Outcome = RawEnded | Dropped | NotStarted


class _Phase(Enum):
    EXEC = auto()
    AWAITING_PROMPT = auto()
    TYPING = auto()
    LEAVING = auto()


class RawProcess(Followed[Outcome]):
    """See ``opsconsole.jobs.ports.RemoteProcess``. One thread iterates ``events``; any may call ``signal``."""

    def __init__(
        self, transport: ClientTransport, channel: RunChannel, command: RawCommand, answer_seconds: float
    ) -> None:
        self._transport = transport
        self._channel: RunChannel = channel
        self._command = command.text.strip("\n")
        self._lines = deque(line for line in self._command.split("\n") if line.strip())
        self._screen = Screen(command.manners)
        self._pulse = Pulse(transport)
        self._phase = _Phase.EXEC
        self._answer_seconds = answer_seconds
        self._answer_by = time.monotonic() + answer_seconds
        # ``_anew``: the channel is the second one, and what it is refused is refused for good.
        self._sent = self._typed_any = self._anew = False
        self._exits = 0
        self._heard_at = self._typed_at = time.monotonic()
        self._exited_at: float | None = None
        self._orders: set[str] = set()
        self._interrupted = False
        if command.typed:
            self._await_prompt()
        self._go_on()

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Sends ^C, or for ``KILL`` closes the connection. The device decides what comes of it."""
        self._orders.add(name)
        self._channel.wake.set()

    # -- What is sent -----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Takes the next step that the server's news allow."""
        channel = self._channel
        if not self._sent:
            if not channel.opened or channel.closed or not self._transport.is_active():
                return
            self._sent = True
            self._answer_by = time.monotonic() + self._answer_seconds
            if channel.pty_granted is None:
                self._try_send(lambda: channel.request_pty(_COLUMNS, _ROWS))
            self._try_send(channel.request_shell if self._typing else lambda: channel.request_exec(self._command))
        if self._refused:
            self._turn_to_the_shell()
            return
        self._obey()
        if time.monotonic() >= self._heard_at + _QUIET_SECONDS:
            self._answer_what_is_shown()
        self._pulse.feel()

    def _turn_to_the_shell(self) -> None:
        """What was asked was refused, so nothing ran: a shell is asked for, at last on a channel of its own.

        Some devices have one channel and no more; some servers close a channel whose request they refused, or take no
        second one on it.
        """
        if not self._typing and not self._channel.closed:
            self._await_prompt()
            self._answer_by = time.monotonic() + self._answer_seconds
            self._try_send(self._channel.request_shell)
            return
        self._await_prompt()
        self._anew, self._sent = True, False
        self._answer_by = time.monotonic() + self._answer_seconds
        try:
            self._channel.close()
            self._channel = self._transport.open_run_channel(self._channel.wake)
        except SEND_FAILURES:
            self._transport.abort()

    def _await_prompt(self) -> None:
        self._phase = _Phase.AWAITING_PROMPT
        self._screen.expect_banner()

    @property
    def _refused(self) -> bool:
        """Whether what was asked on the first channel was refused, in words or by closing it: nothing ran there."""
        channel = self._channel
        closed = self._typing and channel.exec_accepted is None and channel.peer_closed
        return self._sent and not self._anew and (channel.exec_accepted is False or closed)

    @property
    def _typing(self) -> bool:
        return self._phase is not _Phase.EXEC

    def _obey(self) -> None:
        if "KILL" in self._orders:
            self._transport.abort()
        elif self._orders and not self._interrupted:
            self._interrupted = True
            if self._typed_any or not self._typing:
                self._write(_INTERRUPT)

    def _answer_what_is_shown(self) -> None:
        match self._screen.ask():
            case Shown.PAGER:
                self._screen.answered_pager()
                self._write(b" ")
            case Shown.PROMPT if self._typing and self._channel.exec_accepted:
                self._at_prompt()

    def _at_prompt(self) -> None:
        if self._phase is _Phase.AWAITING_PROMPT:
            self._screen.end_banner()
            self._phase = _Phase.TYPING
        self._screen.drop_open()
        if self._lines and not self._interrupted and self._screen.fault is None and self._phase is _Phase.TYPING:
            self._type(self._lines.popleft())
        elif self._exits < _MOST_EXITS:
            self._phase = _Phase.LEAVING
            self._exits += 1
            self._type("exit")
        else:
            self._hang_up()

    def _type(self, line: str) -> None:
        self._typed_any = True
        self._screen.sent(line)
        # What a person's Enter key sends; a device that has no terminal for us gets a plain newline.
        self._write(line.encode() + (b"\n" if self._channel.pty_granted is False else b"\r"))

    def _write(self, data: bytes) -> None:
        self._heard_at = self._typed_at = time.monotonic()
        # A line fits in any window; a device that does not take it in time is not worth waiting for.
        self._channel.settimeout(self._answer_seconds)
        self._try_send(lambda: self._channel.sendall(data))
        self._channel.settimeout(0.0)

    def _hang_up(self) -> None:
        self._try_send(self._channel.close)

    def _try_send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except SEND_FAILURES:
            self._transport.abort()

    # -- What arrives -----------------------------------------------------------------------------------------------

    def _arrived(self, *, last: bool) -> Iterator[Event]:
        budget = 2 * WINDOW
        while budget > 0 and (piece := self._channel.take()):
            # A terminal has one stream.
            data = piece[1]
            budget -= len(data)
            self._heard_at = time.monotonic()
            if out := self._screen.feed(data):
                yield Output(Stream.STDOUT, out)
        still = time.monotonic() >= self._heard_at + _STILL_SECONDS
        if still and self._screen.ask() is Shown.TEXT and (out := self._screen.take_open()):
            yield Output(Stream.STDOUT, out)
        if last and (rest := self._screen.rest()):
            yield Output(Stream.STDOUT, rest)

    def _verdict(self) -> Outcome | None:
        channel, now = self._channel, time.monotonic()
        if self._refused and self._transport.is_active():
            return None
        if channel.exit_code is not None or channel.exit_signal is not None:
            return self._told(now)
        if channel.peer_closed or (channel.closed and self._phase is _Phase.LEAVING):
            return self._closed()
        if not self._transport.is_active() or channel.closed:
            return self._cut_off()
        if not self._sent or channel.exec_accepted is None:
            return self._unanswered(now)
        if channel.exec_accepted is False and self._anew:
            return self._give_up(NotStarted(_REFUSED))
        if self._pulse.gone:
            return self._give_up(Dropped(_SILENT))
        if self._phase is _Phase.AWAITING_PROMPT and now >= self._answer_by + _PROMPT_SECONDS:
            return self._give_up(NotStarted(self._no_prompt()))
        if self._phase is _Phase.LEAVING and now >= self._typed_at + _EXIT_SECONDS:
            self._hang_up()
        return None

    def _told(self, now: float) -> Outcome | None:
        """The device told how it ended; what it wrote may still be on its way."""
        channel = self._channel
        if self._exited_at is None:
            self._exited_at = now
        ended = channel.ended or not self._transport.is_active()
        if not ended and now < self._exited_at + _EOF_WAIT_SECONDS:
            return None
        return RawEnded(channel.exit_code, channel.exit_signal)

    def _closed(self) -> Outcome:
        if self._phase is _Phase.AWAITING_PROMPT:
            return self._untyped("The device closed the session before it showed a prompt; nothing was typed.")
        note = _UNTOLD if self._channel.peer_closed and not self._exits else _LEFT
        return RawEnded(None, note=note)

    def _cut_off(self) -> Outcome:
        if not self._sent:
            return self._untyped(_UNSENT)
        if self._phase is _Phase.AWAITING_PROMPT:
            return self._untyped("The connection ended before the device showed a prompt; nothing was typed.")
        if self._phase is _Phase.LEAVING:
            # Many devices answer ``exit`` with the end of the connection.
            return RawEnded(None, note=_LEFT)
        return RawEnded(None) if self._orders else Dropped(_ENDED)

    def _unanswered(self, now: float) -> Outcome | None:
        if self._channel.open_refusal is not None:
            return NotStarted(failures.open_refused(self._channel.open_refusal))
        if now < self._answer_by:
            return None
        if not self._sent:
            return self._give_up(self._untyped(_NO_SESSION))
        return self._give_up(self._untyped(_NO_REPLY) if self._typing else Dropped(_NO_REPLY))

    def _untyped(self, detail: str) -> Outcome:
        """Nothing was given to the device: neither does anything go on there."""
        return RawEnded(None) if self._orders else NotStarted(detail)

    def _no_prompt(self) -> str:
        shown = "".join(char if char.isprintable() else " " for char in self._screen.end_banner()[-_SHOWN_CHARS:])
        words = "The device showed nothing that looks like a prompt (setting raw_prompt); nothing was typed."
        return joined(" ", [words, Sentence("It showed: {shown}", shown=shown)]) if shown else words

    def _truthful(self, outcome: Outcome) -> Outcome:
        """Returns the outcome with what the device's words say of it, now that all of them were read."""
        if not isinstance(outcome, RawEnded):
            return outcome
        told = outcome.status is not None or outcome.signal is not None
        doubt = None
        if self._orders and not told and (self._typed_any or not self._typing):
            doubt = _DOUBT
        return RawEnded(outcome.status, outcome.signal, self._problem(), None if told else outcome.note, doubt)

    def _problem(self) -> str | None:
        left = len(self._lines) if self._typing else 0
        unsent = ("1 line was" if left == 1 else f"{left} lines were") + " not typed any more."
        if self._screen.fault is not None:
            told = f"The device said: {self._screen.fault}"
            return f"{told} · {unsent}" if left else told
        return f"The device ended the session early: {unsent}" if left else None

    def _give_up(self, outcome: Outcome) -> Outcome:
        self._transport.abort()
        return outcome

    def _next_look(self) -> float:
        """Returns the monotonic time of the next deadline of our own."""
        now = time.monotonic()
        looks = [self._pulse.next_look]
        if self._exited_at is not None:
            looks.append(self._exited_at + _EOF_WAIT_SECONDS)
        if self._channel.exec_accepted is None:
            looks.append(self._answer_by)
        if self._phase is _Phase.AWAITING_PROMPT:
            looks.append(self._answer_by + _PROMPT_SECONDS)
        if self._phase is _Phase.LEAVING:
            looks.append(self._typed_at + _EXIT_SECONDS)
        looks += [self._heard_at + pause for pause in (_QUIET_SECONDS, _STILL_SECONDS)]
        return min((look for look in looks if look > now), default=now + _STILL_SECONDS)
