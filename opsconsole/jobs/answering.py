"""What a worker process is asked by messages besides runs: each question once at a time, none while it stops."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_IDLE_POLL_SECONDS = 0.05


class Answerer:
    """Knows which questions are being answered in the threads (or greenlets) that call it."""

    def __init__(self) -> None:
        self._in_hand: set[int] = set()
        self._lock = threading.Lock()
        # Set when the process stops: it takes no further question.
        self.draining = threading.Event()

    @contextmanager
    def taken(self, number: int) -> Iterator[bool]:
        """Yields whether the question ``number`` is the caller's to answer: it is not when its message is repeated."""
        with self._lock:
            mine = not self.draining.is_set() and number not in self._in_hand
            if mine:
                self._in_hand.add(number)
        try:
            yield mine
        finally:
            if mine:
                with self._lock:
                    self._in_hand.discard(number)

    def await_idle(self) -> None:
        """Returns once no question is being answered. Only a draining one ever comes to that."""
        while self._in_hand:
            time.sleep(_IDLE_POLL_SECONDS)
