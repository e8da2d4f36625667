"""What the API takes and gives, field by field. The OpenAPI document is made from these models.

Durations are whole milliseconds, times ISO 8601 in UTC. Fields that nobody knows are ignored; fields of the contract
that this version cannot obey are refused, since running without them would do something else than was asked.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from opsconsole.accounts.permissions import Scope

MAX_WAIT_SECONDS = 25
_NOT_YET = ("script", "template_id", "params", "run_as", "waves", "notify")
_MAX_SECONDS_MS = 7 * 86_400_000


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _no_nul(value: object) -> object:
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("holds a NUL byte")
    return value


Text = Annotated[str, BeforeValidator(_no_nul)]
NumberOrText = Annotated[str, BeforeValidator(_as_text)]
Letters = Annotated[str, Field(description="States by letter, e.g. `f,k` or `fk`; empty means all.", max_length=40)]


class Answer(BaseModel):
    """Base of what the API gives: more fields may come, none of these goes."""

    model_config = ConfigDict(extra="allow")


class Question(BaseModel):
    """Base of what the API takes."""

    model_config = ConfigDict(extra="ignore", str_max_length=1_048_576)


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


class Resolve(Question):
    """An order to look at before it is given."""

    targets: Text
    exclude: Text = ""
    command: Text = ""
    concurrency: int | None = None
    max_failures: NumberOrText | None = Field(None, description="`3` or `5%`.")


class Risk(Answer):
    """How much could go wrong: tier 2 and above need ``confirm`` typed."""

    tier: int
    reasons: list[str]
    confirm: str | None


class Resolved(Answer):
    """The blast radius of an order."""

    count: int
    digest: str
    folded: str
    sample: list[str]
    unknown: list[str]
    excluded_count: int
    duplicates: int
    recent_unreachable: list[str]
    by: dict[str, dict[str, int]]
    inventory_share: float | None
    risk: Risk
    worst_case: int | None
    allowed_failures: int | None
    eta_ms: int | None


class Timeouts(Question):
    """Deadlines of each host, in milliseconds; 0 means none where that is possible."""

    connect_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)
    command_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)
    idle_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)


class Expect(Question):
    """What the preview said; when it is no longer so, nothing runs and the answer is 409 `target_changed`."""

    count: int | None = None
    digest: Text | None = None


class NewJob(Question):
    """A command to run on hosts."""

    targets: Text
    exclude: Text = ""
    command: str
    title: Text | None = Field(None, max_length=200)
    user: Text | None = Field(None, description="Remote user; a `user@host` target wins over it.", max_length=64)
    credential: Text = Field("auto", description="`auto`, `ambient`, `key:<name>` or `password`.", max_length=80)
    password: SecretStr | None = Field(
        None, description="Only with credential `password`; kept sealed until the job ends.", max_length=1024
    )
    concurrency: int | None = None
    max_failures: NumberOrText | None = Field(None, description="`3` or `5%`; one more failed host stops the job.")
    timeouts: Timeouts = Timeouts()
    expect: Expect = Expect()
    confirm: NumberOrText | None = Field(None, description="What the problem `confirmation_required` asks to type.")
    reason: Text | None = Field(None, max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_cannot_be_obeyed(cls, value: Any) -> Any:
        if isinstance(value, dict):
            named = [name for name in _NOT_YET if value.get(name) not in (None, "", [], {})]
            if named:
                raise ValueError(f"this version cannot obey: {', '.join(named)}")
        return value


class Launched(Answer):
    """A job that exists now."""

    id: int
    url: str


class Rerun(Question):
    """Which hosts of a job to run its command on again."""

    states: list[Annotated[str, Field(max_length=1)]] = Field(description='Letters of states, e.g. `["f", "u"]`.')
    hosts: list[Text] | None = Field(None, max_length=100_000)
    password: SecretStr | None = Field(None, max_length=1024)
    confirm: NumberOrText | None = None
    reason: Text | None = Field(None, max_length=1000)
    expect: Expect = Expect()


class Cancel(Question):
    """Which hosts to cancel; without ``hosts`` the whole job."""

    hosts: list[Text] | None = Field(None, max_length=100_000)


class Counts(Answer):
    """Hosts by state. They always sum to the number of targets."""

    q: int
    c: int
    r: int
    o: int
    f: int
    k: int
    u: int
    x: int
    s: int
    l: int  # noqa: E741  the contract's letter for "lost"


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
    """A host that takes long."""

    i: int
    host: str
    ms: int


class JobStatus(Answer):
    """A job as a whole; no host rows."""

    id: int
    ver: int
    epoch: str
    state: str
    stop_reason: str | None
    title: str
    targets: Targets
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
    groups: int | None
    slowest: list[Slow]
    links: dict[str, str]


class JobList(Answer):
    """Jobs, newest first; give ``next`` as ``before`` for the following page."""

    jobs: list[dict[str, Any]]
    next: int | None


class Roster(Answer):
    """The hosts of a job in the order of their index. Never changes."""

    v: int
    hosts: list[str]


class Grid(Answer):
    """One letter a host, in the order of the roster."""

    ver: int
    grid: str


class Change(Answer):
    """What changed since a version (with ``h``), or everything (with ``grid``)."""

    ver: int


class HostRow(Answer):
    """The command on one host."""

    i: int
    host: str
    state: str
    reason: str | None
    exit: int | None
    signal: str | None
    ms: int | None
    attempt: int
    bytes: int
    lines: int
    last_line: str | None


class HostRows(Answer):
    """A page of rows; give ``next`` as ``cursor`` for the following one."""

    rows: list[HostRow]
    total: int
    next: str | None


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


class OutputGroup(Answer):
    """Hosts that said exactly the same and ended the same."""

    g: int
    count: int
    state: str
    folded: str


class OutputGroups(Answer):
    """All groups of a job, trouble first."""

    ver: int
    mode: str
    groups: list[OutputGroup]


class Worker(Answer):
    """A worker process."""

    name: str
    slots: int
    busy: int


class Workers(Answer):
    """The worker processes that are alive."""

    workers: int
    slots: int
    busy: int
    list: list[Worker]


class NewToken(Question):
    """A token to make."""

    name: Text = Field(max_length=100)
    scope: Scope = Scope.RUN
    expires_in_days: int | None = Field(90, ge=1, le=3650, description="`null` means it never expires by itself.")


class Token(Answer):
    """A token, without its secret."""

    id: str
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class MadeToken(Token):
    """A new token; ``token`` is shown this once."""

    token: str


class Tokens(Answer):
    """The caller's tokens, newest first."""

    tokens: list[Token]


class HostKeyItem(Answer):
    """A host key the console has seen."""

    address: str
    port: int
    algorithm: str
    fingerprint: str
    status: Literal["trusted", "offered", "revoked"]
    source: str
    first_seen_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class HostKeys(Answer):
    """Host keys, newest first."""

    host_keys: list[HostKeyItem]


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


class TrustHostKey(Question):
    """The host key to trust, named by what a person compared."""

    address: Text = Field(max_length=255)
    port: int = Field(22, ge=1, le=65535)
    fingerprint: Text = Field(max_length=64)


class LaunchHeaders(Question):
    """Makes it safe to send an order again: the same key of the same person is the same job."""

    key: str | None = Field(None, alias="Idempotency-Key", max_length=100)


class JobsQuery(Question):
    """Which jobs to list."""

    state: Text | None = Field(None, max_length=200)
    by: Text | None = Field(None, max_length=150)
    q: Text | None = Field(None, max_length=200)
    host: Text | None = Field(None, max_length=320)
    before: int | None = Field(None, ge=1, le=2**63 - 1)
    limit: int = Field(50, ge=1, le=200)


class StatusQuery(Question):
    """With ``wait`` the answer comes when the version is over ``since``, or after ``wait`` seconds."""

    since: int | None = Field(None, ge=0, le=2**63 - 1)
    wait: float = Field(0, ge=0, le=MAX_WAIT_SECONDS)


class DeltaQuery(Question):
    """Changes since version ``since``; with ``wait`` the answer comes once there are some."""

    since: int = Field(0, ge=0, le=2**63 - 1)
    wait: float = Field(0, ge=0, le=MAX_WAIT_SECONDS)


class HostsQuery(Question):
    """Which hosts of a job, in which order."""

    state: Letters = ""
    sort: Text = Field("i", max_length=20)
    q: Text = Field("", max_length=320)
    limit: int = Field(200, ge=1, le=1000)
    cursor: Text | None = Field(None, max_length=200)


class OutputQuery(Question):
    """Which part of a host's output."""

    stream: Literal["both", "stdout", "stderr"] = "both"
    from_line: int = Field(1, ge=-(2**53), le=2**53, description="Counts from 1; a negative one from the end.")
    limit: int = Field(1000, ge=1, le=10_000)


class RawQuery(Question):
    """Which streams of a host's output."""

    stream: Literal["both", "stdout", "stderr"] = "both"


class GroupsQuery(Question):
    """How alike outputs must be to stand in one group."""

    mode: Literal["exact"] = "exact"


class EventsQuery(Question):
    """Hosts whose output to follow, as ``<index>@<byte offset>``, up to four, separated by commas.

    ``last_event_id`` is for clients that cannot send the header ``Last-Event-ID``, such as a page that comes back.
    """

    out: Text = Field("", max_length=200)
    last_event_id: Text = Field("", max_length=200)


class HostKeysQuery(Question):
    """Which host keys to list."""

    status: Literal["trusted", "offered", "revoked"] | None = None
    q: Text = Field("", description="A part of the address or of the fingerprint.", max_length=255)
    limit: int = Field(200, ge=1, le=1000)
