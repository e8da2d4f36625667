"""The shell scripts of durable mode: a command that outlives its connection, kept in a folder of its own on the host.

Three parts. The *door* is what the exec request runs: it makes the folder (``mkdir`` is the fence: of any number of
starts one wins), sets the keeper going, and then reports from the folder, as every later connection does. The *keeper*
leads a session of its own, so that nobody's end of a connection meets it; it starts the command, stores what it writes
and how it ended, and enforces the limit of time. The *pump*, one a stream, cuts output into files of at most 16 MiB and
removes those between the head and the tail.

In the folder: ``script`` until it was read, ``go`` (the second fence: made by the keeper before the command, or by who
gives the start up; ``void`` says the latter), ``pid``, ``o.<offset>`` and ``e.<offset>``, ``o.end`` and ``e.end`` once
a stream has ended, ``exit``. tests/integration/ssh/test_durable.py shows what each is for.
"""

# Where the folders are. Not in XDG_RUNTIME_DIR: that goes away with the last session of the person, which may be ours.
# One place and no second choice, because two places would be two fences.
_PLACE = r"""i=$(id -u)
if [ -n "$HOME" ] && [ -d "$HOME" ] && [ -O "$HOME" ] && [ -w "$HOME" ]; then
b=$HOME/.cache/opsconsole; [ -d "$HOME/.cache" ] || mkdir -p "$HOME/.cache" 2>/dev/null
else b=/tmp/opsconsole-$i; fi
own() { set -- $(LC_ALL=C ls -ldn "$1" 2>/dev/null); case $1/$3 in drwx------*/"$i") return 0;; esac; return 1; }
"""

# $1 @ and the mark, $2 folder, $3 umask of the command, $4 grace, $5 limit, $6 head, $7 tail, $8 the search of
# ``search``, which ends what escaped. A search kills who has the mark itself among its words, hence the @.
# The exit record's block is taken beforehand, so that a full disk cannot lose it. The command is a child that was not
# waited for until its status is taken, so its number belongs to nobody else while the watchdog may use it.
KEEPER = r"""m=${1#@} d=$2 h=$6 q=$7; unset OPSC_KEEPER
now() { read -r t _ </proc/uptime; t=${t%.*}; }
pump() {
a=0 l=
while [ -d "$d" ]; do
dd bs=65536 count=256 of="$d/$1.$a" 2>/dev/null || { [ -d "$d" ] || return; : >"$d/cut"; cat >/dev/null; break; }
n=$(wc -c <"$d/$1.$a") && [ "$n" -gt 0 ] || break
[ "$a" -lt "$h" ] || l="$l $a"
a=$((a+n))
while :; do
set -- "$1" $l
[ $# -gt 2 ] && [ "$3" -le $((a-q)) ] || break
: >"$d/$1.gap"; rm -f "$d/$1.$2"; l=${l#" $2"}
done; done
: >"$d/$1.end"
}
umask 077; printf '%63s\n' '' >"$d/exit.n" && mkdir "$d/go" || exit
now; s=$t; read -r b </proc/sys/kernel/random/boot_id
pump o <"$d/1" & o=$!
pump e <"$d/2" & e=$!
OPSC_RUN=$m setsid /bin/sh -c 'umask "$1"; s=$(cat "$2/script"; printf x); s=${s%x}; rm -f "$2/script"; set --
eval "unset -v s; $s"
exit "$?"' opsc "$3" "$d" </dev/null >"$d/1" 2>"$d/2" & c=$!
( trap 'kill -s KILL "$!"; exit' USR2
l=$5; while [ "$l" -gt 0 ]; do t=5; [ "$l" -lt 5 ] && t=$l; sleep "$t" & wait "$!"; kill -s 0 "$$" || exit; l=$((l-t)); done
trap '' USR2; : >"$d/limit"; kill -s TERM -- "-$c"; g=$4
while [ "$g" -gt 0 ] && kill -s 0 -- "-$c"; do sleep 1; g=$((g-1)); done
kill -s KILL -- "-$c"; exec /bin/sh -c "$8" opsc-search "${m%"${m#?}"}" "${m#?}" 0 10 ) & w=$!
echo "$c $$ $s $b" >"$d/pid.n" && mv "$d/pid.n" "$d/pid"
wait "$c"; r=$?
now; k=0; [ ! -e "$d/limit" ] || k=1
printf '%-63s\n' "$r $((t-s)) $k" 1<>"$d/exit.n"; mv "$d/exit.n" "$d/exit"
kill -s USR2 "$w"; wait "$w" "$o" "$e"
"""  # noqa: E501 - a shell script, kept as it was tried.

# $1 @ and the mark, $2 start or attach, $3 and $4 bytes of stdout and stderr that are known already, $5 grace,
# $6 limit, $7 head, $8 tail, $9 the keeper, $10 the search. What it writes to stdout is read by ``durable.Frames``.
DOOR = (
    r"""exec 3<&0 0</dev/null
m=${1#@} v=$2 ko=$3 ke=$4 ao=0 ae=0 fo= fe=
if [ "$v" = start ]; then
IFS= read -r n <&3 || exit 125
if [ "$n" = line ]; then IFS= read -r s <&3 || exit 125
else s=$(dd bs=1 count="$n" <&3 2>/dev/null; printf x); s=${s%x}; IFS= read -r e <&3 && [ -z "$e" ] || exit 125; fi; fi
printf '\036opsc %s 0\n' "$m"
no() { echo "n $1"; exit 0; }
u=$(umask); umask 077
[ -r /proc/self/environ ] && command -v setsid >/dev/null && command -v mkfifo >/dev/null || no unfit
"""
    + _PLACE
    + r"""mkdir "$b" 2>/dev/null; [ -d "$b" ] || [ -L "$b" ] || no full
own "$b" || no unsafe
d=$b/$m
if [ "$v" = start ]; then find "$b/." ! -name . -prune -type d -mtime +14 -exec rm -rf {} + 2>/dev/null; fi
if mkdir "$d" 2>/dev/null; then
[ "$v" = start ] || { mkdir "$d/go"; : >"$d/void"; no gone; }
printf %s "$s" 2>/dev/null >"$d/script" && mkfifo "$d/1" "$d/2" || { rm -rf "$d"; no full; }
OPSC_KEEPER=$m setsid /bin/sh -c "$9" opsc "@$m" "$d" "$u" "$5" "$6" "$7" "$8" "${10}" 3<&- >/dev/null 2>&1 &
elif [ ! -d "$d" ]; then [ "$v" = start ] && no full; no gone; fi
k=0
while [ ! -e "$d/pid" ]; do
[ ! -e "$d/void" ] || { [ "$v" = start ] && no void; no gone; }
[ -d "$d" ] || no gone
if [ "$k" -ge 150 ]; then mkdir "$d/go" 2>/dev/null || no dead; : >"$d/void"; no void; fi
k=$((k+1)); sleep 0.1 2>/dev/null || { sleep 1; k=$((k+9)); }
done
read -r p k s x <"$d/pid"; read -r y </proc/sys/kernel/random/boot_id
now() { read -r t _ </proc/uptime; t=${t%.*}; }
if [ -e "$d/exit" ]; then read -r _ t _ <"$d/exit"; s=0
elif [ "$x" != "$y" ]; then t=0 s=0
else now; fi
echo "a $p $((t-s))"
( while IFS= read -r l <&3; do case $l in TERM|INT|HUP|KILL)
grep -qzxF -e "OPSC_RUN=$m" "/proc/$p/environ" && kill -s "$l" -- "-$p";; esac; done
kill -s KILL -- "-$$" || kill -s KILL "$$" ) >/dev/null 2>&1 &
exec 3<&-
first() { z=; for y in "$d/$1".[0-9]*; do y=${y##*.}; case $y in *[!0-9]*) continue;; esac
[ "$y" "$3" "$2" ] && { [ -z "$z" ] || [ "$y" "$4" "$z" ]; } && z=$y; done; [ -n "$z" ]; }
open() { a=$2; case $1 in o) exec 5<"$d/o.$a";; e) exec 6<"$d/e.$a";; esac; f=y; }
size() { n=$(wc -c <"/proc/$$/fd/$1"); n=$((n)); }
step() {
eval "k=\$k$1 a=\$a$1 f=\$f$1"
while :; do
if [ -z "$f" ]; then first "$1" "$k" -le -gt || break; open "$1" "$z"; fi
size "$2"; n=$((a+n-k))
if [ "$n" -gt 0 ]; then echo "$1 $n"; tail -c +$((k-a+1)) "/proc/$$/fd/$2" | head -c "$n"; k=$((k+n)) w=1
elif [ "$k" -gt "$a" ] && [ -e "$d/$1.$k" ]; then open "$1" "$k"
elif [ -e "$d/$1.gap" ] && first "$1" "$k" -ge -lt && [ "$z" != "$a" ]; then
[ "$z" = "$k" ] || echo "g$1 $((z-k))"
k=$z; open "$1" "$z"
else break; fi
done
eval "k$1=$k a$1=$a f$1=$f"; }
v=dead; [ "$x" != "$y" ] || ! grep -qzxF -e "OPSC_KEEPER=$m" "/proc/$k/environ" 2>/dev/null || v=living
i=0 r= g=$k
while :; do
w=0
[ -d "$d" ] || no gone
if [ -z "$r" ] && [ -e "$d/exit" ]; then now; r=$t; fi
l=1; [ ! -e "$d/o.end" ] || [ ! -e "$d/e.end" ] || l=0
step o 5; step e 6
if [ -n "$r" ]; then
if [ "$l" = 0 ]; then [ "$w" = 1 ] || break; else now; [ $((t-r)) -lt 3 ] || break; fi
elif [ "$v" = dead ] || ! kill -s 0 "$g" 2>/dev/null; then [ -e "$d/exit" ] || no dead; fi
if [ "$w" = 1 ]; then i=0; continue; fi
i=$((i+1)); if [ "$i" -lt 25 ]; then sleep 0.2 2>/dev/null || sleep 1; else sleep 1; fi
done
read -r r _ t <"$d/exit"; c=0; [ ! -e "$d/cut" ] || c=1
echo "x $r $t $l $c"
"""
)

# $1 mark. For a run whose result is stored: what its host keeps of it goes.
CLEAN = _PLACE + r"""own "$b" && [ -e "$b/$1/exit" ] && rm -rf "$b/$1" """
