"""After an order to end: finds what escaped from the command's process group by the mark in its environment."""

import time

from opsconsole.ssh import lease
from opsconsole.ssh.transport import SEND_FAILURES, ClientTransport, RunChannel

_ANSWER_SECONDS = 1.5


class Sweep:
    """One look at the host over a channel of its own, sharing the wake-up of the run's channel.

    ``patience`` is how many seconds the escaped may still take to end by themselves before they are killed.
    """

    def __init__(self, transport: ClientTransport, run: RunChannel, mark: str, patience: float) -> None:
        self._transport = transport
        self._run = run
        self._refused = False
        self._line = lease.sweep_line(mark, patience)
        self._sent = False
        self._ended = False
        self.give_up_at = time.monotonic() + patience + _ANSWER_SECONDS
        self._channel: RunChannel | None = None
        self._open()

    @property
    def clean(self) -> bool:
        """True when the host said that nothing with the mark is left."""
        return self._channel is not None and self._channel.exit_code == 0

    def done(self) -> bool:
        """Takes the next step; returns whether there is nothing more to wait for. Never raises."""
        channel = self._channel
        if self._ended or channel is None:
            return True
        if channel.open_refusal is not None and not self._refused:
            # A server that allows one session opens the next one once the run's own is closed.
            if self._run.peer_closed:
                self._refused = True
                self._open()
            return time.monotonic() >= self.give_up_at
        refused = channel.open_refusal is not None or channel.exec_accepted is False or channel.closed
        if refused or channel.exit_code is not None or time.monotonic() >= self.give_up_at:
            self._ended = True
        try:
            if self._ended:
                channel.close()
            elif channel.opened and not self._sent:
                self._sent = True
                channel.request_exec(self._line)
            while channel.take():
                continue
        except SEND_FAILURES:
            self._ended = True
        return self._ended

    def _open(self) -> None:
        try:
            self._channel = self._transport.open_run_channel(self._run.wake)
        except SEND_FAILURES:
            self._ended = True
