"""Hands work to workers through the broker."""

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from celery import Celery
from kombu import Producer
from kombu.exceptions import KombuError
from kombu.serialization import dumps as serialize
from kombu.utils.json import dumps

from opsconsole import crash
from opsconsole.crash import CrashPoint
from opsconsole.errors import Unavailable
from opsconsole.tasks.app import ATTACH_TASK, DISPATCH_TASK, LOOK_TASK, QUEUE, RUN_TASK, SCAN_TASK, TEST_TASK

_log = structlog.get_logger(__name__)
# A nudge that nobody could take within this long is of no use: the sweep was faster.
_NUDGE_EXPIRES_SECONDS = 5


class CeleryDispatcher:
    """Publishes run ids. One per process; safe to use from many threads."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        transport = app.connection()
        self._redis = transport.transport_cls in {"redis", "rediss", "redis+socket"}
        self._faults: tuple[type[BaseException], ...] = (
            KombuError,
            OSError,
            *transport.connection_errors,
            *transport.channel_errors,
        )
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        """Sends one message per ``(host_run_id, attempt)``. Raises ``Unavailable`` when the broker does not answer."""
        crash.passing(CrashPoint.BEFORE_PUBLISH)
        self._send(RUN_TASK, runs)
        crash.passing(CrashPoint.AFTER_PUBLISH)

    def attach(self, runs: Sequence[tuple[int, int]]) -> None:
        """Sends one message per ``(host_run_id, fence)`` of commands that nobody follows; raises as ``publish``."""
        self._send(ATTACH_TASK, runs)

    def _send(self, task: str, runs: Sequence[tuple[int, int]]) -> None:
        try:
            with self._app.producer_or_acquire() as producer:
                if self._redis:
                    self._push_together(producer, task, runs)
                else:
                    for run in runs:
                        self._app.send_task(task, run, producer=producer, queue=QUEUE, retry=False)
        except self._faults as error:
            raise Unavailable(
                "The broker does not answer: {error}", error=type(error).__name__, code="broker"
            ) from error

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        """Sends one message per run whose host is to be looked at. Raises ``Unavailable`` as ``publish`` does."""
        self._send_each(LOOK_TASK, run_ids)

    def publish_scans(self, scan_ids: Sequence[int]) -> None:
        """Sends one message per host whose keys are to be collected. Raises ``Unavailable`` as ``publish`` does."""
        self._send_each(SCAN_TASK, scan_ids)

    def publish_tests(self, test_ids: Sequence[int]) -> None:
        """Sends one message per connection to be tested. Raises ``Unavailable`` as ``publish`` does."""
        self._send_each(TEST_TASK, test_ids)

    def _send_each(self, task: str, numbers: Sequence[int]) -> None:
        try:
            with self._app.producer_or_acquire() as producer:
                for number in numbers:
                    self._app.send_task(task, (number,), producer=producer, queue=QUEUE, retry=False)
        except self._faults as error:
            raise Unavailable(
                "The broker does not answer: {error}", error=type(error).__name__, code="broker"
            ) from error

    def _push_together(self, producer: Producer, task: str, runs: Sequence[tuple[int, int]]) -> None:
        """Sends all messages by one LPUSH. kombu sends one a round trip, which costs ten times as much; the messages
        are built by kombu and Celery and are the same to the byte but for their ids."""
        channel: Any = producer.channel
        payloads = [self._payload(channel, task, run) for run in runs]
        with channel.conn_or_acquire() as client:
            client.lpush(QUEUE, *payloads)

    def _payload(self, channel: Any, task: str, run: tuple[int, int]) -> str:
        made = self._app.amqp.create_task_message(str(uuid.uuid4()), task, run, {}, ignore_result=True)
        content_type, content_encoding, body = serialize(made.body, serializer="json")
        properties = dict(made.properties, delivery_mode=2)
        message = channel.prepare_message(body, 0, content_type, content_encoding, made.headers, properties)
        channel._inplace_augment_message(message, QUEUE, QUEUE)
        return dumps(message)

    def nudge(self) -> None:
        """Asks a worker to look for work, from a thread of its own: a web request never waits for the broker."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._nudge_loop, name="nudge", daemon=True)
                self._thread.start()
        self._wanted.set()

    def _nudge_loop(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._app.send_task(DISPATCH_TASK, queue=QUEUE, retry=False, expires=_NUDGE_EXPIRES_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, the sweep does the work a second later.
                _log.info("nudge not sent", error=type(error).__name__)
