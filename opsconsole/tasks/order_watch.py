"""Where a worker process learns that a run in hand is to be ended."""

import threading
from collections.abc import Callable
from typing import Any

import structlog

from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.jobs import orders
from opsconsole.jobs.perform import Performer

_log = structlog.get_logger(__name__)


class OrderWatch:
    """Looks every ``seconds`` whether the runs in hand are to be ended, and at once after ``kick``.

    It only reads, on a connection of its own: whoever writes may wait long for a database that somebody else holds,
    and a cancel must end the command meanwhile.
    """

    def __init__(
        self,
        database: Database,
        performer: Performer,
        *,
        seconds: float,
        offload: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._database = database
        self._performer = performer
        self._seconds = seconds
        self._offload = offload
        self._kicked = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="orders", daemon=True)

    def start(self) -> None:
        """Starts to look."""
        self._thread.start()

    def kick(self) -> None:
        """Asks for a look now."""
        self._kicked.set()

    def stop(self) -> None:
        """Ends the looking."""
        self._stop.set()
        self._kicked.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        silent = False
        while not self._stop.is_set():
            self._kicked.wait(self._seconds)
            self._kicked.clear()
            if self._stop.is_set() or not self._performer.busy:
                continue
            try:
                self._performer.cancel(self._offload(self._read))
                silent = False
            except Unavailable as error:
                if not silent:
                    _log.warning("orders cannot be read", reason=error.detail)
                silent = True
            except Exception:  # noqa: BLE001 - one bad look must not make this process deaf.
                _log.exception("look for orders failed")

    def _read(self) -> dict[int, orders.CancelOrder]:
        with self._database.read() as session:
            return orders.cancels(session, self._performer.in_hand())
