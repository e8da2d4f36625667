"""Whether the messages of the queue come to this process: a drained worker leaves them to the others."""

from typing import Any

from opsconsole.tasks.app import QUEUE


def take_messages(worker: Any, wanted: bool) -> bool:
    """Lets Celery's ``worker`` begin or cease to consume, and returns whether it is told: it has no consumer while it
    starts or is without its broker. What it is told outlives a new connection. Safe to call from any thread."""
    consumer = getattr(worker, "consumer", None)
    if consumer is None or getattr(consumer, "task_consumer", None) is None:
        return False
    # Done by the consumer's own loop: its channel is nobody else's.
    consumer.call_soon(consumer.add_task_queue if wanted else consumer.cancel_task_queue, QUEUE)
    return True
