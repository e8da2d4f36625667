"""Makes a worker process ready for its pool before Celery chooses for itself.

gevent must replace the standard library's blocking parts before kombu is imported: kombu keeps the ``epoll`` it finds
then, and a consumer that waits in a native ``epoll`` stops the whole process, silently. Celery patches that early only
when its own command line names the pool, so ``celery -A worker worker`` is started once more with the pool named.
"""

import os
import sys
from collections.abc import Sequence

from opsconsole.settings import Settings, WorkerPool

# Celery's options before the command whose value is a word of its own: in `-A worker beat` the command is `beat`.
_TAKES_VALUE = {"-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir"}


def patch_if_gevent(settings: Settings) -> None:
    """Patches this process when ``settings`` ask for the gevent pool; does nothing when that is done already.

    Where Celery's command line is running a worker it has imported kombu by now: then the process is replaced by the
    same command with the pool named, and this does not return.
    """
    if settings.worker_pool is not WorkerPool.GEVENT:
        return
    from gevent import monkey

    if monkey.is_module_patched("socket"):
        return
    if "kombu" not in sys.modules:
        monkey.patch_all()
    elif runs_worker(sys.argv):
        os.execv(sys.executable, [sys.executable, "-m", "celery", *sys.argv[1:], "--pool", "gevent"])


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
