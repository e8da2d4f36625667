"""A password is asked for where nobody else reads it, and taken from a pipe where nobody can be asked."""

import getpass
import sys

from opsconsole.errors import Invalid

LOGIN = "remote user"
RUN_AS = "account to run as"


def ask_password(whose: str = LOGIN) -> str:
    """Returns the password of ``whose``: what is typed unseen on the terminal, or, when stdin is none, the first line
    of stdin.

    Raises ``Invalid`` when nothing comes.
    """
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for the {whose}: ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Invalid(f"The {whose}: no password was given. Nothing was started.", code="no_password")
    return password
