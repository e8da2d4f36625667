"""One search of a host for the mark of a run, step by step, over a session channel of its own."""

import threading
import time

from opsconsole.jobs.ports import Become, Sight, Stream
from opsconsole.sentences import Sentence
from opsconsole.ssh import search
from opsconsole.ssh.channel import SEND_FAILURES
from opsconsole.ssh.line import Line, LineChannel
from opsconsole.ssh.passage import Passage

_REFUSED_SECONDS = 2.0
_REFUSED = Sentence("The server opened no second session to search for what the command left.")


class Sweep:
    """Call ``done`` at each wake-up until it says so; ``sight`` then holds the answer. Raises nothing, whatever comes.

    ``seconds`` is how long the host may take to answer beyond ``end``, see ``search.line``. ``run`` is the run's own
    channel: a server that allows one session opens the search's once that one is closed.
    """

    def __init__(
        self,
        transport: Line,
        mark: str,
        *,
        end: float | None,
        seconds: float,
        group: int = 0,
        run: LineChannel | None = None,
        channel: LineChannel | None = None,
        become: Become | None = None,
    ) -> None:
        self._transport = transport
        self._run = run
        self._wake = run.wake if run is not None else channel.wake if channel is not None else threading.Event()
        self._passage = Passage.to(become)
        self._line = search.line(mark, end=end, group=group, passage=self._passage)
        self._said = b""
        self._sent = False
        self._ended = False
        self._opened_again = False
        self._refused_at: float | None = None
        self.give_up_at = time.monotonic() + (end or 0.0) + seconds
        self._channel = channel or self._open()

    @property
    def sight(self) -> Sight:
        """What the host said so far."""
        channel = self._channel
        if channel is None or channel.open_refusal is not None:
            return Sight(problem=_REFUSED)
        if self._passage is not None and not self._passage.through:
            return Sight(problem=self._passage.refusal or self._passage.why_not(channel.exit_code, None))
        return search.read(self._said, channel.exit_code)

    def done(self) -> bool:
        """Takes the next step; returns whether there is nothing more to wait for."""
        if self._ended or self._channel is None:
            return True
        try:
            self._ended = self._step(self._channel) or time.monotonic() >= self.give_up_at
            if self._ended and self._channel is not None:
                self._channel.close()
        except SEND_FAILURES:
            self._ended = True
        return self._ended

    def wait(self) -> Sight:
        """Returns the answer once it is there or the time is over."""
        while not self.done():
            self._wake.clear()
            if not self.done():
                self._wake.wait(max(0.0, self.give_up_at - time.monotonic()))
        return self.sight

    def _step(self, channel: LineChannel) -> bool:
        if channel.open_refusal is not None:
            return self._stays_refused()
        if channel.opened and not self._sent:
            self._sent = True
            channel.request_exec(self._line)
        # Asked before the output is read: what came before the end is then read before the end is told.
        ended = channel.exit_code is not None and bool(channel.eof_received or channel.peer_closed)
        while piece := channel.take():
            if self._passage is not None and not self._passage.through:
                self._passage.answer(channel, *piece)
            if piece[0] is Stream.STDOUT:
                self._said = (self._said + piece[1])[: search.MOST_BYTES]
        if self._passage is not None and self._passage.refusal is not None:
            return True
        return ended or channel.exec_accepted is False or bool(channel.closed) or not self._transport.is_active()

    def _stays_refused(self) -> bool:
        """A session refused because the run's own is open may be had once that is closed: which what the command left
        may hold up for ever. Returns whether there is nothing to wait for."""
        now = time.monotonic()
        self._refused_at = self._refused_at or now
        if self._run is None or self._opened_again or not self._transport.is_active():
            return True
        if not self._run.peer_closed:
            return now >= self._refused_at + _REFUSED_SECONDS
        self._opened_again = True
        self._channel = self._open()
        return False

    def _open(self) -> LineChannel | None:
        try:
            return self._transport.open_run_channel(self._wake)
        except SEND_FAILURES:
            return None
