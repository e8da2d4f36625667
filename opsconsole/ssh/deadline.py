"""Deadlines on the monotonic clock, for news that may come, and for a call that knows no time-out."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadline:
    """A point in time, ``seconds`` from its making."""

    __slots__ = ("_at", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then, never negative."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """True when no time is left."""
        return time.monotonic() >= self._at


def news(wake: threading.Event, condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until what sets ``wake`` makes ``condition`` true, ``seconds`` at most; returns whether it is."""
    give_up = Deadline(seconds)
    while not condition():
        if give_up.passed:
            return False
        wake.clear()
        if not condition():
            wake.wait(give_up.left)
    return True


class _Outcome(Generic[T]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: T | None = None
        self.error: OSError | None = None


def within(deadline: Deadline, call: Callable[[], T]) -> T:
    """Returns what ``call`` returns, or raises ``TimeoutError`` at the deadline; an ``OSError`` of the call is raised.

    For C calls that cannot be told to stop, such as name resolution: at the deadline the helper thread (under gevent
    a greenlet) is left behind and ends with the call.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = call()
        except OSError as error:
            outcome.error = error
        finally:
            outcome.done.set()

    threading.Thread(target=run, daemon=True, name="ssh-within").start()
    if not outcome.done.wait(deadline.left):
        raise TimeoutError
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # Set when there is no error; T itself may include None.
