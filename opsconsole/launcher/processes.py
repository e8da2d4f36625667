"""``python -m opsconsole.launcher.processes worker NAME`` and ``... beat``: the processes that Celery runs in.

A worker needs an interpreter of its own in which gevent patches before anything that opens sockets is imported; the
command line has imported far too much by then, so it replaces itself by this.
"""

import logging
import os
import sys
import traceback
import warnings
from typing import NoReturn

from opsconsole.errors import OpsconsoleError
from opsconsole.settings import Settings, WorkerPool


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
        _silence_what_does_not_hold_here()
        app.worker_main(worker_arguments(settings, arguments[1]))
    else:
        app.start(["beat", f"--loglevel={settings.log_level}", "--pidfile="])


def _silence_what_does_not_hold_here() -> None:
    """Ignores two warnings that Celery would write at each start of a worker, and no others."""
    # It wants the pool named by an option so that gevent patches early; here it has patched before all imports.
    warnings.filterwarnings("ignore", r"\s*The worker_pool setting shouldn't be used to select", UserWarning)
    # Root is feared because of messages that could carry code; ours are JSON and name a run and its attempt. Who may
    # read root's keys is for the person to say who starts the console as root.
    warnings.filterwarnings("ignore", r"\s*You're running the worker with superuser privileges", UserWarning)


def _run_and_leave(arguments: list[str]) -> NoReturn:
    """Runs ``main`` and ends the process at once.

    All is stopped and written by then, and taking the interpreter apart under gevent costs another second or two.
    """
    status = 1
    try:
        main(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except OpsconsoleError as error:
        sys.stderr.write(f"ERROR {error.detail}\n")
    except Exception:  # noqa: BLE001  The interpreter would do the same, but is not given the chance.
        traceback.print_exc()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _run_and_leave(sys.argv[1:])
