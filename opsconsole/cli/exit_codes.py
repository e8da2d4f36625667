"""What the command line's exit code says. Pure."""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from opsconsole.errors import OpsconsoleError


class ExitCode(IntEnum):
    """The table of docs/cli.md."""

    OK = 0
    HOST_FAILED = 1
    REFUSED = 2
    UNREACHED = 3
    THRESHOLD = 4
    TROUBLE = 5
    CANCELLED = 130


def of_error(error: OpsconsoleError) -> ExitCode:
    """Returns the code for an order that came to nothing: our trouble, or refused before any host was touched."""
    return ExitCode.TROUBLE if error.status >= 500 else ExitCode.REFUSED


def of_job(state: str, stop_reason: str | None, counts: Mapping[str, int]) -> ExitCode:
    """Returns the code for a job that has ended."""
    if state == "cancelled":
        return ExitCode.CANCELLED
    if stop_reason in {"threshold", "canary"}:
        return ExitCode.THRESHOLD
    bad = {letter for letter in "fkulxs" if counts.get(letter)}
    if not bad:
        return ExitCode.OK
    return ExitCode.UNREACHED if bad <= {"u", "l"} else ExitCode.HOST_FAILED


def largest(plain: ExitCode, remote: Iterable[int | None]) -> int:
    """Returns the largest exit status of the hosts, as clush -S does, and ``plain`` where none says more than 0."""
    return max((status for status in remote if status is not None), default=0) or int(plain)
