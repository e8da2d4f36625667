"""No process of ours outlives the one that watches it, even when that one is killed."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: between fork and exec nothing should be imported or allocated that can wait.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent: int) -> None:
    """Asks Linux to kill this process when its ``parent`` (a process id) ends, however that ends.

    To be called right after the fork.

    Other systems have no such order: there a child ends when its parent tells it to.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The parent may have died before the order was given; then this process belongs to whoever adopts orphans.
    if os.getppid() != parent:
        os._exit(1)
