"""The worker's way to the broker: messages are sent by a thread of their own, which also looks whether it answers.

A broker that is slow, frozen or full holds up nobody: neither the heartbeat nor an order to end a command waits for it.
What could not be sent is not kept here. The rows say that it waits, and are asked again once the broker answers.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from opsconsole.errors import Unavailable
from opsconsole.jobs.ports import Dispatcher
from opsconsole.jobs.states import BrokerFault

_log = structlog.get_logger(__name__)
_CLOSE_SECONDS = 2.0
# A look that takes longer than this will not be answered; on RabbitMQ it may never come back.
_HUNG_SECONDS = 8.0

Message = tuple[int, int]
Kind = TypeVar("Kind")


class Postbox:
    """Sends through ``dispatcher``, and asks ``look`` every ``look_seconds`` what is wrong with the broker.

    It implements the port ``Dispatcher``.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        look: Callable[[], BrokerFault | None],
        *,
        look_seconds: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._look = look
        self._look_seconds = look_seconds
        # A run's message need not wait here twice, however often it is handed in while the broker is away.
        self._waiting: dict[Message, None] = {}
        self._looks: dict[int, None] = {}
        self._scans: dict[int, None] = {}
        self._tests: dict[int, None] = {}
        self._to_attach: dict[Message, None] = {}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._fault: BrokerFault | None = None
        self._lost = False
        self._busy_since: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def fault(self) -> BrokerFault | None:
        """What is wrong with the broker, as far as this process knows."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > _HUNG_SECONDS:
            return BrokerFault.UNREACHABLE
        return self._fault

    def start(self, *, changed: Callable[[], None], back: Callable[[], None]) -> None:
        """Begins to send and to look.

        ``changed`` is called when another thing is wrong than before, ``back`` when the broker takes messages again
        after some were lost; both from the postbox's own thread.
        """
        self._thread = threading.Thread(target=self._run, args=(changed, back), name="postbox", daemon=True)
        self._thread.start()

    def publish(self, runs: Sequence[Message]) -> None:
        """Takes messages to be sent soon. Never blocks and never raises."""
        with self._lock:
            self._waiting.update(dict.fromkeys(runs))
        self._wanted.set()

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        """Takes questions to be sent soon. Never blocks and never raises."""
        with self._lock:
            self._looks.update(dict.fromkeys(run_ids))
        self._wanted.set()

    def publish_scans(self, scan_ids: Sequence[int]) -> None:
        """Takes questions about host keys to be sent soon. Never blocks and never raises."""
        with self._lock:
            self._scans.update(dict.fromkeys(scan_ids))
        self._wanted.set()

    def publish_tests(self, test_ids: Sequence[int]) -> None:
        """Takes connections to be tested soon. Never blocks and never raises."""
        with self._lock:
            self._tests.update(dict.fromkeys(test_ids))
        self._wanted.set()

    def attach(self, runs: Sequence[Message]) -> None:
        """Takes messages about commands that nobody follows, as ``publish`` does."""
        with self._lock:
            self._to_attach.update(dict.fromkeys(runs))
        self._wanted.set()

    def nudge(self) -> None:
        """Asks some worker to look for dispatchable runs now."""
        self._dispatcher.nudge()

    def close(self) -> None:
        """Sends what waits, unless that takes long, and ends."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _run(self, changed: Callable[[], None], back: Callable[[], None]) -> None:
        looked = float("-inf")
        while not self._closing.is_set():
            self._wanted.wait(self._look_seconds)
            self._wanted.clear()
            self._send()
            if time.monotonic() - looked >= self._look_seconds:
                self._note(self._asked(), changed, back)
                looked = time.monotonic()

    def _send(self) -> None:
        with self._lock:
            runs, self._waiting = list(self._waiting), {}
            looks, self._looks = list(self._looks), {}
            scans, self._scans = list(self._scans), {}
            tests, self._tests = list(self._tests), {}
            unattended, self._to_attach = list(self._to_attach), {}
        self._try(runs, self._dispatcher.publish)
        self._try(looks, self._dispatcher.publish_looks)
        self._try(scans, self._dispatcher.publish_scans)
        self._try(tests, self._dispatcher.publish_tests)
        self._try(unattended, self._dispatcher.attach)

    def _try(self, messages: Sequence[Kind], send: Callable[[Sequence[Kind]], None]) -> None:
        if not messages:
            return
        try:
            with self._timed():
                send(messages)
        except Unavailable as error:
            if not self._lost:
                _log.warning("messages not sent, the rows keep them", count=len(messages), reason=error.detail)
            self._lost = True

    def _asked(self) -> BrokerFault | None:
        with self._timed():
            return self._look()

    def _note(self, fault: BrokerFault | None, changed: Callable[[], None], back: Callable[[], None]) -> None:
        before, self._fault = self._fault, fault
        if fault is not before:
            _log.warning("the broker has changed", before=before, now=fault)
            changed()
        if fault not in _STOPS and (self._lost or before in _STOPS):
            self._lost = False
            back()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._busy_since = time.monotonic()
        try:
            yield
        finally:
            self._busy_since = None


_STOPS = frozenset({BrokerFault.UNREACHABLE, BrokerFault.FULL})
