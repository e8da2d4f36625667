"""The guard: how a command is run so that it ends when we say so, and also when we can no longer say anything.

The remote shell reads the script from its standard input, which then stays open as a lease: a line there is an order
(``TERM``, ``KILL``), its end means that we are gone. tests/integration/ssh/test_guard.py shows what each part is for.
The line that reports the start is written once orders have an effect and before the script begins.

Between sshd and our scripts stands the login shell, which may be fish or csh. So it is given one short line that
means the same to all of them, and the scripts come over standard input to the ``/bin/sh`` that this line starts.
"""

import re
import shlex
from collections.abc import Sequence

from opsconsole.jobs.ports import RemoteCommand, Started
from opsconsole.ssh.passage import Passage

# No INT: a shell has its background commands ignore it, and the command is one of them.
ORDERS = frozenset({"TERM", "HUP", "KILL"})

# The command sees none of our variables, functions and arguments; they go in its own first line, so that the numbers of
# lines in error messages are its own.
# With $5 it is told that it need not lead its process group: ``sudo`` and ``su`` may stand before it there.
GUARD = r"""exec 3<&0 0</dev/null
IFS= read -r n <&3 || exit 125
if [ "$n" = line ]; then IFS= read -r s <&3 || exit 125
else s=$(dd bs=1 count="$n" <&3 2>/dev/null; printf x); s=${s%x}; IFS= read -r e <&3 && [ -z "$e" ] || exit 125; fi
p=$$; f() { p=$3; }
[ -z "$5" ] || { read -r e <"/proc/$$/stat" && f ${e##*) } || p=$(($(ps -o pgid= -p "$$"))); } 2>/dev/null
export OPSC_RUN="$1"; trap '' TERM INT HUP QUIT
( trap "" HUP INT TERM QUIT PIPE
  while IFS= read -r l <&3; do case $l in TERM|INT|HUP|QUIT|USR1|KILL) kill -s "$l" -- "-$p";; esac; done
  [ "$2" = keep ] && exit 0
  kill -s TERM -- "-$p"; sleep "$3"; kill -s KILL -- "-$p" ) >/dev/null 2>&1 & g=$!
( trap "" HUP INT TERM QUIT PIPE; exec 3<&-; trap 'kill -s KILL "$!"; exit' USR2
  l=$4; while [ "$l" -gt 0 ]; do t=5; [ "$l" -lt 5 ] && t=$l; sleep "$t" & wait "$!"; kill -s 0 "$$" || exit; l=$((l-t)); done
  kill -s TERM -- "-$p"; sleep "$3" & wait "$!"; kill -s KILL -- "-$p" ) >/dev/null 2>&1 & w=$!
exec 3<&-
(trap - TERM INT HUP QUIT; printf '\036opsc %s %s\n' "$1" "$p"; eval "unset -v n s e p g w; unset -f f; set --; $s") & c=$!
wait "$c" 2>/dev/null; rc=$?
{ kill -s USR2 "$w"; kill -s KILL "$g"; wait "$g" "$w"; } 2>/dev/null; exit "$rc"
"""  # noqa: E501 - a shell script, kept as it was tried.

# What the login shell sees, in single quotes. Without newline and exclamation mark, which csh takes in no quotes, and
# without a backslash, which fish reads in all. A shell reads byte by byte from what is no file, so that nothing of what
# follows the script is lost; without the whole of it nothing runs.
BOOT = 'eval "$(IFS= read -r g && printf %b "$g" || echo exit 125)"'
_BOOT_FROM_WORD = 'eval "$(printf %b "$0")"'
# For printf's %b. What this leaves of a script is one line, and one word in any shell's single quotes.
_AS_LINE = str.maketrans({char: f"\\0{ord(char):03o}" for char in "\\\n'!"})

# The guard counts down; no limit is ten years.
_NO_LIMIT_SECONDS = 10 * 365 * 86400
_MARK = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_MAX_PID_DIGITS = 10
_ONE_LINE = re.compile(rb"[\t -~]{1,2000}")


def exec_line(command: RemoteCommand, passage: Passage | None = None) -> str:
    """Returns the exec request for ``command``. The script is not in it, so it is in no process list either.

    A mark that is not a plain word is a ``ValueError``.
    """
    words = [plain(command.mark), "kill", str(command.grace_seconds), str(limit_seconds(command))]
    return boot_line("opsc", *words, *(["joined"] if passage else []), passage=passage)


def plain(mark: str) -> str:
    """Returns ``mark``; one that is not a plain word is a ``ValueError``."""
    if not _MARK.fullmatch(mark):
        raise ValueError("the mark of a run is a plain word")
    return mark


def boot_line(*words: str, passage: Passage | None = None) -> str:
    """Returns the exec request that runs the script of ours that comes first on stdin (see ``fed``).

    ``words`` are its name and its arguments; each must be plain, see ``BOOT``. With a ``passage`` it runs as the
    account behind that.
    """
    return _line(["/bin/sh", "-c", BOOT, *words], passage)


def fed(script: str) -> bytes:
    """Returns ``script`` of ours as the line that ``boot_line`` reads."""
    return script.translate(_AS_LINE).encode("ascii") + b"\n"


def shell_line(script: str, *words: str, passage: Passage | None = None) -> str:
    """Returns the exec request for a short ``script`` of ours that reads nothing; ``words`` are its plain arguments."""
    return _line(["/bin/sh", "-c", _BOOT_FROM_WORD, script.translate(_AS_LINE), *words], passage)


def _line(program: Sequence[str], passage: Passage | None) -> str:
    return shlex.join(["exec", *program]) if passage is None else passage.line(program)


def limit_seconds(command: RemoteCommand) -> int:
    """Returns the seconds the host counts down before it ends ``command`` by itself."""
    return command.limit_seconds if command.limit_seconds > 0 else _NO_LIMIT_SECONDS


def stdin_bytes(command: RemoteCommand) -> bytes:
    """Returns what goes to stdin first: the guard, and what it reads."""
    return fed(GUARD) + script_bytes(command)


def script_bytes(command: RemoteCommand) -> bytes:
    """Returns what the guard reads first: the script's size in bytes and the script, or ``line`` and one line.

    The newline at the end tells that all of it arrived: half a script must not run. The second form saves the host
    two processes; it is for plain text only, as shells differ in how they read others.
    """
    if _ONE_LINE.fullmatch(command.script):
        return b"line\n%b\n" % command.script
    return b"%d\n%b\n" % (len(command.script), command.script)


class StartedFilter:
    """Finds the guard's own line in standard output and takes it out; all else passes through, in order."""

    def __init__(self, mark: str) -> None:
        self._prefix = b"\036opsc " + mark.encode("ascii") + b" "
        self._held = b""
        self._done = False

    def feed(self, data: bytes) -> tuple[bytes, Started | None, bytes]:
        """Returns the output before the line, the line's meaning once it is whole, and the output after it."""
        if self._done:
            return data, None, b""
        data = self._held + data
        self._held = b""
        at = data.find(self._prefix)
        if at < 0:
            keep = self._partial_prefix(data)
            self._held = data[len(data) - keep :]
            return data[: len(data) - keep], None, b""
        start = at + len(self._prefix)
        end = data.find(b"\n", start, start + _MAX_PID_DIGITS + 1)
        digits = data[start : end if end >= 0 else None]
        if digits.isdigit() and end >= 0:
            self._done = True
            return data[:at], Started(int(digits)), data[end + 1 :]
        if end < 0 and len(digits) <= _MAX_PID_DIGITS and (digits.isdigit() or not digits):
            self._held = data[at:]
            return data[:at], None, b""
        self._done = True
        return data, None, b""

    def rest(self) -> bytes:
        """Returns what was held back for a line that never became whole."""
        held, self._held = self._held, b""
        return held

    def _partial_prefix(self, data: bytes) -> int:
        for size in range(min(len(self._prefix) - 1, len(data)), 0, -1):
            if data.endswith(self._prefix[:size]):
                return size
        return 0
