"""Logs of worker and beat processes: one line an event on stderr, control characters escaped."""

import logging
import sys
from typing import Any

import structlog

from opsconsole.jobs.masking import without_known_secrets
from opsconsole.settings import Settings


class _Escaping(logging.Formatter):
    """Hostile text in a log line must not start another line or colour a terminal; tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Returns the message with control characters as escapes."""
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Returns the whole record, its traceback included, without secrets."""
        return without_known_secrets(super().format(record))


def configure_logs(settings: Settings) -> None:
    """Sends structlog and the standard library's loggers to stderr at the level of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Escaping("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # Celery tells of each task at INFO: a job of 5,000 hosts would write 10,000 lines that say nothing.
    for name in ("celery.worker.strategy", "celery.worker.request", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    renderer: Any = structlog.processors.KeyValueRenderer(key_order=["event"])
    if settings.log_json:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, renderer],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
