"""The Celery application: one queue, JSON only, early acknowledgement (docs/adr/0002)."""

import logging
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu import Exchange, Queue

from opsconsole.settings import Settings
from opsconsole.tasks import transport

QUEUE = "runs"
RUN_TASK = "opsconsole.run"
ATTACH_TASK = "opsconsole.attach"
DISPATCH_TASK = "opsconsole.dispatch"
LOOK_TASK = "opsconsole.look"
SCAN_TASK = "opsconsole.scan"
TEST_TASK = "opsconsole.test"
TICK_TASK = "opsconsole.tick"
_TICK_SECONDS = 60.0


def make_celery(settings: Settings) -> Celery:
    """Returns the application for publishing; ``tasks.worker`` adds the tasks for a worker process."""
    transport.use()
    app = Celery("opsconsole", broker=settings.broker, set_as_current=False)
    app.conf.update(
        # Work: a message only says "look at run 42"; the claim in the database is what makes it safe.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        result_backend=None,
        # Without it Celery makes a backend, which does nothing, for every greenlet.
        result_backend_thread_safe=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
        task_create_missing_queues=False,
        task_queues=[Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE, durable=True)],
        task_default_queue=QUEUE,
        task_default_exchange=QUEUE,
        task_default_routing_key=QUEUE,
        # Workers.
        worker_pool=settings.worker_pool.value,
        worker_concurrency=settings.worker_slots,
        # On Redis a worker takes no message that it has no slot for: it would wait there while others have one free.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=not _is_amqp(settings),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_redirect_stdouts=False,
        # The broker may be away for long; a worker waits for it and tries again.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings),
        broker_connection_timeout=5,
        timezone="UTC",
        enable_utc=True,
        beat_schedule={"tick": {"task": TICK_TASK, "schedule": _TICK_SECONDS, "options": {"expires": _TICK_SECONDS}}},
        beat_schedule_filename=str(settings.data_dir / "run" / "beat-schedule"),
    )
    # kombu warns of each connection error with its traceback; the reconnect line that follows says what matters.
    logging.getLogger("kombu").setLevel(logging.ERROR)
    return app


def _is_amqp(settings: Settings) -> bool:
    return urlsplit(settings.broker).scheme.startswith("amqp")


def _transport_options(settings: Settings) -> dict[str, Any]:
    if _is_amqp(settings):
        return {"confirm_publish": True, "connect_timeout": 5}
    return {
        # Redis-side bookkeeping of reserved messages costs a fifth of a worker's time for a second delivery that we
        # neither need nor want: a message lost with its worker is sent again from the rows (docs/adr/0009).
        "ack_emulation": False,
        "visibility_timeout": 86_400,
        # kombu caps at 10 and then fails to acknowledge.
        "max_connections": 2 * settings.worker_slots + 20,
        # Publishing must fail soon and not try for ever to connect: the rows are sent again by the sweep.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
        "connect_retries_timeout": 2,
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": not settings.embedded_broker,
        "health_check_interval": 25,
        "global_keyprefix": "opsc:",
    }
