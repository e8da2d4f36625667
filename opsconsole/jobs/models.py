"""Tables of jobs, their host runs and output, and of the worker processes that carry them out.

The state columns are written by ``jobs.transitions`` alone.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from opsconsole.db.base import Base, UTCDateTime
from opsconsole.jobs.states import LETTERS

_ASKED = text("look = 'asked'")
BigId = BigInteger().with_variant(Integer, "sqlite")


class Job(Base):
    """One launched batch. Who, what, where and how never change after launch; ``ver`` counts changes of its runs."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("created_by_id", "idempotency_key"),
        Index("ix_jobs_state_id", "state", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    command: Mapped[str] = mapped_column(Text)
    # How the command is run: interpreter, arguments, stdin, folder, environment, as whom; none for a plain command.
    what: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    expression: Mapped[str] = mapped_column(Text)
    exclude: Mapped[str] = mapped_column(Text, default="")
    folded: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(80))
    target_count: Mapped[int]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    # {"kind": "auto" | "ambient" | "key_file" | "password", "name": ..., "user": ...}; never a secret.
    auth: Mapped[dict[str, Any]] = mapped_column(JSON)
    launch_type: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(500))
    rerun_of: Mapped[int | None] = mapped_column(BigId, index=True)
    # The saved command that it was started from, whose numbers are never given twice.
    saved_id: Mapped[int | None] = mapped_column(index=True)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_by: Mapped[str] = mapped_column(String(150))
    idempotency_key: Mapped[str | None] = mapped_column(String(100))
    # Of the order that came with the key, so that another order with the same key is noticed.
    order_digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    state: Mapped[str] = mapped_column(String(20))
    stop_reason: Mapped[str | None] = mapped_column(String(16))
    stopped_by: Mapped[str | None] = mapped_column(String(150))
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ver: Mapped[int] = mapped_column(BigInteger, default=0)

    n_q: Mapped[int] = mapped_column(default=0)
    n_c: Mapped[int] = mapped_column(default=0)
    n_r: Mapped[int] = mapped_column(default=0)
    n_o: Mapped[int] = mapped_column(default=0)
    n_f: Mapped[int] = mapped_column(default=0)
    n_k: Mapped[int] = mapped_column(default=0)
    n_u: Mapped[int] = mapped_column(default=0)
    n_x: Mapped[int] = mapped_column(default=0)
    n_s: Mapped[int] = mapped_column(default=0)
    n_l: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    # One entry a wave, the canary first: {"size": hosts, "kind": "canary" | "wave"}; none when all may go at once.
    plan: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    # The wave whose hosts may start now, and what is left of the pause before it may.
    wave: Mapped[int] = mapped_column(default=0, server_default="0")
    hold_ms: Mapped[int | None]
    # The step that hosts of this wave may start; none where a host goes through its steps on its own.
    step: Mapped[str | None] = mapped_column(String(8))
    pause_reason: Mapped[str | None] = mapped_column(String(16))
    paused_by: Mapped[str | None] = mapped_column(String(150))
    # How long the job has run without its pauses, counted by the leader's monotonic clock for ``job_timeout``.
    elapsed_ms: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # The failure budget as numbers, so that the start gate can ask for it under the job's lock.
    failures_allowed: Mapped[int | None]
    count_unreachable: Mapped[bool] = mapped_column(default=True, server_default=true())
    durable: Mapped[bool] = mapped_column(default=False, server_default=false())
    # What carries it out: one of ``Executor``, or ``mixed`` when its hosts differ.
    executor: Mapped[str] = mapped_column(String(16), default="ssh", server_default="ssh")
    # As ``arranging.tags_of`` read them at the launch. Large, and asked for with the roster alone.
    tags: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)

    # Of those in n_q, how many are published and hold a slot of the job's concurrency.
    n_queued: Mapped[int] = mapped_column(default=0)

    @property
    def counts(self) -> dict[str, int]:
        """The ten counts of the status contract; they always sum to ``target_count``."""
        return {letter: getattr(self, f"n_{letter}") for letter in LETTERS}


class HostRun(Base):
    """The command on one host. ``fence`` grows with every claim; ``attempt`` with every delivery."""

    __tablename__ = "host_runs"
    __table_args__ = (
        UniqueConstraint("job_id", "i"),
        Index("ix_host_runs_job_id_ver", "job_id", "ver"),
        Index("ix_host_runs_job_id_state_rank", "job_id", "state", "rank"),
        Index("ix_host_runs_state_next_publish_at", "state", "next_publish_at"),
        Index("ix_host_runs_owner_state", "owner", "state"),
        Index("ix_host_runs_host", "host"),
        # Only questions that wait are asked for, and there are few.
        Index("ix_host_runs_look", "look", sqlite_where=_ASKED, postgresql_where=_ASKED),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    i: Mapped[int]
    host: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    user: Mapped[str] = mapped_column(String(64))
    credential: Mapped[str | None] = mapped_column(String(64))
    # The hosts it is reached through, in order; none when it is reached directly.
    jump: Mapped[str | None] = mapped_column(String(1000))
    # The values of the variables that the job's texts name, for this host.
    variables: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    # The place in the order in which hosts are started, the wave they belong to, and the limits they count for.
    rank: Mapped[int] = mapped_column(default=0, server_default="0")
    wave: Mapped[int] = mapped_column(default=0, server_default="0")
    limit_keys: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    # What carries it out on this host, frozen at launch.
    executor: Mapped[str] = mapped_column(String(16), default="ssh", server_default="ssh")
    # The step that the host is at, or ended at; none for an order that has only one.
    step: Mapped[str | None] = mapped_column(String(8))
    # What lies behind it when it waits for the next step, see ``sofar``.
    so_far: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # Held back by a person: it stays pending until it is resumed.
    held: Mapped[bool] = mapped_column(default=False, server_default=false())

    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(24))
    detail: Mapped[str | None] = mapped_column(String(500))
    exit_status: Mapped[int | None]
    exit_signal: Mapped[str | None] = mapped_column(String(16))
    ver: Mapped[int] = mapped_column(BigInteger, default=0)

    attempt: Mapped[int] = mapped_column(default=1)
    fence: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(32))
    worker: Mapped[str | None] = mapped_column(String(255))
    next_publish_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    publishes: Mapped[int] = mapped_column(default=0)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Seconds between TERM and KILL that this cancel gives; the job's own when it says nothing.
    cancel_grace: Mapped[float | None]
    # How its host key is judged, where its host or a group says it; else the console's setting does.
    host_key_policy: Mapped[str | None] = mapped_column(String(16))
    # What the command's processes on the host carry in their environment as OPSC_RUN; made anew by each claim.
    mark: Mapped[str | None] = mapped_column(String(64))
    late: Mapped[bool] = mapped_column(default=False)
    left_children: Mapped[bool] = mapped_column(default=False)

    queued_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    claimed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    connect_ms: Mapped[int | None]
    duration_ms: Mapped[int | None]
    reused: Mapped[bool] = mapped_column(default=False)
    pid: Mapped[int | None]
    host_key: Mapped[str | None] = mapped_column(String(64))

    stdout_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    stderr_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    lines: Mapped[int] = mapped_column(BigInteger, default=0)
    last_line: Mapped[str | None] = mapped_column(String(300))
    # Bytes [gap_from, gap_from + gap_bytes) of the run's output were counted but not kept.
    gap_from: Mapped[int | None] = mapped_column(BigInteger)
    gap_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    # How many bytes of files were carried, of how many as far as that is known; none where a command ran.
    done_bytes: Mapped[int | None] = mapped_column(BigInteger)
    total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # SHA-256 over exit, stdout and stderr: equal for hosts that said exactly the same.
    output_digest: Mapped[str | None] = mapped_column(String(64))
    # The same for hosts that differ in looks alone, or in readings (times, sizes, PIDs, own names) alone.
    digest_clean: Mapped[str | None] = mapped_column(String(64))
    digest_similar: Mapped[str | None] = mapped_column(String(64))

    # What a later look at the host found of a run whose end is not known: asked, running, gone or unknown.
    look: Mapped[str | None] = mapped_column(String(16))
    look_kill: Mapped[bool] = mapped_column(default=False, server_default=false())
    look_detail: Mapped[str | None] = mapped_column(String(500))
    looked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class RunAttempt(Base):
    """An earlier attempt at a host that ended before the command started, kept for the record."""

    __tablename__ = "run_attempts"

    host_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("host_runs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str | None] = mapped_column(String(24))
    detail: Mapped[str | None] = mapped_column(String(500))
    worker: Mapped[str | None] = mapped_column(String(255))
    claimed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime] = mapped_column(UTCDateTime)


class RunStep(Base):
    """How one step of an order went on a host. Bytes ``[from_byte, to_byte)`` of the run's output are its own."""

    __tablename__ = "run_steps"

    host_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("host_runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(String(8), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    exit_status: Mapped[int | None]
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    from_byte: Mapped[int] = mapped_column(BigInteger)
    to_byte: Mapped[int | None] = mapped_column(BigInteger)
    lines: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class JobEvent(Base):
    """What the console itself decided about a job: a wave, a gate, a stop. What people did is in the audit."""

    __tablename__ = "job_events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(BigId, ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    kind: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class OutputChunk(Base):
    """A piece of a run's output. ``offset`` counts bytes of both streams together in the order they arrived."""

    __tablename__ = "output_chunks"

    host_run_id: Mapped[int] = mapped_column(BigId, ForeignKey("host_runs.id", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fd: Mapped[int] = mapped_column(SmallInteger)
    at_ms: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ConnectionTest(Base):
    """One host whose connection a worker is asked to test, with those asked for together (``batch``).

    It says where and as whom as a host run does; ``run_as`` is that part of ``what.What``. ``findings`` are those of
    ``jobs.probe``, none until a worker was there, and ``ok`` whether the last of them did not fail.
    """

    __tablename__ = "connection_tests"
    __table_args__ = (Index("ix_connection_tests_host_id", "host", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[str] = mapped_column(String(32), index=True)
    host: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    user: Mapped[str] = mapped_column(String(64))
    credential: Mapped[str | None] = mapped_column(String(64))
    jump: Mapped[str | None] = mapped_column(String(1000))
    host_key_policy: Mapped[str | None] = mapped_column(String(16))
    executor: Mapped[str] = mapped_column(String(16))
    run_as: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    connect_ms: Mapped[int]
    requested_by: Mapped[str] = mapped_column(String(150))
    requested_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_publish_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    ok: Mapped[bool | None]
    findings: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))


class WorkerProcess(Base):
    """A worker process. ``beat`` only grows; one that stands still for long is a lost worker, whatever clocks say."""

    __tablename__ = "worker_processes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(String(32))
    slots: Mapped[int]
    busy: Mapped[int] = mapped_column(default=0)
    beat: Mapped[int] = mapped_column(BigInteger, default=0)
    beat_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    draining: Mapped[bool] = mapped_column(default=False)
    # What it finds wrong with the broker: unreachable, full, evicts.
    broker_fault: Mapped[str | None] = mapped_column(String(16))
    # Set when it carries out nothing because the database is not the one it knew: restored or generation.
    refuses: Mapped[str | None] = mapped_column(String(16))
    # Set when the process is known to have ended: by itself, by its supervisor, or by the reaper.
    gone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reaped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Set while a person lets it take no further run; ``draining`` is that of a process that stops.
    drained_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    drained_by: Mapped[str | None] = mapped_column(String(150))

    @property
    def machine(self) -> str:
        """The host name of the machine it runs on."""
        return self.name.split(":", 1)[0]

    @property
    def label(self) -> str:
        """What it is called on its machine; a name is ``machine:label:pid``."""
        return [*self.name.split(":"), self.name][1]


class LeaderLease(Base):
    """Which worker process does the work that one must do; ``beat`` shows that it still does."""

    __tablename__ = "leader_leases"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(32))
    beat: Mapped[int] = mapped_column(BigInteger, default=0)


class SavedCommand(Base):
    """An order that is kept under a name. ``order`` holds its fields that say something, never a secret."""

    __tablename__ = "saved_commands"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    # Lower case, so that no two names differ by that alone.
    key: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    notes: Mapped[str | None] = mapped_column(Text)
    order: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The hosts, folded, when they were fixed at saving; none when the targets are looked up at each run.
    hosts: Mapped[str | None] = mapped_column(Text)
    # Rises with every change, so that nobody overwrites what somebody else has just changed.
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_by: Mapped[str] = mapped_column(String(150))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
