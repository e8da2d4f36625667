"""Stays with a job until it ends: progress, live lines, Enter for who still runs, Ctrl-C to cancel, pause or leave."""

import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

import click

from opsconsole.cli import board as words
from opsconsole.cli.board import Board
from opsconsole.cli.client import ConsoleClient
from opsconsole.cli.feed import EventFeed, JobEvent
from opsconsole.cli.render import Prefixed
from opsconsole.cli.terminal import Terminal
from opsconsole.errors import OpsconsoleError, Unavailable
from opsconsole.hostset.folding import fold

_TICK_SECONDS = 0.25
_PLAIN_SECONDS = 10.0
_LIVE_SECONDS = 1.0
# Of the hosts that run, this many are asked for new lines each second.
_LIVE_HOSTS = 20
_NO_WORKER_SECONDS = 30.0


class Left(Enum):
    """How watching came to its end."""

    ENDED = "ended"
    DETACHED = "detached"
    IMPATIENT = "impatient"
    NO_WORKER = "no_worker"


@dataclass
class Watch:
    """Watches one job. With ``live`` the hosts' lines are printed as they come, with ``as_json`` the events are."""

    client: ConsoleClient
    terminal: Terminal
    job: int
    live: Prefixed | None = None
    as_json: bool = False
    board: Board = field(init=False)
    _started: float = field(default_factory=time.monotonic)
    _plain_at: float = 0.0
    _live_at: float = 0.0
    _interrupt: bool = False
    _cancelling: bool = False
    _workers_at: float = 0.0

    def __post_init__(self) -> None:
        self.board = Board(self.job)
        self._plain_at = self._workers_at = self._started

    def follow(self) -> Left:
        """Returns once the job has ended, the person has left it, or (off a terminal) no worker takes it up."""
        before = signal.signal(signal.SIGINT, self._note_interrupt)
        try:
            with EventFeed(self.client, self.job) as feed:
                while not self.board.finished:
                    self._step(feed)
                    if self._interrupt and (left := self._interrupted()) is not None:
                        return left
                    if self._nobody_works():
                        return Left.NO_WORKER
        finally:
            signal.signal(signal.SIGINT, before)
            self.terminal.clear_progress()
        self.board.take_status(self.client.status(self.job))
        return Left.ENDED

    def _step(self, feed: EventFeed) -> None:
        event = feed.next(_TICK_SECONDS)
        if event is not None:
            self._take(event)
        if self.live is not None:
            self._print_running()
        self._show_progress()
        if self.terminal.interactive and _enter_pressed():
            self._show_who_runs()

    def _take(self, event: JobEvent) -> None:
        if self.as_json:
            click.echo(json.dumps({"event": event.name, "id": event.id, "data": event.data}, ensure_ascii=True))
        before = self.board.paused
        changed = self.board.apply(event)
        if self.board.paused and self.board.paused != before:
            self._say_paused()
        if self.live is not None:
            for index in changed:
                if self.board.letters[index] in "ofkxl":
                    self.live.show(index)

    def _say_paused(self) -> None:
        """Names the way on: a job that waits for a person must not look like one that hangs."""
        way = f"opsconsole {self.board.way_on} {self.job}"
        self.terminal.note(f"#{self.job} waits: {self.board.paused} Go on with: {way}", always=True)

    def _print_running(self) -> None:
        now = time.monotonic()
        if self.live is None or now - self._live_at < _LIVE_SECONDS:
            return
        self._live_at = now
        running = self.board.indexes("r")
        # Another part of the running hosts has its turn each second, so that many hosts do not mean many requests.
        turn = int(now) * _LIVE_HOSTS % max(1, len(running))
        for index in islice((*running[turn:], *running[:turn]), _LIVE_HOSTS):
            self.live.show(index)

    def _show_progress(self) -> None:
        if self.as_json or self.board.finished:
            return
        if sys.stderr.isatty():
            self.terminal.progress(words.progress_line(self.board))
            return
        now = time.monotonic()
        if now - self._plain_at >= _PLAIN_SECONDS:
            self._plain_at = now
            self.terminal.note(words.plain_progress(self.board, now - self._started))

    def _show_who_runs(self) -> None:
        hosts = self._hosts()
        for letters, word in (("r", "running"), ("c", "connecting")):
            names = [hosts[index] for index in self.board.indexes(letters)]
            if names:
                self.terminal.note(f"{word}: {fold(names)} ({len(names)})", always=True)

    def _hosts(self) -> list[str]:
        live = self.live or Prefixed(self.client, self.terminal, self.job)
        return live.hosts

    def _interrupted(self) -> Left | None:
        """Asks after the first Ctrl-C, cancels after the second (off a terminal after the first), then leaves."""
        self._interrupt = False
        if self._cancelling:
            return Left.IMPATIENT
        if self.terminal.interactive:
            self.terminal.clear_progress()
            verb = "resume" if self.board.state == "paused" else "pause"
            answer = _ask(f"[c]ancel, [{verb[0]}]{verb[1:]}, [d]etach, Enter to go on: ")
            if answer.startswith("d"):
                return Left.DETACHED
            if answer.startswith(verb[0]):
                self._steer(self.board.way_on if verb == "resume" else verb)
                return None
            if not answer.startswith("c"):
                return None
        self.terminal.note("Cancelling: nothing more starts, running commands get TERM, then KILL.", always=True)
        self._cancelling = self._steer("cancel")
        return None

    def _steer(self, verb: str) -> bool:
        """Tells the console what the person wants, and returns whether it got through."""
        try:
            self.client.post(f"jobs/{self.job}/{verb}", {})
        except OpsconsoleError as error:
            self.terminal.note(f"opsconsole: the {verb} did not get through: {error.detail}", always=True)
            return False
        return True

    def _note_interrupt(self, _signal: int, _frame: object) -> None:
        # A flag and no exception: an interrupt in the middle of taking an event in must not lose that event.
        self._interrupt = True

    def _nobody_works(self) -> bool:
        """Looks, when hosts wait and nothing moves, for a worker; says so if none is, and gives up off a terminal."""
        now = time.monotonic()
        if self.board.in_flight or not self.board.counts.get("q") or now - self._workers_at < _NO_WORKER_SECONDS:
            if self.board.in_flight:
                self._workers_at = now
            return False
        self._workers_at = now
        try:
            if self.client.get("workers")["workers"]:
                return False
        except Unavailable:
            return False
        self.terminal.note(
            f"opsconsole: no worker is there to take up #{self.job}; it waits. See: opsconsole doctor", always=True
        )
        return not self.terminal.interactive


def _enter_pressed() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    # Past the buffer of sys.stdin, which would keep for itself what a later question should get.
    return bool(readable) and bool(os.read(sys.stdin.fileno(), 4096))


def _ask(question: str) -> str:
    """Returns the answer in lower case; a second Ctrl-C here means cancel, the end of input to go on."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write(f"\n{question}")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return "c"
    finally:
        signal.signal(signal.SIGINT, ours)
