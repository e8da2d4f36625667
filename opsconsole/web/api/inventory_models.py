"""What the inventory's routes take and give, field by field."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, GetPydanticSchema

from opsconsole.inventory.executor import Executor
from opsconsole.inventory.formats import AUTO, IMPORTS, ExportFormat
from opsconsole.inventory.health import KeyState, Verdict
from opsconsole.inventory.host_key_policy import HostKeyPolicy
from opsconsole.inventory.profile import Profile
from opsconsole.web.api.fields import Body, Question, Text
from opsconsole.web.api.replies import Answer

Name = Annotated[Text, Field(max_length=255)]
Word = Annotated[Text, Field(max_length=100)]
ImportFormat = Annotated[str, GetPydanticSchema(lambda _source, handler: handler(Literal[IMPORTS]))]
Names = Annotated[list[Name], Field(max_length=100_000)]
_MAX_IMPORT_CHARS = 12 * 1024 * 1024


class ListHosts(Question):
    """Which hosts to list, by name; `after` is the `next` of the page before."""

    expression: Text = Field("", description="A target expression, such as `@web & @dc:eu`.", max_length=262_144)
    q: Text = Field("", description="A part of the name or of the address.", max_length=255)
    find: Text = Field("", description="An expression, or a part of a name or address.", max_length=262_144)
    after: Text = Field("", max_length=255)
    history: bool = Field(default=False, description="Adds `recent`, the states of the last ten runs, and `last_at`.")
    health: bool = Field(default=False, description="Adds `health`, how each host has answered.")
    limit: int = Field(200, ge=1, le=5000)


class HostChange(Body):
    """Fields of a host to set; `null` or an empty text unsets one, a field that is not there stays as it is."""

    name: Name | None = Field(None, description="Another name for it.")
    address: Name | None = Field(None, description="Dialled instead of the name.")
    # Judged by the inventory's own rule, whose words name the field and the range.
    port: int | None = Field(None, json_schema_extra={"minimum": 1, "maximum": 65535})
    user: Text | None = Field(None, max_length=64)
    credential: Text | None = Field(
        None, description="A key file of the settings by its name, or `cred:<name>`, a stored one.", max_length=64
    )
    jump: Text | None = Field(None, description="Jump hosts: `user@bastion:22,inner` or `none`.", max_length=1000)
    profile: Text | None = Field(None, description="`modern`, or `legacy` for old devices.", max_length=16)
    host_key_policy: Text | None = Field(
        None, description="`strict`, `accept_new` or `pinned`; else its groups or the console say it.", max_length=16
    )
    executor: Text | None = Field(
        None, description="`ssh`, `local` or `simulate`; else the order or the console says it.", max_length=16
    )
    zone: Word | None = None
    frozen: bool | None = Field(None, description="Nothing is run on a frozen host.")
    frozen_reason: Text | None = Field(None, max_length=200)
    tags: dict[Word, Word] | None = Field(None, description="All of its tags.")
    notes: Text | None = Field(None, max_length=4000)
    groups: list[Word] | None = Field(None, description="Exactly the groups it is in itself.", max_length=1000)
    version: int | None = Field(None, description="What was seen; 409 when it is no longer so. As `If-Match`.")


class NewHost(HostChange):
    """A host to add."""

    name: Name


class HostsChange(Body):
    """A change of many hosts at once: those listed, or those of an expression."""

    hosts: Names | None = None
    expression: Text = Field("", max_length=262_144)
    put_tags: dict[Word, Word] = Field(default_factory=dict)
    drop_tags: list[Word] = Field(default_factory=list, max_length=100)
    frozen: bool | None = None
    reason: Text = Field("", max_length=200)
    remove: bool = Field(default=False, description="Takes the hosts out of the inventory.")


class GroupChange(Body):
    """What to change of a group; a field that is not there stays as it is."""

    name: Word | None = Field(None, description="Another name for it.")
    hosts: Names | None = Field(None, description="Exactly its own hosts, in order.")
    children: list[Word] | None = Field(None, description="Exactly the groups in it.", max_length=5000)
    credential: Text | None = Field(None, description="For its hosts that say none themselves.", max_length=64)
    jump: Text | None = Field(None, description="For its hosts that say nothing themselves.", max_length=1000)
    profile: Text | None = Field(None, description="The same: `modern` or `legacy`.", max_length=16)
    host_key_policy: Text | None = Field(
        None,
        description="`strict`, `accept_new` or `pinned`, for its hosts that say nothing themselves.",
        max_length=16,
    )
    notes: Text | None = Field(None, max_length=4000)
    version: int | None = None


class NewGroup(GroupChange):
    """A group to make."""

    name: Word


class ImportHosts(Body):
    """A file or pasted text. Without `digest` a dry run; with the digest of one, exactly that is done."""

    model_config = ConfigDict(str_max_length=_MAX_IMPORT_CHARS)

    format: ImportFormat = AUTO
    content: str | None = Field(None, description="The text.")
    content_base64: str | None = Field(None, description="The bytes, for a workbook.")
    file_name: Text = Field("", description="Helps to guess the format.", max_length=255)
    files: dict[str, str] = Field(
        default_factory=dict, description="What an ssh_config includes, by path below its folder.", max_length=200
    )
    prune: bool = Field(default=False, description="Also remove what the file does not name.")
    skip_faulty: bool = Field(default=False, description="Leave out lines with faults instead of refusing.")
    digest: Text | None = Field(None, max_length=80)


class Export(Question):
    """What to export."""

    format: ExportFormat = ExportFormat.CSV
    expression: Text = Field("", max_length=262_144)


class HealthItem(Answer):
    """How a host has answered. `state` and `last_at` are of its last contact, `reason` is why the last one that failed
    did; `recent` are the last ten, newest last: `o` it let us in, `l` and the connection broke, `f` it answered and did
    not let us in, `u` it could not be reached. `connect_ms` is of the last new connection."""

    state: Verdict
    reachable: bool
    login: Literal["ok", "refused"] | None
    host_key: KeyState | None
    connect_ms: int | None
    last_at: str
    seen_at: str | None
    ok_at: str | None
    failed_at: str | None
    reason: str | None
    recent: str


class PastContact(Answer):
    """One contact. `job` is told to those who may see the job."""

    at: str
    state: Verdict
    letter: str
    reason: str | None
    connect_ms: int | None
    job: int | None


class HostHealth(Answer):
    """All that is known of how a host has answered; `health` is `null` for one that was never met. `detail` says why it
    failed last."""

    host: str
    health: HealthItem | None
    detail: str | None
    history: list[PastContact]


class HostItem(Answer):
    """One host. What is `null` falls back to the console's settings, the address to the name."""

    name: str
    address: str | None
    port: int | None
    user: str | None
    credential: str | None
    jump: str | None
    profile: Profile | None
    host_key_policy: HostKeyPolicy | None
    executor: Executor | None
    zone: str | None
    frozen: bool
    frozen_reason: str | None
    tags: dict[str, str]
    notes: str | None
    groups: list[str]
    source: str | None
    version: int
    health: HealthItem | None = Field(None, description="In a list only when asked for.")


class HostList(Answer):
    """Hosts by name; `unknown` are names of the expression that the inventory does not have."""

    hosts: list[HostItem]
    total: int
    next: str | None
    unknown: list[str]


class Changed(Answer):
    """How many hosts are different now."""

    changed: int


class GroupSummary(Answer):
    """A group, how many hosts it has itself, and the groups in it."""

    name: str
    count: int
    children: list[str]


class GroupList(Answer):
    """All groups by name."""

    groups: list[GroupSummary]


class GroupUser(Answer):
    """A saved command whose targets refer to a group."""

    id: int
    name: str


class GroupItem(Answer):
    """One group: its own hosts, the groups in it and around it, how many hosts that makes in all, and what uses it."""

    name: str
    notes: str | None
    credential: str | None
    jump: str | None
    profile: Profile | None
    host_key_policy: HostKeyPolicy | None
    hosts: list[str]
    children: list[str]
    parents: list[str]
    total: int
    used_by: list[GroupUser]
    version: int


class ImportField(Answer):
    """One field before and after."""

    field: str
    before: str
    after: str


class ImportChange(Answer):
    """One host, group or host key that is added, changed or removed."""

    kind: str
    action: str
    name: str
    line: int | None
    fields: list[ImportField]


class ImportFault(Answer):
    """A line that cannot be used."""

    line: int | None
    file: str | None
    message: str


class ImportNotice(Answer):
    """Something that was left out on purpose, and how often."""

    text: str
    count: int


class ImportPlan(Answer):
    """What an import does or did; of very many changes the first thousand."""

    format: str
    prune: bool
    applied: bool
    digest: str
    counts: dict[str, dict[str, int]]
    changes: list[ImportChange]
    changes_count: int
    faults: list[ImportFault]
    notices: list[ImportNotice]
