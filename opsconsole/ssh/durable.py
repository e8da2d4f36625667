"""Durable mode over one connection: starts the command on the host, or finds it there, and follows it to its end.

What the host sends is a header line, then frames (see ``Frames``), so that a connection may end at any byte and the
next one goes on behind the last that arrived. See ``spool`` for the scripts and docs/adr for why.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from opsconsole.jobs.ports import (
    Dropped,
    Event,
    Exited,
    Idle,
    NotStarted,
    Output,
    RemoteCommand,
    Skipped,
    Spool,
    Started,
    Stream,
    Vanished,
)
from opsconsole.ssh import lease, search, spool
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.process import Request, SshProcess

_STREAMS = {b"o": Stream.STDOUT, b"e": Stream.STDERR}
_HEAD = re.compile(
    rb"(?P<data>[oe]) (?P<size>[0-9]{1,12})|g(?P<gap>[oe]) (?P<lost>[0-9]{1,15})"
    rb"|a (?P<pid>[0-9]{1,10}) (?P<age>-?[0-9]{1,10})"
    rb"|x (?P<status>[0-9]{1,3}) (?P<limit>[01]) (?P<left>[01]) (?P<cut>[01])|n (?P<no>[a-z]{1,10})"
)
_LONGEST_HEAD = 64

_NOT_STARTED = {
    "unfit": "Durable mode needs Linux with setsid and mkfifo on the host; the command was not started.",
    "unsafe": "The host's folder for durable runs is not this user's alone; the command was not started.",
    "full": "The host could not make the folder for the durable run; the command was not started.",
    "void": "The host had given this start up before the command began.",
}
_VANISHED = {
    "gone": "The host has no trace of the command (any more); it may have run to its end.",
    "dead": "The host was restarted or the command's keeper was killed: how the command ended is not known.",
}
# The door's last two arguments are scripts themselves, and come with it.
_DOOR = f'set -- "$@" {shlex.quote(spool.KEEPER)} {shlex.quote(search.SEARCH)}\n{spool.DOOR}'
_NONSENSE = "What the host said about the durable run could not be read."


def request(command: RemoteCommand, kept: Spool) -> Request:
    """Returns what is sent to start ``command`` in durable mode or to attach to it.

    The script is in no process list: it comes over stdin. A mark that is not a plain word is a ``ValueError``.
    """
    verb = "attach" if kept.attach else "start"
    limit = str(lease.limit_seconds(command))
    words = (
        verb,
        str(kept.stdout),
        str(kept.stderr),
        str(command.grace_seconds),
        limit,
        str(kept.head),
        str(kept.tail),
    )
    passage = Passage.to(command.become)
    line = lease.boot_line("opsc", "@" + lease.plain(command.mark), *words, passage=passage)
    stdin = lease.fed(_DOOR) + (b"" if kept.attach else lease.script_bytes(command))
    return Request(line, stdin, command.mark, float(command.grace_seconds), command.become, passage)


def clean_line(mark: str, passage: Passage | None = None) -> str:
    """Returns the exec request that removes what the host keeps of an ended run."""
    return lease.shell_line(spool.CLEAN, lease.plain(mark), passage=passage)


class Frames:
    """Reads the host's frames: lines ``o 5`` and ``e 5`` before 5 bytes of a stream, ``go 9`` for bytes not kept,
    ``a PID AGE`` at the beginning, at the end ``x STATUS BY_LIMIT LEFT_CHILDREN CUT``, or ``n WORD`` for no command."""

    def __init__(self, *, attach: bool) -> None:
        self._attach = attach
        self._line = b""
        self._stream = Stream.STDOUT
        self._due = 0
        self.end: Exited | Vanished | NotStarted | None = None

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yields what ``data`` completes; what tells of the end becomes ``end``, and nothing counts after it."""
        while data and self.end is None:
            if self._due:
                piece, data = data[: self._due], data[self._due :]
                self._due -= len(piece)
                yield Output(self._stream, piece)
                continue
            line, newline, data = data.partition(b"\n")
            self._line += line
            if len(self._line) > _LONGEST_HEAD:
                self.end = Vanished(_NONSENSE)
            elif newline:
                complete, self._line = self._line, b""
                yield from self._head(complete)

    def _head(self, line: bytes) -> Iterator[Event]:
        found = _HEAD.fullmatch(line)
        if found is None:
            self.end = Vanished(_NONSENSE)
        elif found["data"]:
            self._stream, self._due = _STREAMS[found["data"]], int(found["size"])
        elif found["gap"]:
            yield Skipped(_STREAMS[found["gap"]], int(found["lost"]))
        elif found["pid"]:
            yield Started(int(found["pid"]), max(0.0, float(found["age"])) if self._attach else None)
        elif found["no"]:
            self.end = self._refusal(found["no"].decode())
        else:
            limit, left, cut = (found[name] == b"1" for name in ("limit", "left", "cut"))
            self.end = Exited(int(found["status"]), left_children=left, by_limit=limit, cut=cut)

    def _refusal(self, word: str) -> Vanished | NotStarted:
        if word in _NOT_STARTED and (word == "void" or not self._attach):
            return NotStarted(_NOT_STARTED[word])
        return Vanished(_VANISHED.get(word, _VANISHED["gone"]))


class DurableProcess:
    """See ``opsconsole.jobs.ports.RemoteProcess``. ``Dropped`` says that a later attachment may tell more."""

    def __init__(self, process: SshProcess, kept: Spool) -> None:
        self._process = process
        self._attach = kept.attach
        self._frames = Frames(attach=kept.attach)
        self._opened = False
        self._ordered = False

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what happens on the host and to the connection."""
        for event in self._process.events(poll_seconds):
            match event:
                case Output(Stream.STDOUT, data) if self._opened:
                    for told in self._frames.feed(data):
                        if isinstance(told, Started):
                            self._process.group = told.pid
                        yield told
                case Exited() | Dropped() | NotStarted():
                    yield self._ending(event)
                    return
                case Started():
                    self._opened = True
                case _:
                    # What a login shell says before the header is said at every attachment, and no output of the run.
                    yield Idle()

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Orders ``TERM``, ``HUP`` or ``KILL`` to the command's process group, over this connection."""
        self._ordered = True
        self._process.signal(name, grace=grace)

    def _ending(self, event: Event) -> Event:
        end = self._frames.end
        if isinstance(end, Exited) and isinstance(event, Exited):
            # After an order the host was swept: what had been left then is left no more, unless the sweep says so.
            left = event.left_children or (end.left_children and not self._ordered)
            return replace(end, left_children=left, doubt=event.doubt)
        if end is not None:
            return end
        if isinstance(event, NotStarted) and not self._attach:
            # The header comes before the keeper: without it nothing was begun.
            return event
        if isinstance(event, Dropped | NotStarted):
            return Dropped(event.detail)
        return Dropped("The host ended the session that followed the command.")
