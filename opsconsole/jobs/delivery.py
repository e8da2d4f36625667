"""Brings what runs have to say to the database, however long that is away, without making a running command wait.

Output that the database has not taken yet is held back and bounded; a result is kept in the spool on this machine's
disk after a short while.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

import structlog

from opsconsole.db.group_commit import GroupCommit, Posted
from opsconsole.errors import Unavailable
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.entries import Answer, Entry, Finish, Progress, Replay
from opsconsole.jobs.outcomes import Outcome, OutputFacts, Result, joined
from opsconsole.jobs.output import BoundedOutput, Flush
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.steps import StepFacts

_log = structlog.get_logger(__name__)
FIRST_RETRY_SECONDS = 0.2
MOST_RETRY_SECONDS = 5.0
_NOTHING = Flush((), None, 0)
# How often one who waits for the database looks whether the result should rather be kept here.
_LOOK_SECONDS = 0.25
# While results cannot even be kept on disk, this often a line of the log says so.
_ALARM_SECONDS = 30.0


@dataclass(slots=True)
class _Sent:
    """Output on its way to the database."""

    posted: Posted[Entry, Answer]
    flush: Flush
    steps: tuple[StepFacts, ...] = ()
    wait: float = FIRST_RETRY_SECONDS
    again_at: float = 0.0


class Delivery:
    """The ways of one process's entries into ``group``. ``generation`` names the database they are for."""

    def __init__(
        self, group: GroupCommit[Entry, Answer], spool: Spool, spool_seconds: float, generation: Callable[[], str]
    ) -> None:
        self._group = group
        self._spool = spool
        self._spool_seconds = spool_seconds
        self._generation = generation
        self._sent: WeakKeyDictionary[BoundedOutput, _Sent] = WeakKeyDictionary()
        self._in_hand: set[str] = set()
        self._alarmed = -_ALARM_SECONDS
        # Set once this process is about to end.
        self.leaving = threading.Event()

    def insist(self, entry: Entry) -> Answer:
        """Returns the answer to ``entry`` once it is committed; ``None`` when this process ends before that.

        Only for what the others settle without it: nothing has started, or it is a question.
        """
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                return self._group.submit(entry)
            except Unavailable:
                if self.leaving.wait(wait):
                    return None
                wait = min(wait * 2, MOST_RETRY_SECONDS)

    def progress(self, claim: Claim, output: BoundedOutput, *, tail: bool) -> None:
        """Sends the output that is ready, unless what was sent before is still on its way."""
        sent, now = self._sent.get(output), time.monotonic()
        if sent is None or _arrived(sent):
            self._send(claim, output, output.flush(tail=tail), FIRST_RETRY_SECONDS)
        elif sent.posted.done.is_set():
            if not sent.again_at:
                sent.again_at = now + sent.wait
            elif now >= sent.again_at:
                flush = joined(sent.flush, output.flush(tail=tail))
                output.moved = output.moved or bool(sent.steps)
                self._send(claim, output, flush, min(sent.wait * 2, MOST_RETRY_SECONDS))

    def _send(self, claim: Claim, output: BoundedOutput, flush: Flush, wait: float) -> None:
        steps, output.moved = tuple(output.steps) if output.moved else (), False
        posted = self._group.post(Progress(claim, OutputFacts.of(output), flush, steps))
        self._sent[output] = _Sent(posted, flush, steps, wait)

    def finish(self, claim: Claim, outcome: Outcome, ended_at: datetime, output: BoundedOutput) -> bool:
        """Stores the end of a run that had started and returns whether it was still this claim's to say.

        What the database does not take goes to the spool. Returns false, too, when this process ends before the
        database has taken it: the spool keeps it for the next one.
        """
        result = self._result(claim, outcome, ended_at, output)
        self._in_hand.add(result.key)
        try:
            return self._deliver(Finish(claim, outcome, ended_at, result), result)
        finally:
            self._in_hand.discard(result.key)

    def _result(self, claim: Claim, outcome: Outcome, ended_at: datetime, output: BoundedOutput) -> Result:
        sent = self._sent.pop(output, None)
        unsaved = sent.flush if sent is not None and not _arrived(sent) else _NOTHING
        return Result(
            self._generation(),
            claim.job_id,
            claim.run_id,
            claim.i,
            claim.fence,
            ended_at,
            outcome,
            OutputFacts.of(output),
            claim.start.so_far.with_digests(output.digests(f"{outcome.exit_status}/{outcome.exit_signal}")),
            joined(unsaved, output.flush(tail=True)),
            tuple(output.steps),
        )

    def _deliver(self, entry: Finish, result: Result) -> bool:
        began, wait, kept = time.monotonic(), FIRST_RETRY_SECONDS, False
        posted = self._group.post(entry)
        while True:
            if posted.done.wait(_LOOK_SECONDS):
                try:
                    answer = bool(posted.answer())
                except Unavailable:
                    # Not while this process is about to end: then it looks at once whether it may go.
                    self.leaving.wait(wait)
                    wait = min(wait * 2, MOST_RETRY_SECONDS)
                    posted = self._group.post(entry)
                else:
                    if kept:
                        self._spool.remove(result)
                    return answer
            if not kept and time.monotonic() - began >= self._spool_seconds:
                kept = self._keep(result)
            if kept and self.leaving.is_set():
                return False

    def _keep(self, result: Result) -> bool:
        try:
            if not self._spool.keep(result):
                _log.error("disk full: a result is kept without the last of its output", run=result.key)
        except Unavailable as error:
            now = time.monotonic()
            if now - self._alarmed >= _ALARM_SECONDS:
                self._alarmed = now
                _log.error("results are kept in memory only, and are lost with this process", reason=error.detail)
            return False
        _log.warning("the database does not take a result for now; it waits on this disk", run=result.key)
        return True

    def replay(self) -> None:
        """Stores what former processes left in the spool, until the database does not answer."""
        for key in self._spool.waiting():
            if key not in self._in_hand and not self._replay(key):
                return

    def _replay(self, key: str) -> bool:
        result = self._spool.load(key)
        if result is None:
            return True
        if result.generation != self._generation():
            self._spool.set_aside(key, "it belongs to another database, or to this one before it was restored")
            return True
        try:
            stored = self._group.submit(Replay(result))
        except Unavailable:
            return False
        if stored is None:
            self._spool.set_aside(key, "the database does not know this run")
            return True
        _log.info("a result from the spool was offered to the database", run=key, stored=bool(stored))
        self._spool.remove(result)
        return True


def _arrived(sent: _Sent) -> bool:
    """Returns whether the database has taken it. Raises what went wrong, unless trying again may help."""
    if not sent.posted.done.is_set() or isinstance(sent.posted.error, Unavailable):
        return False
    sent.posted.answer()
    return True
