"""Many small writes of one process in few transactions: a commit costs the same for one row and for a hundred.

Under gevent the writing itself must happen in a native thread, because a C call that waits for the database would
stop every greenlet; the caller says how by ``offload``.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from opsconsole.errors import Unavailable

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Written = tuple[Sequence[Result], Callable[[], None] | None]


class Posted(Generic[Item, Result]):
    """An item on its way to the database. ``done`` is set once it is committed or could not be."""

    __slots__ = ("done", "error", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def answer(self) -> Result:
        """Returns the item's result once it is committed. Raises what ``write`` raised for it."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # Set together with ``done`` unless there is an error.


class GroupCommit(Generic[Item, Result]):
    """Gathers what many threads submit and has ``write`` commit it together.

    ``write`` takes items and returns, from one committed transaction, a result for each and what to do next. That is
    called outside ``offload`` before those who wait go on, so it must be quick. ``offload`` runs a callable and returns
    its result; ``most`` bounds a group; ``linger`` is how many seconds a busy writer waits for company.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Written[Result]],
        *,
        offload: Callable[[Callable[[], Written[Result]]], Written[Result]],
        most: int = 500,
        linger: float = 0.02,
    ) -> None:
        self._write = write
        self._offload = offload
        self._most = most
        self._linger = linger
        self._queue: deque[Posted[Item, Result]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> Result:
        """Returns ``item``'s result once it is committed. Raises what ``write`` raised for it."""
        return self.post(item).answer()

    def post(self, item: Item) -> Posted[Item, Result]:
        """Sends ``item`` on its way and returns at once. Items are committed in the order they were posted."""
        posted: Posted[Item, Result] = Posted(item)
        self._queue.append(posted)
        self._wake.set()
        return posted

    def close(self) -> None:
        """Commits what was submitted and ends the writer."""
        self._closing.set()
        self._wake.set()
        self._thread.join()

    def _loop(self) -> None:
        busy = False
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                # Under load company is sure to come; one who waits alone is served at once.
                if busy and len(self._queue) < self._most // 8 and not self._closing.is_set():
                    self._closing.wait(self._linger)
                group = [self._queue.popleft() for _ in range(min(len(self._queue), self._most))]
                busy = len(group) > 1
                self._commit(group)
            if self._closing.is_set():
                return

    def _commit(self, group: list[Posted[Item, Result]]) -> None:
        after: Callable[[], None] | None = None
        try:
            results, after = self._offload(lambda: self._write([waiting.item for waiting in group]))
        except Exception as error:  # noqa: BLE001 - whatever fails belongs to those who wait, not to the writer.
            if len(group) > 1 and not isinstance(error, Unavailable):
                # One faulty item must not fail its neighbours.
                for waiting in group:
                    self._commit([waiting])
                return
            for waiting in group:
                waiting.error = error
        else:
            for waiting, result in zip(group, results, strict=True):
                waiting.result = result
        if after is not None:
            try:
                after()
            except Exception:  # noqa: BLE001 - whatever it is, the writer goes on.
                # Without this thread nothing of this process would ever be written again.
                _log.exception("what follows a commit failed")
        for waiting in group:
            waiting.done.set()
