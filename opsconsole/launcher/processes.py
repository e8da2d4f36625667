"""``python -m opsconsole.launcher.processes worker NAME`` and ``... beat``: the processes that Celery runs in.

A worker needs an interpreter of its own in which gevent patches before anything that opens sockets is imported; the
command line has imported far too much by then, so it replaces itself by this.
"""

import os
import sys
from typing import NoReturn

from opsconsole.settings import Settings, WorkerPool


def run_worker(label: str) -> NoReturn:
    """Replaces this process by a worker process called ``label``."""
    os.execv(sys.executable, [sys.executable, "-m", __name__, "worker", label])


def run_beat() -> NoReturn:
    """Replaces this process by the beat process."""
    os.execv(sys.executable, [sys.executable, "-m", __name__, "beat"])


def main(arguments: list[str]) -> None:
    """Runs a worker or the beat until it is told to stop. Raises ``SystemExit`` with Celery's status."""
    settings = Settings.load()
    kind = arguments[0]
    if kind == "worker" and settings.worker_pool is WorkerPool.GEVENT:
        # Nothing that opens sockets or makes locks may be imported before this.
        from gevent import monkey

        monkey.patch_all()
    from opsconsole.bootstrap import build
    from opsconsole.tasks.logs import configure_logs
    from opsconsole.tasks.worker import worker_arguments

    configure_logs(settings)
    app = build(settings).make_celery_app()
    if kind == "worker":
        app.worker_main(worker_arguments(settings, arguments[1]))
    else:
        app.start(["beat", f"--loglevel={settings.log_level}", "--pidfile="])


if __name__ == "__main__":
    main(sys.argv[1:])
