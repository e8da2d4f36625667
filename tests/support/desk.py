"""A console without processes: a test orders jobs, plays the workers by the real ledger, and counts what is sent."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.inventory.hostkeys import KnownKey
from opsconsole.jobs import control, dispatch, recover
from opsconsole.jobs.claims import Claim, ClaimReader
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.ledger import Ledger, Outcome
from opsconsole.jobs.limits import Caps
from opsconsole.jobs.models import HostRun, Job, WorkerProcess
from opsconsole.jobs.output import BoundedOutput
from opsconsole.jobs.ports import ConnectionFacts
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import ACTIVE, LETTERS, JobState, RunState, StopReason, verdict
from opsconsole.jobs.tide import Tide
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.factories import make_key, make_user


class Post:
    """Takes the place of the broker: keeps what is published, or does not answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.looks: list[int] = []
        self.scans: list[int] = []
        self.tests: list[int] = []
        self.attached: list[tuple[int, int]] = []
        self.nudges = 0
        self.away = False

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        if self.away:
            raise Unavailable("The broker does not answer.", code="broker")
        self.sent.extend(runs)

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        if self.away:
            raise Unavailable("The broker does not answer.", code="broker")
        self.looks.extend(run_ids)

    def publish_scans(self, scan_ids: Sequence[int]) -> None:
        if self.away:
            raise Unavailable("The broker does not answer.", code="broker")
        self.scans.extend(scan_ids)

    def publish_tests(self, test_ids: Sequence[int]) -> None:
        if self.away:
            raise Unavailable("The broker does not answer.", code="broker")
        self.tests.extend(test_ids)

    def attach(self, runs: Sequence[tuple[int, int]]) -> None:
        if self.away:
            raise Unavailable("The broker does not answer.", code="broker")
        self.attached.extend(runs)

    def nudge(self) -> None:
        self.nudges += 1

    def collect(self) -> list[tuple[int, int]]:
        """Returns what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


def facts(key: KnownKey | None = None) -> ConnectionFacts:
    """Returns what a worker knows once connected."""
    return ConnectionFacts("127.0.0.1", key or make_key(), host_key_new=False, reused=False, connect_ms=3)


SUCCEEDED = Outcome(RunState.SUCCEEDED, exit_status=0, duration_ms=5)


class Hand:
    """One worker process as far as the database knows: its row and its ledger."""

    def __init__(self, desk: "Desk", name: str, *, slots: int = 1000, settings: Settings | None = None) -> None:
        self.desk = desk
        self.id = name
        settings = settings or desk.settings
        reader = ClaimReader(
            settings,
            Cipher(settings.secret()),
            worker_id=lambda: self.id,
            worker_name=f"here:{name}:{len(desk.hands) + 1}",
            home=settings.data_dir,
        )
        self.ledger = Ledger(
            desk.database,
            desk.post,
            reader,
            now=desk.clock.now,
            slots=desk.slots,
            kick=desk.kick,
            caps=Caps.parse(settings.limits),
            offload=lambda call: call(),
            tide=Tide(settings.tide_file),
            spool=Spool(settings.spool_dir, offload=lambda call: call()),
            spool_seconds=settings.spool_seconds,
        )
        self.pid = len(desk.hands) + 1
        with desk.database.transaction() as session:
            name = f"here:{name}:{self.pid}"
            recover.register(session, self.id, name=name, pid=self.pid, slots=slots, version="1", now=desk.clock.now())

    def take(self, run_id: int, attempt: int = 1) -> Claim | None:
        return self.ledger.take(run_id, attempt)

    def gate(self, claim: Claim) -> bool:
        return self.ledger.open_gate(claim, facts(), deadline=float("inf"))

    def finish(self, claim: Claim, outcome: Outcome = SUCCEEDED, output: bytes | None = None) -> bool:
        kept = None
        if output is not None:
            kept = BoundedOutput(1024, 1024)
            kept.add(1, output, 0)
        return self.ledger.finish(claim, outcome, output=kept)

    def start(self, run_id: int, attempt: int = 1) -> Claim:
        """Returns the claim of a run that now runs."""
        claim = self.take(run_id, attempt)
        assert claim is not None
        assert self.gate(claim)
        return claim


@dataclass
class Desk:
    """Everything of a console but its processes. Times are the fake clock's."""

    settings: Settings
    database: Database
    clock: FakeClock
    post: Post = field(default_factory=Post)
    hands: list[Hand] = field(default_factory=list)
    kicks: int = 0
    _actor: Actor | None = None

    @property
    def actor(self) -> Actor:
        """The administrator who orders when nobody else is named."""
        if self._actor is None:
            self._actor = self.person(Role.ADMIN)
        return self._actor

    @property
    def launcher(self) -> Launcher:
        return Launcher(self.settings, Cipher(self.settings.secret()))

    def person(self, role: Role = Role.OPERATOR) -> Actor:
        """Returns a new person."""
        with self.database.transaction() as session:
            user = make_user(session, role=role, now=self.clock.now())
            return Actor(user.id, user.name, role)

    def hand(self, name: str = "w1", **options: Any) -> Hand:
        """Returns a new worker."""
        made = Hand(self, name, **options)
        self.hands.append(made)
        return made

    def order(
        self, targets: str = "web[1-3]", command: str = "uptime", *, by: Actor | None = None, **fields: Any
    ) -> int:
        """Returns the id of a new job."""
        with self.database.transaction() as session:
            order = Order(targets, command, **fields)
            job, _ = self.launcher.launch(session, order, by or self.actor, now=self.clock.now())
            return int(job.id)

    def slots(self) -> int:
        with self.database.read() as session:
            return dispatch.live_slots(session)

    def kick(self) -> None:
        self.kicks += 1

    def sweep(self) -> list[tuple[int, int]]:
        """Does the leader's round over all jobs and returns what it would publish."""
        with self.database.transaction() as session:
            return dispatch.sweep(
                session,
                self.clock.now(),
                slots=dispatch.live_slots(session),
                caps=Caps.parse(self.settings.limits),
            )

    def cancel(self, job_id: int, hosts: Sequence[str] | None = None) -> None:
        with self.database.transaction() as session:
            control.cancel(session, session.get_one(Job, job_id), self.actor, now=self.clock.now(), hosts=hosts)

    def gone(self, hand: Hand) -> None:
        """Lets a worker be known as ended, and its runs be settled."""
        with self.database.transaction() as session:
            session.get_one(WorkerProcess, hand.id).gone_at = self.clock.now()
            session.flush()
            recover.reap(session, recover.Observer(30.0), self.clock.monotonic(), self.clock.now())

    def job(self, job_id: int) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def runs(self, job_id: int) -> list[HostRun]:
        with self.database.read() as session:
            return list(session.scalars(_runs_of(job_id)))

    def run(self, run_id: int) -> HostRun:
        with self.database.read() as session:
            return session.get_one(HostRun, run_id)

    def letters(self, job_id: int) -> str:
        """Returns the letters of the job's runs, after a look whether its counters tell the same."""
        # At one moment: others may be at work.
        with self.database.read() as session:
            job = session.get_one(Job, job_id)
            runs = list(session.scalars(_runs_of(job_id)))
        shown = "".join(RunState(run.state).letter for run in runs)
        assert job.counts == {letter: shown.count(letter) for letter in LETTERS}
        assert sum(job.counts.values()) == job.target_count
        assert job.n_queued == sum(run.state == RunState.QUEUED for run in runs)
        assert all(run.ver <= job.ver for run in runs)
        active = any(RunState(run.state) in ACTIVE for run in runs)
        assert JobState(job.state).terminal is not active
        if not active:
            stop = StopReason(job.stop_reason) if job.stop_reason else None
            assert job.state == verdict(shown.count("o"), shown.count("x"), len(shown), stop)
            assert job.finished_at is not None
        return shown

    def close(self) -> None:
        for hand in self.hands:
            hand.ledger.close()


def _runs_of(job_id: int) -> Select[tuple[HostRun]]:
    return select(HostRun).where(HostRun.job_id == job_id).order_by(HostRun.i)


@contextmanager
def open_desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    """Yields a desk whose ledgers are closed at the end."""
    desk = Desk(settings, database, clock)
    threads = set(threading.enumerate())
    try:
        yield desk
    finally:
        desk.close()
    assert set(threading.enumerate()) <= threads


def key_file(settings: Settings, name: str = "test") -> Settings:
    """Returns the settings with a named key file, which nobody reads."""
    return settings.model_copy(update={"key_files": {name: Path("/nonexistent/key")}, "allow_unlisted_hosts": True})
