"""What a command with its guard needs of the way to its host, be that SSH or a program on this machine."""

import threading
from collections.abc import Callable
from typing import Protocol

from opsconsole.jobs.ports import Stream


class LineChannel(Protocol):
    """One program on the host: what it writes comes by ``take``, what it reads goes by ``send``.

    ``wake`` is set at every piece of news. Sending raises one of ``channel.SEND_FAILURES`` when the program is gone.
    """

    wake: threading.Event

    @property
    def opened(self) -> bool:
        """Whether a program can be started."""

    @property
    def open_refusal(self) -> int | None:
        """Why none can be, by the code of RFC 4254 5.1."""

    @property
    def exec_accepted(self) -> bool | None:
        """Whether the program was started; ``None`` while nothing is known."""

    @property
    def exit_code(self) -> int | None:
        """How it ended, ``None`` while it has not, or ended by a signal."""

    @property
    def exit_signal(self) -> str | None:
        """The signal that it ended by."""

    @property
    def eof_received(self) -> bool | int:
        """Whether it will write nothing more."""

    @property
    def peer_closed(self) -> bool:
        """Whether all of it is over at the host."""

    @property
    def closed(self) -> bool | int:
        """Whether nothing more comes, for one reason or another."""

    @property
    def has_output(self) -> bool:
        """Whether ``take`` has something to give."""

    def take(self) -> tuple[Stream, bytes] | None:
        """Returns the next output, or ``None``."""

    def send(self, s: bytes) -> int:
        """Sends what there is room for and returns how much that was. Raises ``TimeoutError`` when there is none."""

    def sendall(self, s: bytes) -> None:
        """Sends all of a few bytes."""

    def request_exec(self, command: str) -> None:
        """Starts the program that the shell's line ``command`` means."""

    def answered(self) -> bool:
        """Returns whether it is known if a program can be started."""

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until news make ``condition`` true; returns whether it is."""

    def close(self) -> None:
        """Ends the channel."""


class Line(Protocol):
    """The way to a host, over which programs are started."""

    def open_run_channel(self, wake: threading.Event | None = None) -> LineChannel:
        """Asks for a channel without waiting for the answer."""

    def is_active(self) -> bool:
        """Returns whether it is still there."""

    def abort(self) -> None:
        """Ends it at once, with all its channels."""

    def silent_seconds(self) -> float:
        """Returns for how long nothing has been heard."""

    def send_probe(self) -> None:
        """Asks for a sign of life."""
