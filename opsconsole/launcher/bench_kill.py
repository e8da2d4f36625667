"""The kill loop's hands and eyes: who is killed, and whether what the console says afterwards is true.

Every command of the loop writes ``start MARK`` and ``end MARK`` to a file on its host, each by one write to a file
opened for appending, so that not one start can go unseen. The console's rows are held against these lines.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from opsconsole.db.database import Database
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import ACTIVE, LETTERS, JobState, Reason, RunState
from opsconsole.launcher.process_tree import kind_of, processes

# How often each part is chosen while all of them run. Workers hold the runs, so they are chosen most.
_WEIGHTS = {"worker": 5, "broker": 3, "web": 2, "beat": 1}
_ACTIVE = [state.value for state in ACTIVE]
_SHOWN = 20
# What these say is that nothing was started.
_NEVER_STARTED = {RunState.UNREACHABLE, RunState.SKIPPED}


class Killer:
    """Kills random processes of the console whose supervisor is process ``root``; the supervisor itself is spared."""

    def __init__(self, root: int, choice: random.Random) -> None:
        self._root = root
        self._choice = choice
        self.kills: Counter[str] = Counter()

    def strike(self) -> bool:
        """Kills one process, whatever it is doing; returns false when none was there to be killed."""
        victims = self._victims()
        if not victims:
            return False
        weights = [_WEIGHTS[kind] for _, kind in victims]
        pid, kind = self._choice.choices(victims, weights)[0]
        if not _kill(pid, kind):
            return False
        self.kills[kind] += 1
        return True

    def _victims(self) -> list[tuple[int, str]]:
        """Returns the supervisor's children of a known kind, and the process in which the web server answers."""
        parents = {pid: parent for pid, parent, _ in processes()}
        found = {pid: kind_of(pid) for pid, parent in parents.items() if parent == self._root}
        found |= {pid: "web" for pid, parent in parents.items() if found.get(parent) == "web"}
        return sorted((pid, kind) for pid, kind in found.items() if kind in _WEIGHTS)


def _kill(pid: int, kind: str) -> bool:
    """Kills a process only if it still is what it was: the number of one that ended is given to another some day."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if kind_of(pid) != kind:
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
        return False
    finally:
        os.close(handle)


@dataclass(slots=True)
class Marks:
    """What the hosts know: how often each run was started, and how often it came to the end of its command."""

    starts: Counter[int] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)

    @classmethod
    def read(cls, folder: Path) -> "Marks":
        """Returns the marks in the files of ``folder``."""
        marks = cls()
        kinds = {"start": marks.starts, "end": marks.ends}
        for path in folder.iterdir():
            for line in path.read_text().splitlines():
                kind, _, mark = line.partition(" ")
                # The mark is the run and its fence: a run that was started under two fences was started twice.
                kinds[kind][int(mark.partition("-")[0])] += 1
        return marks


@dataclass(slots=True)
class Verdict:
    """What the loop left behind. ``violations`` are broken promises, in words; there should be none."""

    jobs: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    lost_after_end: int = 0
    most_starts: int = 0
    attempts: int = 0
    violations: list[str] = field(default_factory=list)


class _Facts(NamedTuple):
    """What a run's row says."""

    id: int
    job_id: int
    state: str
    reason: str | None
    attempt: int
    last_line: str | None


def unfinished(database: Database) -> int:
    """Returns how many runs and jobs are not at their end."""
    ended = [state.value for state in JobState if state.terminal]
    with database.read() as session:
        runs = session.scalar(select(func.count()).select_from(HostRun).where(HostRun.state.in_(_ACTIVE)))
        jobs = session.scalar(select(func.count()).select_from(Job).where(Job.state.not_in(ended)))
    return int(runs or 0) + int(jobs or 0)


def verify(database: Database, marks: Marks, keys: Iterable[str]) -> Verdict:
    """Holds the rows against ``marks``, and the jobs against the idempotency ``keys`` they were ordered with."""
    verdict = Verdict()
    columns = (getattr(HostRun, name) for name in _Facts._fields)
    with database.read() as session:
        runs = [_Facts(*row) for row in session.execute(select(*columns))]
        jobs = list(session.scalars(select(Job)))
    by_job: dict[int, Counter[str]] = {job.id: Counter() for job in jobs}
    for run in runs:
        by_job[run.job_id][RunState(run.state).letter] += 1
        _judge(run, marks, verdict)
    for job in jobs:
        _judge_job(job, by_job[job.id], verdict)
    _judge_orders([job.idempotency_key or "" for job in jobs], list(keys), verdict)
    strangers = marks.starts.keys() - {run.id for run in runs}
    if strangers:
        verdict.violations.append(f"runs that nobody ordered were started: {sorted(strangers)[:_SHOWN]}")
    verdict.most_starts = max(marks.starts.values(), default=0)
    return verdict


def _judge(run: _Facts, marks: Marks, verdict: Verdict) -> None:
    state, starts, ends = RunState(run.state), marks.starts[run.id], marks.ends[run.id]
    verdict.runs[state.value] += 1
    verdict.attempts = max(verdict.attempts, run.attempt)
    verdict.lost_after_end += state is RunState.LOST and bool(ends)
    never = state in _NEVER_STARTED or run.reason == Reason.BEFORE_START
    told = state is RunState.SUCCEEDED or (state is RunState.FAILED and run.reason == Reason.EXIT_STATUS)
    faults = {
        f"started {starts} times": starts > 1,
        "not at its end": not state.terminal,
        f"{starts} starts": never and starts > 0,
        f"{starts} starts, {ends} ends": told and (starts, ends) != (1, 1),
        f"last line {run.last_line!r}": told and not str(run.last_line).startswith(f"done {run.id}-"),
    }
    for what, broken in faults.items():
        if broken:
            verdict.violations.append(f"run {run.id} of job {run.job_id}: {state.value} ({run.reason}), {what}")


def _judge_job(job: Job, counts: Mapping[str, int], verdict: Verdict) -> None:
    verdict.jobs[job.state] += 1
    told, found = job.counts, {letter: counts.get(letter, 0) for letter in LETTERS}
    if not JobState(job.state).terminal:
        verdict.violations.append(f"job {job.id}: {job.state}, not at its end")
    if told != found or sum(told.values()) != job.target_count:
        verdict.violations.append(f"job {job.id}: counts {told}, rows {found}, hosts {job.target_count}")


def _judge_orders(made: Sequence[str], wanted: Sequence[str], verdict: Verdict) -> None:
    twice = [key for key, times in Counter(made).items() if times > 1]
    missing = set(wanted) - set(made)
    if twice or missing:
        verdict.violations.append(f"of {len(wanted)} orders {len(missing)} made no job and {len(twice)} made several")
