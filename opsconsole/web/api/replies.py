"""What the API gives, field by field. The OpenAPI document is made from these models.

Durations are whole milliseconds, times ISO 8601 in UTC.
"""

from datetime import datetime
from typing import Any

from opsconsole.web.api.answers import Answer as Answer
from opsconsole.web.api.answers import Counts as Counts
from opsconsole.web.api.step_replies import Steps


class FieldProblem(Answer):
    """One faulty input; ``column`` counts characters from 1."""

    field: str
    message: str
    code: str
    column: int | None = None
    hint: str | None = None


class Problem(Answer):
    """What went wrong (RFC 9457), ``code`` for programs and ``detail`` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem]


class Risk(Answer):
    """How much could go wrong: tier 2 and above need ``confirm`` typed, tier 3 a reason too."""

    tier: int
    reasons: list[str]
    confirm: str | None
    reason_required: bool


class Wave(Answer):
    """One wave of a job; the `canary` tries first."""

    size: int
    kind: str


class Share(Answer):
    """How many of the hosts have this value of the tag that tells production; an empty name is those without it."""

    name: str
    count: int
    protected: bool


class Resolved(Answer):
    """The blast radius of an order. ``table`` is the column that was read where the targets are a table; ``example`` is
    the first host's command where that has variables."""

    count: int
    digest: str
    folded: str
    sample: list[str]
    unknown: list[str]
    unknown_count: int
    unknown_blocks: bool
    unknown_skipped: bool
    unknown_folded: str
    unknown_suggestions: list[dict[str, str]]
    excluded_count: int
    duplicates: int
    table: str | None
    lines: int
    recent_unreachable: list[str]
    recent_unreachable_folded: str
    frozen: list[str]
    frozen_count: int
    frozen_folded: str
    key_changed: list[str]
    key_changed_count: int
    key_changed_folded: str
    by: dict[str, dict[str, int]]
    production: list[Share]
    protected_count: int
    jumps: dict[str, int]
    executor: str
    inventory_share: float | None
    risk: Risk
    worst_case: int | None
    allowed_failures: int | None
    waves: list[Wave] | None
    eta_ms: int | None
    eta_host_ms: int | None
    eta_runs: int
    example: dict[str, str] | None


class PlannedWave(Wave):
    """A wave and its hosts."""

    folded: str


class Policy(Answer):
    """Whether the caller may launch it, and what speaks against it."""

    allowed: bool
    reasons: list[str]


class PlannedHost(Answer):
    """What would be done to one host; ``credential`` is null when there is none to log in with, ``credential_from``
    is who says it: ``job``, ``host``, ``group <name>``, ``setting`` or ``worker``. ``variables`` is null when the
    order has none."""

    i: int
    host: str
    address: str
    port: int
    user: str
    credential: str | None
    credential_from: str
    host_key_policy: str
    jump: str | None
    jump_from: str | None
    executor: str
    wave: int
    command: str
    variables: dict[str, str] | None


class Plan(Answer):
    """A dry run. With ``drawn_again`` the launch draws anew which hosts go first."""

    count: int
    digest: str
    folded: str
    risk: Risk
    worst_case: int | None
    allowed_failures: int | None
    waves: list[PlannedWave]
    drawn_again: bool
    options: dict[str, Any]
    priority: str
    executor: str
    command: str
    what: dict[str, Any] | None
    policy: Policy
    key_changed: list[str]
    key_changed_count: int
    key_changed_folded: str
    hosts: list[PlannedHost]


class Launched(Answer):
    """A job that exists now."""

    id: int
    url: str


class Targets(Answer):
    """What the job was aimed at."""

    expression: str
    count: int
    digest: str


class Budget(Answer):
    """How many hosts failed, and how many may before the job stops."""

    used: int
    allowed: int | None


class Slow(Answer):
    """A host that takes long; `ms` is of the moment of the answer, which may be one that was made for many."""

    i: int
    host: str
    ms: int
    started_at: str


class Pause(Answer):
    """Why a job is paused: `operator`, or `wave`, `wave_failed` or `canary` when it waits between two waves."""

    reason: str | None
    by: str | None


class Waves(Answer):
    """The waves of a job: which may start `now`, and what is left of the pause before it."""

    now: int
    hold_ms: int | None
    list: list[Wave]


class Waiting(Answer):
    """Why the next host of a job does not start, by code and in words."""

    code: str
    text: str
    ahead: int | None
    slots: int | None
    busy: int | None


class Carried(Answer):
    """Bytes of files on all hosts together; ``total`` counts what is known so far."""

    done: int
    total: int
    bytes_per_s: int


class JobStatus(Answer):
    """A job as a whole; no host rows."""

    id: int
    ver: int
    epoch: str
    state: str
    stop_reason: str | None
    stop_detail: str | None
    stopped_by: str | None
    worker_shutdown: int
    title: str
    command: str
    what: dict[str, Any] | None
    targets: Targets
    options: dict[str, Any]
    priority: str
    durable: bool
    executor: str
    pause: Pause | None
    starts_in_ms: int | None
    waves: Waves | None
    steps: Steps | None
    waiting: Waiting | None
    elapsed_ms: int
    timeout_ms: int | None
    credential: str
    user: str | None
    launch_type: str
    reason: str | None
    rerun_of: int | None
    saved_id: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    by: str
    counts: Counts
    done: int
    progress: float
    budget: Budget | None
    rate_per_s: float | None
    eta_ms: int | None
    carried: Carried | None
    groups: int | None
    slowest: list[Slow]
    links: dict[str, str]


class JobList(Answer):
    """Jobs, newest first; give ``next`` as ``before`` for the following page."""

    jobs: list[dict[str, Any]]
    next: int | None


class Arrangement(Answer):
    """What hosts are arranged by: ``of`` says for each host of the roster which of ``values`` it has, -1: none."""

    values: list[str]
    of: list[int]


class Roster(Answer):
    """The hosts of a job in the order of their index, and the tags they had at the launch. Never changes."""

    v: int
    hosts: list[str]
    tags: dict[str, Arrangement]


class Grid(Answer):
    """One letter a host, in the order of the roster."""

    ver: int
    grid: str


class Change(Answer):
    """What changed since a version (with ``h``), or everything (with ``grid``)."""

    ver: int


class Truncated(Answer):
    """Output that was counted but not kept."""

    bytes: int


class OutputLines(Answer):
    """Lines as ``[number, milliseconds, stream, text]``; stream 1 is stdout, 2 stderr."""

    lines: list[list[Any]]
    total_lines: int
    total_bytes: int
    truncated: Truncated | None
    eof: bool


class OfferedKey(Answer):
    """A host key that a host of a job showed and nobody has decided on."""

    i: int
    host: str
    reason: str
    address: str
    port: int
    algorithm: str
    fingerprint: str


class OfferedKeys(Answer):
    """Offered host keys in the order of the roster."""

    host_keys: list[OfferedKey]


class SavedCommand(Answer):
    """An order that is kept; ``order`` is what `POST /jobs` takes. ``hosts`` are those that were fixed, folded, null
    where they are looked up at each run; ``last_job`` is the newest job of it that the caller may see."""

    id: int
    name: str
    notes: str | None
    static: bool
    hosts: str | None
    order: dict[str, Any]
    version: int
    by: str
    created_at: datetime
    changed_at: datetime
    last_job: int | None
    may_change: bool


class SavedCommands(Answer):
    """All saved commands by name."""

    saved: list[SavedCommand]
