"""What the API gives about the console itself: its hold, queue, workers, tokens and host keys."""

from datetime import datetime
from typing import Any, Literal

from opsconsole.web.api.replies import Answer, Waiting


class Hold(Answer):
    """Whether the console is held, so that nothing starts, and by whom."""

    held: bool
    at: datetime | None
    by: str | None
    reason: str | None


class Held(Hold):
    """The hold, and the jobs that the emergency stop cancelled."""

    cancelled: list[int]


class Notice(Answer):
    """A trouble of the console; `level` is `error` or `warning`."""

    code: str
    level: str
    text: str


class Notices(Answer):
    """All of them, the worst first."""

    notices: list[Notice]


class Found(Answer):
    """One thing that was found, and the page that shows it. `title` of a page is in the reader's language."""

    kind: Literal["job", "host", "group", "saved", "page"]
    title: str
    detail: str
    url: str


class Completion(Answer):
    """What the beginning of a name may become. A `tag` that ends in a colon is followed by its value."""

    text: str
    kind: Literal["host", "group", "tag"]


class Completions(Answer):
    """What fits best first."""

    q: str
    found: list[Completion]


class Finds(Answer):
    """What fits best first, kind by kind."""

    q: str
    found: list[Found]


class AuditRecord(Answer):
    """One action. `detail` depends on it: of `job.launch` the expression, the digest of the hosts, what was typed."""

    id: int
    at: datetime
    actor: str
    actor_id: int | None
    token_id: str | None
    address: str | None
    action: str
    object: str | None
    text: str | None
    detail: dict[str, Any]
    hash: str


class Audit(Answer):
    """Newest first; `before` is what to ask for next, or null at the end."""

    records: list[AuditRecord]
    before: int | None


class Slots(Answer):
    """How many hosts the workers can handle at once."""

    total: int
    busy: int
    free: int


class QueuedJob(Answer):
    """A job that has not ended; `place` counts from 1 over everybody's jobs with hosts to start."""

    id: int
    title: str
    by: str
    priority: str
    state: str
    place: int | None
    pending: int
    in_flight: int
    concurrency: int
    waits: Waiting | None


class Backlog(Answer):
    """How many hosts of everybody's jobs have not started, and since when the oldest of these jobs is there."""

    hosts: int
    since: str | None


class Queue(Answer):
    """What waits for what."""

    hold: Hold
    slots: Slots
    backlog: Backlog
    jobs: list[QueuedJob]


class Worker(Answer):
    """A worker process. `label` is the middle of its name; `state` is `working`, `stopping` (its process was told to
    end), `draining` or `drained` (by `drained_by`: with runs in hand, or without)."""

    name: str
    label: str
    slots: int
    busy: int
    state: str
    drained_at: str | None
    drained_by: str | None


class Workers(Answer):
    """The worker processes that are alive."""

    workers: int
    slots: int
    busy: int
    list: list[Worker]


class User(Answer):
    """Somebody who may use the console; `tokens` counts those that open something."""

    name: str
    role: Literal["viewer", "operator", "approver", "admin"]
    has_password: bool
    disabled_at: datetime | None
    created_at: datetime
    tokens: int


class Users(Answer):
    """Everybody, by name."""

    users: list[User]


class Setting(Answer):
    """One setting; `source` is where the web process has it from: `start` means that what started it chose it."""

    name: str
    section: Literal["orders", "confirmation", "hosts", "login", "keeping", "sessions"]
    variable: str
    value: bool | int | float | str | list[int] | list[str] | None
    source: Literal["default", "environment", "file", "start"]
    meaning: str


class Settings(Answer):
    """What the console is set to, section by section; no secrets, no paths of keys."""

    settings: list[Setting]


class LoginLink(Answer):
    """A link that signs somebody in once; shown this once."""

    name: str
    url: str
    expires_at: datetime


class Token(Answer):
    """A token, without its secret."""

    id: str
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class Preferences(Answer):
    """How a person wants to see and use the pages; the first word of each means that nothing was chosen."""

    language: str
    theme: str
    contrast: str
    keys: str


class MadeToken(Token):
    """A new token; ``token`` is shown this once."""

    token: str


class Tokens(Answer):
    """The caller's tokens, newest first."""

    tokens: list[Token]


class HostKeyItem(Answer):
    """A host key the console has seen. ``hosts`` are the inventory's hosts at that address and port."""

    address: str
    port: int
    hosts: list[str]
    algorithm: str
    fingerprint: str
    status: Literal["trusted", "offered", "alarm", "revoked"]
    source: str
    first_seen_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class HostKeys(Answer):
    """Host keys; ``counts`` are those of the whole console by status."""

    host_keys: list[HostKeyItem]
    counts: dict[str, int]


class DecidedHostKeys(Answer):
    """The host keys a decision was about, as they are now."""

    host_keys: list[HostKeyItem]


class HostAuthorityItem(Answer):
    """A key that may sign host certificates where the patterns match; a revoked one counts for nothing there."""

    id: int
    patterns: str
    algorithm: str
    fingerprint: str
    status: Literal["trusted", "revoked"]
    source: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class HostAuthorities(Answer):
    """Authorities and keys revoked for many hosts, as they were added."""

    authorities: list[HostAuthorityItem]


class ScannedHost(Answer):
    """One host of a scan: how many keys it showed, or in words why none, once it was asked."""

    host: str
    address: str
    port: int
    done: bool
    found: int | None
    detail: str | None


class HostKeyScan(Answer):
    """A scan: ``done`` of ``count`` hosts were asked. What they showed is in the list of host keys."""

    scan: str
    count: int
    done: int
    hosts: list[ScannedHost]


class TestedStep(Answer):
    """One step of a test: `ok`, `warned` or `failed`, how long it took, and one sentence."""

    stage: str
    verdict: str
    ms: int
    detail: str


class TestedHost(Answer):
    """One host of a test; ``ok`` is ``null`` until a worker was there."""

    host: str
    address: str
    port: int
    user: str
    done: bool
    done_at: str | None
    ok: bool | None
    steps: list[TestedStep]


class ConnectionTest(Answer):
    """A test of connections: ``done`` of ``count`` hosts were tried, ``failed`` of them in vain."""

    test: str
    requested_by: str
    requested_at: str
    count: int
    done: int
    failed: int
    hosts: list[TestedHost]


class RemovedHostKeys(Answer):
    """How many host keys were forgotten."""

    removed: int
