"""One durable command, followed over as many connections as it takes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from opsconsole.jobs.ports import (
    Detached,
    Dropped,
    Event,
    Output,
    RemoteCommand,
    RemoteProcess,
    Session,
    Skipped,
    Spool,
    Stream,
    Unreached,
)
from opsconsole.sentences import Sentence, joined

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


class Reattaching:
    """See ``opsconsole.jobs.ports.RemoteProcess``. A connection that ends is no end of the command.

    Another one goes on behind the last byte that arrived. ``Dropped`` comes only when there was none until
    ``give_up_at`` (monotonic).
    """

    def __init__(
        self,
        command: RemoteCommand,
        kept: Spool,
        session: Session | None,
        connect: Callable[[], Session | Unreached],
        give_up_at: float,
    ) -> None:
        self._command = command
        self._kept = kept
        self.session = session
        self._connect = connect
        self._give_up_at = give_up_at
        self._seen = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self._order: tuple[str, float | None] | None = None
        self._process: RemoteProcess | None = None
        self._detail = "The host could not be reached again."

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what happens; while there is no connection ``Detached``, except as long as one is being made."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if self.session is None:
                yield from _silence(pause, poll_seconds)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                self._reach()
            if self.session is not None:
                for event in self._follow(self.session, poll_seconds):
                    if isinstance(event, Dropped):
                        self._detail = event.detail
                        break
                    if isinstance(event, Output | Skipped):
                        pause = _FIRST_PAUSE_SECONDS
                    yield event
                else:
                    return
                self.close(keep=False)
            if time.monotonic() >= self._give_up_at:
                yield Dropped(
                    joined(" ", [self._detail, Sentence("The host was tried again until the command's time was over.")])
                )
                return

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Gives an order to the command's process group; without a connection, as soon as there is one."""
        self._order = name, grace
        if self._process is not None:
            self._process.signal(name, grace=grace)

    def forget(self) -> None:
        """Has the host remove what it keeps of the command, whose result is stored."""
        if self.session is not None:
            self.session.forget(self._command.mark, self._command.become)

    def close(self, *, keep: bool) -> None:
        """Ends the connection there is, or gives it back."""
        self._process = None
        session, self.session = self.session, None
        if session is not None:
            session.close(keep=keep)

    def _follow(self, session: Session, poll_seconds: float) -> Iterator[Event]:
        kept = replace(self._kept, stdout=self._seen[Stream.STDOUT], stderr=self._seen[Stream.STDERR])
        self._process = session.start(replace(self._command, spool=kept))
        # Whatever becomes of this start, a second one could only be a second run.
        self._kept = replace(self._kept, attach=True)
        if self._order is not None:
            name, grace = self._order
            self._process.signal(name, grace=grace)
        for event in self._process.events(poll_seconds):
            if isinstance(event, Output):
                self._seen[event.stream] += len(event.data)
            elif isinstance(event, Skipped):
                self._seen[event.stream] += event.size
            yield event

    def _reach(self) -> None:
        answer = self._connect()
        if isinstance(answer, Unreached):
            self._detail = answer.detail
        else:
            self.session = answer


def _silence(seconds: float, poll_seconds: float) -> Iterator[Event]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, poll_seconds))
        yield Detached()
