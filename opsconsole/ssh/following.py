"""How one thread follows what runs over a channel, be it a guarded command or a device's terminal."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from opsconsole.jobs.ports import Dropped, Event, Exited, Idle, NotStarted
from opsconsole.jobs.raw import RawEnded
from opsconsole.ssh.line import LineChannel

Ending = TypeVar("Ending", bound=Exited | RawEnded | Dropped | NotStarted)


class Followed(ABC, Generic[Ending]):
    """What runs over ``_channel``, which may become another one on the way. ``outcome`` is set once it has ended."""

    _channel: LineChannel
    outcome: Ending | None = None

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields output and news in the order they came, ``Idle`` when there was none for ``poll_seconds``, and at last
        how it ended."""
        due = time.monotonic() + poll_seconds
        while self.outcome is None:
            self._channel.wake.clear()
            self._go_on()
            # Asked before the output is read: what arrived before the end is then read before the end is told.
            outcome = self._verdict()
            for event in self._arrived(last=outcome is not None):
                yield event
                due = time.monotonic() + poll_seconds
            if outcome is not None:
                self.outcome = self._truthful(outcome)
                yield self.outcome
                return
            if not self._channel.has_output:
                self._channel.wake.wait(max(0.0, min(due, self._next_look()) - time.monotonic()))
            if time.monotonic() >= due:
                yield Idle()
                due = time.monotonic() + poll_seconds

    @abstractmethod
    def _go_on(self) -> None:
        """Takes the next step that the news allow."""

    @abstractmethod
    def _verdict(self) -> Ending | None:
        """Returns how it ended, if it has."""

    @abstractmethod
    def _arrived(self, *, last: bool) -> Iterator[Event]:
        """Yields what came since; with ``last`` also what was held back for more that now does not come."""

    @abstractmethod
    def _truthful(self, outcome: Ending) -> Ending:
        """Returns the outcome as it is to be told, now that all output was read."""

    @abstractmethod
    def _next_look(self) -> float:
        """Returns the monotonic time at which to look again without any news."""
