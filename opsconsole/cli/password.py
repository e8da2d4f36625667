"""A password is asked for where nobody else reads it, and taken from a pipe where nobody can be asked."""

import getpass
import sys

from opsconsole.errors import Invalid


def ask_password() -> str:
    """Returns what is typed unseen on the terminal, or, when stdin is none, the first line of stdin.

    Raises ``Invalid`` when nothing comes.
    """
    if sys.stdin.isatty():
        password = getpass.getpass("Password for the remote user: ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Invalid("--ask-password: no password was given. Nothing was started.", code="no_password")
    return password
