"""One running remote command: its output as it comes, how it ended, and the orders that end it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from opsconsole.jobs.ports import (
    Become,
    Dropped,
    Event,
    Exited,
    NotStarted,
    Output,
    Stream,
)
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh import failures, lease, search
from opsconsole.ssh.channel import SEND_FAILURES, WINDOW
from opsconsole.ssh.following import Followed
from opsconsole.ssh.line import Line, LineChannel
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.pulse import Pulse
from opsconsole.ssh.sweep import Sweep

# After the exit status, how long output may stay open before what keeps it open is called a left child.
_EOF_WAIT_SECONDS = 2.0
# KILL leaves the guard no choice; one that has not ended so long after it does not listen.
_DEAF_SECONDS = 1.0
# What escaped the process group has at least this long between TERM and KILL; then the host has so long to answer.
_LEAST_PATIENCE_SECONDS = 0.4
_SEARCH_SECONDS = search.KILL_SECONDS + 3.0
# How long ``sudo`` and what it asks may take to let us through, beyond the answer to the exec request.
_PASSAGE_SECONDS = 30.0

_TURNED_AWAY = "The other account could not be reached."
_UNSENT = "The connection ended before the command was sent."
_NO_SESSION = "The server did not open a session in time."
_EXEC_REFUSED = "The server refused to run a command."
_NO_REPLY = "The server did not answer the order to run the command."
_SILENT = "The host stopped answering."
_ENDED = "The connection ended before the command's result came."
_HINT = "Its login shell, or a command forced on this key, does not run what it is given."
_UNSEARCHED = Sentence("The connection ended before the host could be searched for what it left.")
_CLOSED = "The server closed the session without an exit status."

Outcome = Exited | Dropped | NotStarted


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to run a command: the exec ``line``, then ``stdin``; its ``mark`` and ``grace`` in seconds.

    With a ``passage`` to the account ``become`` stdin waits until that let us through.
    """

    line: str
    stdin: bytes
    mark: str
    grace: float
    become: Become | None = None
    passage: Passage | None = None


class SshProcess(Followed[Outcome]):
    """A command on a session channel, behind the guard. One thread iterates ``events``; any may call ``signal``."""

    def __init__(self, transport: Line, channel: LineChannel, request: Request, answer_seconds: float) -> None:
        self._transport = transport
        self._channel = channel
        self._exec_line = request.line
        self._stdin = request.stdin
        self._stdin_lock = threading.Lock()
        self._started = lease.StartedFilter(request.mark)
        self._mark = request.mark
        self._become = request.become
        self._passage = request.passage
        self._grace = request.grace
        self._kill_at: float | None = None
        self._early_orders = b""
        self._sweep: Sweep | None = None
        self._runs = False
        # The command's process group, once it is known.
        self.group = 0
        self._answer_seconds = answer_seconds
        self._answer_by = time.monotonic() + answer_seconds
        self._sent = False
        self._exited_at: float | None = None
        self._pulse = Pulse(transport)
        self._go_on()

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Sends an order to the guard; without effect once the command or the connection has ended.

        After an order the end of the command is told only when the host was searched for what may have escaped it.
        """
        if name not in lease.ORDERS:
            raise ValueError(f"no such order: {name}")
        line = name.encode("ascii") + b"\n"
        with self._stdin_lock:
            if name == "KILL":
                self._kill_at = time.monotonic()
            elif self._kill_at is None:
                self._kill_at = time.monotonic() + (self._grace if grace is None else grace)
            if self._runs or name == "KILL":
                self._stdin += line
            else:
                # Until the guard reports the start it is deaf to all but KILL.
                self._early_orders += line
        self._feed_stdin()

    def _begun(self, group: int) -> None:
        with self._stdin_lock:
            self._runs = True
            self.group = group
            self._stdin += self._early_orders
        self._feed_stdin()

    def _go_on(self) -> None:
        """Takes the next step that the server's news allow: exec once the channel is open, then the script."""
        if not self._sent:
            if not self._channel.opened or self._channel.closed or not self._transport.is_active():
                return
            self._sent = True
            self._answer_by = time.monotonic() + self._answer_seconds
            self._try_send(lambda: self._channel.request_exec(self._exec_line))
        self._feed_stdin()
        self._pulse.feel()

    def _feed_stdin(self) -> None:
        with self._stdin_lock:
            if self._shut:
                return
            while self._stdin and self._sent and not self._channel.closed:
                try:
                    count = self._channel.send(self._stdin)
                except TimeoutError:
                    # The window is shut; the server's next adjustment wakes us.
                    return
                except SEND_FAILURES:
                    self._transport.abort()
                    return
                if not count:
                    return
                self._stdin = self._stdin[count:]

    def _try_send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except SEND_FAILURES:
            self._transport.abort()

    def _arrived(self, *, last: bool) -> Iterator[Event]:
        # No more than could have been waiting: a child left behind may write faster than we read, for ever.
        budget = 2 * WINDOW
        while budget > 0 and (piece := self._channel.take()):
            stream, data = piece
            budget -= len(data)
            if self._passage is not None:
                before, data = self._through(self._passage, stream, data)
                if before:
                    yield Output(stream, before)
            if stream is Stream.STDERR:
                if data:
                    yield Output(stream, data)
                continue
            before, started, after = self._started.feed(data)
            if before:
                yield Output(Stream.STDOUT, before)
            if started is not None:
                self._begun(started.pid)
                yield started
            if after:
                yield Output(Stream.STDOUT, after)
        if last and self._passage is not None:
            yield from self._held_back(self._passage)
        if last and (held := self._started.rest()):
            yield Output(Stream.STDOUT, held)

    def _through(self, passage: Passage, stream: Stream, data: bytes) -> tuple[bytes, bytes]:
        """Takes output that may still be of the passage; returns what came before it and what is of the command."""
        if passage.through and (stream is Stream.STDOUT or not passage.holds):
            return b"", data
        if stream is Stream.STDERR:
            shown, answer = passage.err(data)
            if answer:
                # A window is open from the start, and a password fits in it.
                self._try_send(lambda: self._channel.sendall(answer))
            return shown, b""
        before, after = passage.out(data)
        if passage.through:
            self._feed_stdin()
        return before, after

    def _held_back(self, passage: Passage) -> Iterator[Event]:
        for stream, held in ((Stream.STDOUT, passage.unheard()), (Stream.STDERR, passage.rest())):
            if held:
                yield Output(stream, held)

    @property
    def _shut(self) -> bool:
        """Whether the way to the other account is not open (yet): nothing was sent to it, so nothing ran."""
        return self._passage is not None and not self._passage.through

    def _turned_away(self) -> Outcome | None:
        """Returns the outcome once what should let us through has ended."""
        channel = self._channel
        if self._exited_at is None:
            self._exited_at = time.monotonic()
        ended = bool(channel.eof_received or channel.closed or not self._transport.is_active())
        if not ended and time.monotonic() < self._exited_at + _EOF_WAIT_SECONDS:
            return None
        return NotStarted(_TURNED_AWAY, Reason.RUN_AS)

    def _held_up(self, passage: Passage, now: float) -> Outcome | None:
        """Returns the outcome when it will not let us through, or we wait no longer."""
        if self._kill_at is not None and now >= self._kill_at:
            return self._give_up(Exited(None, "KILL"))
        if passage.refusal is not None:
            return self._give_up(NotStarted(passage.refusal, Reason.RUN_AS))
        if now >= self._answer_by + _PASSAGE_SECONDS:
            return self._give_up(NotStarted(str(passage.why_not(None, None)), Reason.RUN_AS))
        return None

    def _verdict(self) -> Outcome | None:
        channel = self._channel
        if channel.exit_code is not None or channel.exit_signal is not None:
            return self._turned_away() if self._shut else self._exited()
        if not self._sent:
            return self._not_started()
        if channel.exec_accepted is False:
            return NotStarted(_EXEC_REFUSED)
        if channel.peer_closed:
            return Dropped(_CLOSED)
        if channel.closed or not self._transport.is_active():
            return Dropped(_ENDED)
        now = time.monotonic()
        if channel.exec_accepted is None and now >= self._answer_by:
            return self._give_up(Dropped(_NO_REPLY))
        if self._pulse.gone:
            return self._give_up(Dropped(_SILENT))
        if self._kill_at is not None and now >= self._kill_at + _DEAF_SECONDS:
            # The guard itself may have been stopped or killed; the search then ends what it no longer can.
            self._swept()
        return self._held_up(self._passage, now) if self._passage and self._shut else None

    def _truthful(self, outcome: Outcome) -> Outcome:
        """An exit without the guard's line is somebody else's exit: the line is written before the script begins."""
        if isinstance(outcome, NotStarted) and self._passage is not None and self._exited_at is not None:
            # What it said was read since.
            why = self._passage.why_not(self._channel.exit_code, self._channel.exit_signal)
            return replace(outcome, detail=why)
        if not isinstance(outcome, Exited) or self._runs or self._shut:
            return outcome
        if outcome.signal:
            how = Sentence("signal {signal}", signal=outcome.signal)
        else:
            how = Sentence("exit status {status}", status=outcome.status)
        ended = Sentence("The host ended the session before the command began ({how}).", how=how)
        return NotStarted(joined(" ", [ended, Sentence(_HINT)]))

    def _exited(self) -> Exited | None:
        channel = self._channel
        if not self._swept():
            return None
        if self._exited_at is None:
            self._exited_at = time.monotonic()
        ended = bool(channel.eof_received or channel.closed or not self._transport.is_active())
        if not ended and time.monotonic() < self._exited_at + _EOF_WAIT_SECONDS:
            return None
        doubt = self._doubt()
        left = not ended or (self._sweep is not None and doubt is not None)
        return Exited(channel.exit_code, channel.exit_signal, left_children=left, doubt=doubt)

    def _swept(self) -> bool:
        """After an order, has what escaped from the process group ended too; returns whether that is over."""
        if self._kill_at is None or not self._runs or not self._transport.is_active():
            return True
        if self._sweep is None:
            # What escaped has had no TERM yet and gets the time for it that the group had, a moment at least.
            patience = max(_LEAST_PATIENCE_SECONDS, self._kill_at - time.monotonic())
            self._sweep = Sweep(
                self._transport,
                self._mark,
                end=patience,
                seconds=_SEARCH_SECONDS,
                group=self.group,
                run=self._channel,
                become=self._become,
            )
        return self._sweep.done()

    def _doubt(self) -> str | None:
        if self._kill_at is None or not self._runs:
            return None
        if self._sweep is None:
            return _UNSEARCHED
        sight = self._sweep.sight
        return None if sight.clear else sight.words

    def _not_started(self) -> NotStarted | None:
        if self._channel.open_refusal is not None:
            return NotStarted(failures.open_refused(self._channel.open_refusal))
        if self._channel.closed or not self._transport.is_active():
            return NotStarted(_UNSENT)
        if time.monotonic() >= self._answer_by:
            self._transport.abort()
            return NotStarted(_NO_SESSION)
        return None

    def _give_up(self, outcome: Outcome) -> Outcome:
        self._transport.abort()
        return outcome

    def _next_look(self) -> float:
        """Returns the monotonic time of the next deadline of our own."""
        if self._exited_at is not None:
            return self._exited_at + _EOF_WAIT_SECONDS
        if self._sweep is not None:
            return self._sweep.give_up_at
        look = self._pulse.next_look
        return min(look, self._answer_by) if self._channel.exec_accepted is None else look
