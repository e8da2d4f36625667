"""How a host is searched for what carries the mark of a run, and how that is ended: a shell script and its answer.

The guard sees to the command's process group. What left the group (``setsid``), and what a lost connection left behind,
is found by the mark: in the environment of every program the command started, and among the words of the guard itself,
so that a part of the command that is no program of its own is found too. Linux; our own processes, or all as root.
"""

import math
import re
import shlex

from opsconsole.jobs.output import display
from opsconsole.jobs.ports import LeftProcess, Sight
from opsconsole.sentences import Sentence
from opsconsole.ssh import lease
from opsconsole.ssh.passage import Passage

# $1 and $2 are the mark's first character and the rest: whole it would be among the searchers' own words. $3 is the
# process group that the guard has told already, 0 for none. $4 is -1 to look only, else tenths of a second from TERM
# to KILL. Joined to one line and free of exclamation marks, because csh takes neither inside quotes.
SEARCH = r"""exec 0</dev/null; a=$1; b=$2; g=$3; l=$4;
{ grep -qzsx -e "$b" "/proc/$$/cmdline" && command -v xargs; } >/dev/null 2>&1 || exit 3;
f() { printf '%s\n' /proc/[0-9]*/environ /proc/[0-9]*/cmdline |
xargs grep -lzsx -e "OPSC_RUN=[$a]$b" -e "[$a]$b" 2>/dev/null |
{ s=; while IFS=/ read -r _ _ p _; do case "$s " in *" $p "*) ;; *) s="$s $p";; esac; done; echo $s; }; };
v() { for p in $*; do s=; read -r s <"/proc/$p/stat" || continue;
case ${s##*) } in [ZX]*) ;; *) return 0;; esac; done 2>/dev/null; return 1; };
w() { n=0; while [ "$n" -lt "$1" ] && v $x; do
if sleep 0.2 2>/dev/null; then n=$((n+2)); else sleep 1; n=$((n+10)); fi; done; };
x=$(f); k=0; for p in $x; do k=$((k+1)); done;
if [ -n "$x" ] && [ "$l" -ge 0 ]; then
for p in $x; do s=; read -r s <"/proc/$p/stat" || continue; set -- ${s##*) };
[ "$3" = "$g" ] || kill -s TERM "$p"; done 2>/dev/null;
w "$l"; i=0; x=$(f);
while [ -n "$x" ] && [ "$i" -lt 3 ]; do kill -s KILL $x 2>/dev/null; w 10; i=$((i+1)); x=$(f); done;
fi;
[ -n "$x" ] || { printf '\036opsc-search gone %s\n' "$k"; exit 0; };
read -r u _ </proc/uptime; h=$(getconf CLK_TCK 2>/dev/null || echo 100); n=0;
for p in $x; do n=$((n+1)); [ "$n" -le 12 ] || continue;
s=; read -r s <"/proc/$p/stat" || continue; set -- ${s##*) };
c=$(tr '\0\n' '  ' <"/proc/$p/cmdline" | cut -c1-200);
printf '\036opsc-search %s %s %s\n' "$p" "$((${u%%.*}-${20}/h))" "$c"; done 2>/dev/null;
printf '\036opsc-search alive %s\n' "$n"; exit 1""".replace("\n", " ")

# More than the script can say, so that a host cannot fill our memory.
MOST_BYTES = 32 * 1024
# The longest the script itself may take beyond the grace: three rounds of KILL, each followed by a second.
KILL_SECONDS = 3.0
_SAID = re.compile(rb"\x1eopsc-search (?:gone (\d{1,7})|alive (\d{1,7})|(\d{1,10}) (-?\d{1,10}) ?([^\n]{0,400}))\n")
_COMMAND_CHARS = 80
_GUARDS_WORDS = f"/bin/sh -c {lease.BOOT}"
_BLIND = Sentence(
    "This host cannot be searched for what it left: that takes Linux's /proc, and grep with its option -z."
)
_DEAF = Sentence("The host did not answer whether anything of the command is still alive.")
_NOT_OURS = Sentence(
    "The host did not search for what the command left: its login shell, or a command forced on this key, does "
    "not run what it is given."
)


def line(mark: str, *, end: float | None, group: int = 0, passage: Passage | None = None) -> str:
    """Returns the exec request that searches for ``mark``, and with ``end`` ends what it finds (seconds to KILL).

    ``group`` is the process group that has had its TERM already. A mark is two characters at least.
    """
    patience = "-1" if end is None else str(math.ceil(end * 10))
    words = ["/bin/sh", "-c", SEARCH, "opsc-search", mark[0], mark[1:], str(group), patience]
    return shlex.join(["exec", *words]) if passage is None else passage.line(words)


def read(said: bytes, exit_code: int | None) -> Sight:
    """Returns what the script's output and exit status mean; without its own last word nothing is believed."""
    processes: list[LeftProcess] = []
    for gone, alive, pid, age, words in _SAID.findall(said):
        if gone and exit_code == 0:
            return Sight(ended=int(gone))
        if alive and exit_code == 1:
            return Sight(int(alive), tuple(processes))
        if pid:
            processes.append(LeftProcess(int(pid), max(int(age), 0), _shown(words)))
    if exit_code == 3:
        return Sight(problem=_BLIND)
    return Sight(problem=_DEAF if exit_code is None else _NOT_OURS)


def _shown(words: bytes) -> str:
    text = display(words).strip()
    if text.startswith(_GUARDS_WORDS):
        return "the command's own shell"
    return text if len(text) <= _COMMAND_CHARS else text[: _COMMAND_CHARS - 1] + "…"
