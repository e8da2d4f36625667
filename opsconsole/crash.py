"""Points at which a process can be told to die, so that tests see what a crash at just that moment leaves behind.

A process told nothing (setting ``crash_at``) passes them all. Whoever can tell it could kill it as well, so there is
nothing to guard here.
"""

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """The moments of the at-most-once protocol between which a crash makes a difference."""

    WEB_BEFORE_COMMIT = "web_before_commit"
    WEB_AFTER_COMMIT = "web_after_commit"
    BEFORE_PUBLISH = "before_publish"
    AFTER_PUBLISH = "after_publish"
    BEFORE_CLAIM = "before_claim"
    AFTER_CLAIM = "after_claim"
    AFTER_GATE = "after_gate"
    MID_COMMAND = "mid_command"
    BEFORE_FINISH = "before_finish"


_armed: list[CrashPoint] = []


def arm(point: CrashPoint | None) -> None:
    """Makes this process die at ``point``, as if the kernel had killed it, or at none."""
    _armed[:] = [] if point is None else [point]


def passing(point: CrashPoint) -> None:
    """Says that this process is at ``point``. Does not return when it was told to die there."""
    if point in _armed:
        os.kill(os.getpid(), signal.SIGKILL)
