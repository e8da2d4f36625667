"""Accounts of this machine to log in to: root makes some for a test, with each login shell; others have their own."""

import getpass
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LOGIN_SHELLS = ("dash", "bash")


@contextmanager
def accounts(shells: Sequence[str] = LOGIN_SHELLS) -> Iterator[list[str]]:
    """Yields names to log in as: one that may everything and a plain one for each shell that is there.

    Who is not root gets the own name only, as nobody else may be made or logged in.
    """
    if os.geteuid() != 0:
        yield [getpass.getuser()]
        return
    tail = secrets.token_hex(3)
    wanted = [(kind, shell, path) for kind in ("root", "user") for shell in shells if (path := shutil.which(shell))]
    made: list[str] = []
    try:
        for kind, shell, path in wanted:
            name = f"opsct-{kind}-{Path(shell).name}-{tail}"[:32]
            same = ["--uid", "0", "--non-unique"] if kind == "root" else []
            # A password of "*" is none that fits; "!" would lock the account for sshd.
            options = ["--no-create-home", "--no-user-group", "--home-dir", "/", "--shell", path, "--password", "*"]
            _change("useradd", *options, *same, name)
            made.append(name)
        yield made
    finally:
        for name in made:
            _remove(name)


def change_password(name: str, password: str) -> None:
    """Gives an account of ``accounts`` a password."""
    _change("chpasswd", given=f"{name}:{password}\n".encode())


def _remove(name: str) -> None:
    """Takes an account away; the session of its last login may take a moment to end."""
    uid = pwd.getpwnam(name).pw_uid
    if uid:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if entry.stat().st_uid == uid:
                    os.kill(int(entry.name), 9)
    _change("userdel", "--force", name)


def _change(*command: str, given: bytes = b"") -> None:
    """Changes the list of accounts, which somebody else may have locked for a moment."""
    for _ in range(20):
        # /usr/sbin is not on the path of everybody.
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        ended = subprocess.run(command, env=environment, capture_output=True, input=given, check=False)
        if b"try again later" not in ended.stderr:
            break
        time.sleep(0.2)
    # userdel tells of processes that still use the account, and removes it all the same.
    assert ended.returncode == 0 or command[0] == "userdel", ended.stderr
