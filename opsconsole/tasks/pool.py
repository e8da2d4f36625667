"""How a worker process runs many hosts at once: gevent, patched before anything else, or threads."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from opsconsole.settings import Settings, WorkerPool

# Celery's options before the command whose value is a word of its own: in `-A worker beat` the command is `beat`.
_TAKES_VALUE = {"-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir"}


def patched() -> bool:
    """Returns whether this process runs under gevent's monkey patches."""
    if "gevent.monkey" not in sys.modules:
        return False
    from gevent import monkey

    return bool(monkey.is_module_patched("socket"))


def patch_if_gevent(settings: Settings) -> None:
    """Makes ``celery -A worker worker`` use the console's pool.

    Celery patches only when ``-P gevent`` is on its own command line, and patching after its import is too late: so
    such a process replaces itself by the same command with the pool named. Anything else is left alone.
    """
    if settings.worker_pool is not WorkerPool.GEVENT or not runs_worker(sys.argv) or patched():
        return
    os.execv(sys.executable, [sys.executable, "-m", "celery", *sys.argv[1:], "--pool=gevent"])


def runs_worker(argv: Sequence[str]) -> bool:
    """Returns whether ``argv`` is Celery's command line for a worker that leaves the choice of the pool open."""
    if not argv or not (os.path.basename(argv[0]) == "celery" or argv[0].endswith("celery/__main__.py")):
        return False
    names_pool = any(word.startswith(("-P", "--pool")) for word in argv[1:])
    return _command(argv[1:]) == "worker" and not names_pool


def _command(words: Sequence[str]) -> str | None:
    rest = iter(words)
    for word in rest:
        if word in _TAKES_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def make_offload() -> Callable[[Callable[[], Any]], Any]:
    """Returns a function that runs a callable where a blocking C call stops nobody else.

    Under gevent that is one native thread of its own, else the calling thread. Each offload has its own thread, so
    that a database connection is never used by two. The callable must not use sockets opened by greenlets.
    """
    if not patched():
        return lambda call: call()
    from gevent.threadpool import ThreadPool

    pool = ThreadPool(1)

    def offload(call: Callable[[], Any]) -> Any:
        # The pool prints the traceback of what a callable raises; an outage of the database is no news worth that.
        value, error = pool.apply(_attempt, (call,))
        if error is not None:
            raise error
        return value

    return offload


def _attempt(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - raised again where it was called from.
        return None, error
