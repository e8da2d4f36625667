"""A console made of real parts: a migrated database, a broker, worker processes, and a person who orders jobs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.clock import SystemClock
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.jobs import control, queries, recover
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import JobState
from opsconsole.launcher import broker, folder
from opsconsole.launcher.orphans import end_with_parent
from opsconsole.settings import Settings, child_environment
from opsconsole.tasks.app import make_celery
from opsconsole.tasks.dispatcher import CeleryDispatcher
from tests.support.factories import make_user

# A commit waits for its group on a busy machine; what a test waits for is never slower than this by design.
_START_SECONDS = 60.0
_JOB_SECONDS = 90.0
_POLL_SECONDS = 0.05
_SECRETS = ("database_url", "broker_url", "secret_key")

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], seconds: float, what: str) -> Found:
    """Returns the first true answer of ``look``; the test fails when there is none within ``seconds``."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < give_up_at, f"not within {seconds:g} s: {what}"
        time.sleep(_POLL_SECONDS)


@dataclass
class Worker:
    """A worker process and its log."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """The process id, as in the row of the worker."""
        return self.process.pid

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short: it gets no chance to say anything."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 20.0) -> float:
        """Asks it to stop and returns how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        return time.monotonic() - began

    @property
    def rss(self) -> int:
        """Bytes of memory that are its own."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    @property
    def threads(self) -> int:
        """How many native threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    @property
    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@dataclass
class Console:
    """A running console. ``actor`` is an administrator."""

    settings: Settings
    database: Database
    dispatcher: CeleryDispatcher
    actor: Actor
    workers: list[Worker] = field(default_factory=list)
    clock: SystemClock = field(default_factory=SystemClock)

    def start_workers(self, count: int = 1, **overrides: object) -> list[Worker]:
        """Returns ``count`` new worker processes that have reported in. ``overrides`` are settings of theirs alone."""
        started = [self._spawn(f"worker-{len(self.workers) + n + 1}", overrides) for n in range(count)]
        self.workers.extend(started)
        for worker in started:
            until(partial(self._reported, worker), _START_SECONDS, f"{worker.name} reports in")
        return started

    def launch(self, targets: str, command: str, **fields: Any) -> int:
        """Returns the id of a new job, after workers were told."""
        launcher = Launcher(self.settings, Cipher(self.settings.secret()))
        with self.database.transaction() as session:
            order = Order(targets, command, **fields)
            job, _ = launcher.launch(session, order, self.actor, now=self.clock.now())
        self.dispatcher.nudge()
        return int(job.id)

    def rerun(self, job_id: int, letters: str) -> int:
        """Returns the id of a new job on the hosts of ``job_id`` in the states ``letters``."""
        launcher = Launcher(self.settings, Cipher(self.settings.secret()))
        with self.database.transaction() as session:
            order = control.relaunch(session, session.get_one(Job, job_id), letters=letters)
            job, _ = launcher.launch(session, order, self.actor, now=self.clock.now())
        self.dispatcher.nudge()
        return int(job.id)

    def cancel(self, job_id: int) -> None:
        """Cancels a job."""
        with self.database.transaction() as session:
            control.cancel(session, session.get_one(Job, job_id), self.actor, now=self.clock.now())
        self.dispatcher.nudge()

    def status(self, job_id: int) -> dict[str, Any]:
        """Returns the status body, whose counts must sum to the number of targets at every look."""
        with self.database.read() as session:
            job = queries.get_job(session, job_id, self.actor)
            body = queries.status(session, job, now=self.clock.now())
        assert sum(body["counts"].values()) == body["targets"]["count"], body
        return body

    def until_counts(self, job_id: int, seconds: float = 30.0, **least: int) -> dict[str, Any]:
        """Returns the status once each letter's count is at least what is said."""

        def look() -> dict[str, Any] | None:
            body = self.status(job_id)
            return body if all(body["counts"][letter] >= count for letter, count in least.items()) else None

        return until(look, seconds, f"job {job_id} has {least}")

    def follow(self, job_id: int, seconds: float = _JOB_SECONDS) -> dict[str, Any]:
        """Returns the status of the job once it has ended."""

        def look() -> dict[str, Any] | None:
            body = self.status(job_id)
            return body if JobState(body["state"]).terminal else None

        return until(look, seconds, f"job {job_id} ends")

    def run(self, targets: str, command: str, **fields: Any) -> tuple[dict[str, Any], list[HostRun]]:
        """Returns the final status and the rows of a job."""
        job_id = self.launch(targets, command, **fields)
        body = self.follow(job_id)
        return body, self.runs(job_id)

    def runs(self, job_id: int) -> list[HostRun]:
        """Returns the rows of a job in the order of its roster."""
        with self.database.read() as session:
            return list(session.scalars(select(HostRun).where(HostRun.job_id == job_id).order_by(HostRun.i)))

    def mark_gone(self, worker: Worker) -> None:
        """Notes that a worker has ended, as its supervisor does."""
        with self.database.transaction() as session:
            recover.mark_gone(session, socket.gethostname(), worker.pid, self.clock.now())

    def logs(self) -> str:
        """Returns what all workers logged."""
        return "\n".join(worker.log.read_text(errors="replace") for worker in self.workers)

    def stop(self) -> None:
        """Ends all workers."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        for worker in alive:
            worker.process.send_signal(signal.SIGTERM)
        for worker in alive:
            try:
                worker.process.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                raise AssertionError(f"{worker.name} did not stop: {worker.log.read_text()[-3000:]}") from None

    def _spawn(self, name: str, overrides: Mapping[str, object]) -> Worker:
        log = folder.logs_dir(self.settings) / f"{name}.log"
        command = [sys.executable, "-m", "opsconsole.launcher.processes", "worker", name]
        with log.open("ab") as handle:
            process = subprocess.Popen(
                command,
                env=environment_of(self.settings, overrides),
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        return Worker(name, process, log)

    def _reported(self, worker: Worker) -> bool:
        assert worker.process.poll() is None, worker.log.read_text()
        with self.database.read() as session:
            return worker.pid in {row["pid"] for row in queries.workers(session)["list"]}


def environment_of(settings: Settings, overrides: Mapping[str, object]) -> dict[str, str]:
    """Returns the environment of a process of this console, ``overrides`` being settings of that process alone."""
    chosen = {name: getattr(settings, name) for name in settings.model_fields_set}
    clear = {name: value.get_secret_value() for name in _SECRETS if (value := chosen.get(name)) is not None}
    # The tests' own home is no business of the workers: no key and no known_hosts of the person at the keyboard.
    home = {"HOME": str(settings.data_dir), "SSH_AUTH_SOCK": ""}
    return {**child_environment({**chosen, **clear, **overrides}), **home}


@contextmanager
def embedded_broker(settings: Settings) -> Iterator[None]:
    """Runs the embedded broker of these settings."""
    process = start_broker(settings)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _prepare(settings: Settings) -> None:
    """Makes the folders of a console; what the tests make besides keeps the rights it always has."""
    umask = os.umask(0o077)
    try:
        folder.prepare(settings)
    finally:
        os.umask(umask)


def start_broker(settings: Settings) -> "subprocess.Popen[bytes]":
    """Returns the process of the embedded broker, once it takes commands."""
    _prepare(settings)
    process = subprocess.Popen(
        broker.command(settings, broker.find_program()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(end_with_parent, os.getpid()),
    )
    until(lambda: broker.answers(settings), 30, "the broker answers")
    return process


@contextmanager
def running_console(settings: Settings, *, migrate: bool = True, outage: bool = False) -> Iterator[Console]:
    """Runs a console on the database and the broker that ``settings`` name; workers are started by the test.

    At the end all workers are stopped, and no log may hold a traceback, unless the test brings about an ``outage``:
    Celery's remote control writes one when its connection breaks.
    """
    _prepare(settings)
    if migrate:
        upgrade(settings.database)
    database = Database(settings.database)
    try:
        with database.transaction() as session:
            user = make_user(session, role=Role.ADMIN)
            actor = Actor(user.id, user.name, Role.ADMIN)
        console = Console(settings, database, CeleryDispatcher(make_celery(settings)), actor)
        try:
            yield console
        finally:
            console.stop()
        assert outage or "Traceback" not in console.logs(), console.logs()
    finally:
        database.close()


def marks(path: Path) -> Sequence[str]:
    """Returns the lines that commands on the hosts have written to ``path``."""
    return path.read_text().split() if path.exists() else []


def processes_of_runs(runs: Sequence[HostRun]) -> list[int]:
    """Returns the ids of the processes on this machine, which plays all hosts, that carry a mark of these runs."""
    wanted = {run.mark.encode() for run in runs if run.mark is not None}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = {*(entry / "environ").read_bytes().split(b"\0"), *(entry / "cmdline").read_bytes().split(b"\0")}
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(word.removeprefix(b"OPSC_RUN=") in wanted for word in words):
                found.append(int(entry.name))
    return found
