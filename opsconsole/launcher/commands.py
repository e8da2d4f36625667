"""The commands of our own processes."""

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from opsconsole.settings import Settings, child_environment

# -P: a folder in the current directory must not be taken for a package of ours.
_PYTHON = (sys.executable, "-P", "-m")


def cli_command(*arguments: str) -> tuple[str, ...]:
    """Returns the command line of ``opsconsole`` with ``arguments``, run by this very installation."""
    return (*_PYTHON, "opsconsole", *arguments)


def worker_command(name: str) -> tuple[str, ...]:
    """Returns the command line of a worker process."""
    return (*_PYTHON, "opsconsole.launcher.processes", "worker", name)


def beat_command() -> tuple[str, ...]:
    """Returns the command line of the beat."""
    return (*_PYTHON, "opsconsole.launcher.processes", "beat")


def become_worker(name: str, chosen: Mapping[str, object]) -> NoReturn:
    """Replaces this process by a worker; ``chosen`` settings win over the environment's. Raises ``Invalid``.

    A worker patches itself for gevent before it imports anything else, which is too late in this process.
    """
    Settings.load(**chosen)
    os.execve(sys.executable, worker_command(name), child_environment(chosen))


def become_beat() -> NoReturn:
    """Replaces this process by the beat. Raises ``Invalid``."""
    Settings.load()
    os.execve(sys.executable, beat_command(), child_environment({}))
