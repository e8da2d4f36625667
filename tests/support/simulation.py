"""Many random jobs on the real database, ledger and dispatcher, with hosts that are only played.

The database itself takes down every change of a run's state with the job's version, which is the order of commits. What
the jobs promised is then held against that record, and not against what the code believes.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

from sqlalchemy import text

from opsconsole.db.database import Database
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs import orders
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, Reason, RunState
from tests.support.desk import Desk, Hand

_FAILURES = {"failed", "timed_out", "lost", "unreachable"}
_HOLDS_SLOT = {"queued", "connecting", "running"}
_ENDS = [
    Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1),
    Outcome(RunState.TIMED_OUT, Reason.COMMAND_TIMEOUT),
    Outcome(RunState.LOST, Reason.CONNECTION_LOST),
]
_RECORD = "CREATE TABLE record (job_id BIGINT, ver BIGINT, run_id BIGINT, state TEXT)"
_WRITE = "INSERT INTO record VALUES (NEW.job_id, NEW.ver, NEW.id, NEW.state);"
_RECORDERS = {
    "sqlite": [f"CREATE TRIGGER record_states AFTER UPDATE OF state ON host_runs BEGIN {_WRITE} END"],
    "postgresql": [
        f"CREATE FUNCTION record_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_WRITE} RETURN NULL; END $$",
        "CREATE TRIGGER record_states AFTER UPDATE OF state ON host_runs FOR EACH ROW EXECUTE FUNCTION record_state()",
    ],
}
_FLEET = 60


@dataclass
class Messages:
    """The broker: a queue that worker threads take from, in any order it likes."""

    waiting: Queue[tuple[int, int]] = field(default_factory=Queue)
    nudges: int = 0

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        for run in runs:
            self.waiting.put(run)

    def nudge(self) -> None:
        self.nudges += 1


@dataclass(frozen=True)
class Figures:
    """What a simulation saw: how many of what, and every promise that was broken, in words."""

    jobs: int
    hosts: int
    starts: int
    stopped: int
    worst_reached: int
    # Transactions after which a job that could have had more in flight had less than its concurrency.
    idle: int
    checked: int
    broken: list[str]


class Simulation:
    """Plays ``threads`` slots of two workers that take messages, connect, start and end at random."""

    def __init__(self, desk: Desk, seed: int, *, threads: int = 24) -> None:
        self.random = random.Random(seed)  # A test that is to be repeated.
        self.desk = desk
        self.messages = Messages()
        desk.post = self.messages  # type: ignore[assignment]  # Only these two of its methods are called.
        self._hands = [desk.hand("one", slots=2000), desk.hand("two", slots=2000)]
        self._chances: dict[int, tuple[float, float]] = {}
        self._stop = threading.Event()
        self._faults: list[str] = []
        with desk.database.transaction() as session:
            for statement in [_RECORD, *_RECORDERS[desk.database.dialect]]:
                session.execute(text(statement))
            for number in range(_FLEET):
                upsert_host(session, f"web{number + 1}", tags={"dc": "abc"[number % 3]}, now=desk.clock.now())
        self._threads = [
            threading.Thread(target=self._work, args=(self._hands[n % 2], self.random.random()), name=f"slot-{n}")
            for n in range(threads)
        ]
        self._threads.append(threading.Thread(target=self._lead, name="leader"))

    def run(self, jobs: int, *, at_once: int = 8, seconds: float = 240) -> Figures:
        """Runs so many random jobs and returns what was seen. Raises ``TimeoutError`` when one does not end."""
        for thread in self._threads:
            thread.start()
        try:
            ordered: list[int] = []
            going: list[int] = []
            deadline = time.monotonic() + seconds
            while len(ordered) < jobs or going:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"jobs {going} did not end")
                going = [job_id for job_id in going if not JobState(self.desk.job(job_id).state).terminal]
                while len(going) < at_once and len(ordered) < jobs:
                    job_id = self._order()
                    ordered.append(job_id)
                    going.append(job_id)
                time.sleep(0.02)
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        return self._judge(ordered)

    def _order(self) -> int:
        pick = self.random
        hosts = pick.choice([1, 3, 10, 20, 40, _FLEET])
        allowed = pick.choice(["0", "1", "3", "10", "5%", "10%", "33%", "100%", None])
        fields: dict[str, Any] = {
            "concurrency": pick.choice([1, 2, 5, 10, 20, 50]),
            "max_failures": allowed,
            "count_unreachable": pick.random() < 0.7,
            "at_stop": pick.choice(["finish", "kill"]),
            "waves": pick.choice([None, None, None, "1 *2", "3 +2", "20%"]),
            "canary": pick.choice([None, None, None, "2", "random 3"]),
            "order": pick.choice(["given", "random", "spread dc"]),
            "limit_per": pick.choice([None, None, "dc=2", "dc=5"]),
        }
        # A sweep may see the job before its chances are known; such a host succeeds.
        job_id = self.desk.order(f"web[1-{hosts}]", credential="key:test", **fields)
        self._chances[job_id] = (pick.choice([0.0, 0.05, 0.3]), pick.choice([0.0, 0.02, 0.1, 0.3, 1.0]))
        return job_id

    def _lead(self) -> None:
        while not self._stop.is_set():
            self.messages.publish(self.desk.sweep())
            self._stop.wait(0.05)

    def _work(self, hand: Hand, seed: float) -> None:
        pick = random.Random(seed)
        while not self._stop.is_set():
            try:
                message = self.messages.waiting.get(timeout=0.1)
            except Empty:
                continue
            try:
                self._carry_out(hand, message, pick)
            except Exception as error:  # A thread that dies would only look like a slow test.
                self._faults.append(f"{type(error).__name__}: {error}")

    def _carry_out(self, hand: Hand, message: tuple[int, int], pick: random.Random) -> None:
        claim = hand.ledger.take(*message)
        if claim is None:
            return
        unreachable, failing = self._chances.get(claim.job_id, (0.0, 0.0))
        time.sleep(pick.choice([0.0, 0.0, 0.002, 0.01]))
        if pick.random() < unreachable:
            hand.ledger.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED, "refused"))
            return
        if not hand.gate(claim):
            if not hand.ledger.still_wanted(claim):
                hand.ledger.finish(claim, Outcome(RunState.CANCELLED, Reason.BEFORE_START))
            return
        time.sleep(pick.choice([0.0, 0.0, 0.002, 0.02]))
        outcome = pick.choice(_ENDS) if pick.random() < failing else Outcome(RunState.SUCCEEDED, exit_status=0)
        with self.desk.database.read() as session:
            if orders.cancels(session, [claim.run_id]):
                outcome = Outcome(RunState.CANCELLED, Reason.KILLED, "Ended.")
        hand.ledger.finish(claim, outcome)

    def _judge(self, job_ids: list[int]) -> Figures:
        record = _read_record(self.desk.database)
        broken = list(self._faults)
        hosts = starts = stopped = worst = idle = checked = 0
        for job_id in job_ids:
            self.desk.letters(job_id)
            story = Story(self.desk, job_id, record[job_id])
            broken += story.broken
            hosts += story.hosts
            starts += story.starts
            stopped += story.stopped
            worst += story.worst_reached
            idle += story.idle
            checked += story.checked
        return Figures(len(job_ids), hosts, starts, stopped, worst, idle, checked, broken)


def _read_record(database: Database) -> dict[int, list[tuple[int, int, str]]]:
    record: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    with database.read() as session:
        rows = session.execute(text("SELECT job_id, ver, run_id, state FROM record"))
        for job_id, ver, run_id, state in rows:
            record[job_id].append((ver, run_id, state))
    return record


class Story:
    """One job's changes, told in the order of their commits and held against what was promised for it."""

    def __init__(self, desk: Desk, job_id: int, changes: list[tuple[int, int, str]]) -> None:
        job = desk.job(job_id)
        self.job_id = job_id
        self.options = RunOptions.from_json(job.options)
        self.hosts = job.target_count
        self.allowed = self.options.allowed_failures(self.hosts)
        self.counted = _FAILURES if self.options.count_unreachable else _FAILURES - {"unreachable"}
        self.staged = job.plan is not None
        self.limit = int(self.options.limit_per.partition("=")[2]) if self.options.limit_per else self.hosts
        runs = desk.runs(job_id)
        self.keys = {run.id: (run.limit_keys or [""])[0] for run in runs}
        self.stopped = job.stop_reason == "threshold"
        self.broken: list[str] = []
        self.starts = self.idle = self.checked = 0
        started = Counter[int]()
        states = dict.fromkeys((run.id for run in runs), "pending")
        by_version: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for ver, run_id, state in changes:
            by_version[ver].append((run_id, state))
            started[run_id] += state == "running"
        self.starts = sum(started.values())
        if any(count > 1 for count in started.values()):
            self._say("a command was started twice")
        versions = sorted(by_version)
        for ver, following in zip(versions, [*versions[1:], None], strict=True):
            states.update(by_version[ver])
            self._hold_against(states, started=any(state == "running" for _, state in by_version[ver]))
            # What a result makes room for is queued in its transaction, under a version of its own.
            if following is None or any(state != "queued" for _, state in by_version[following]):
                self._look_for_idle(states)
        failures = sum(state in self.counted for state in states.values())
        worst = self.options.worst_case(self.hosts)
        self.worst_reached = int(worst is not None and self.allowed is not None and failures == worst < self.hosts)
        if worst is not None and failures > worst:
            self._say(f"{failures} hosts failed, at most {worst} were to")

    def _hold_against(self, states: dict[int, str], *, started: bool) -> None:
        counts = Counter(states.values())
        failures = sum(counts[state] for state in self.counted)
        exceeded = self.allowed is not None and failures > self.allowed
        if started and exceeded:
            self._say(f"a command started after {failures} failures, {self.allowed} were allowed")
        in_flight = sum(counts[state] for state in _HOLDS_SLOT)
        if in_flight > self.options.concurrency:
            self._say(f"{in_flight} in flight, {self.options.concurrency} allowed")
        if any(number > self.limit for number in self._per_key(states).values()):
            self._say(f"more than {self.limit} in flight of one tag")

    def _per_key(self, states: dict[int, str]) -> Counter[str]:
        return Counter(self.keys[run_id] for run_id, state in states.items() if state in _HOLDS_SLOT)

    def _look_for_idle(self, states: dict[int, str]) -> None:
        counts = Counter(states.values())
        failures = sum(counts[state] for state in self.counted)
        stopping = self.allowed is not None and failures > self.allowed
        # Between its waves a job need not be full.
        if counts["pending"] and not stopping and not self.staged:
            per_key = self._per_key(states)
            could = any(s == "pending" and per_key[self.keys[run_id]] < self.limit for run_id, s in states.items())
            self.checked += 1
            self.idle += could and per_key.total() < self.options.concurrency

    def _say(self, what: str) -> None:
        self.broken.append(f"job {self.job_id}: {what}")
