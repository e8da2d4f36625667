"""What the API takes besides orders, field by field. The OpenAPI document is made from these models."""

from typing import Any, Literal

from pydantic import Field

from opsconsole.accounts import preferences
from opsconsole.accounts.permissions import Role, Scope
from opsconsole.jobs.finding import MAX_TEXT
from opsconsole.jobs.packing import Rows
from opsconsole.jobs.similarity import Mode
from opsconsole.jobs.transcript import Encoding
from opsconsole.web.api.fields import Body, Letters, NumberOrText, Question, StepName, Text
from opsconsole.web.exports import ExportFormat

MAX_WAIT_SECONDS = 25
HITS_OF_ONE = 100
_ENCODING: Any = Field(Encoding.UTF8, description="How the bytes of a host are read as text; of a search with `i`.")


class NewToken(Body):
    """A token to make."""

    name: Text = Field(max_length=100)
    scope: Scope = Scope.RUN
    expires_in_days: int | None = Field(90, ge=1, le=3650, description="`null` means it never expires by itself.")


class Preferences(Body):
    """How to see and use the pages."""

    language: preferences.Language = "browser"
    theme: preferences.Theme = "system"
    contrast: preferences.Contrast = "normal"
    keys: preferences.Keys = Field("on", description="Whether single keys are shortcuts.")


class NewUser(Body):
    """Somebody to add."""

    name: Text = Field(max_length=150)
    role: Role


class ChangedUser(Body):
    """What is to change about somebody."""

    role: Role | None = None
    disabled: bool | None = None


class HostKeyName(Body):
    """A host key, named by what a person compared."""

    address: Text = Field(max_length=255)
    port: int = Field(22, ge=1, le=65535)
    fingerprint: Text = Field(max_length=64)


class HostKeyNames(Body):
    """The host keys that a decision is about: all of them or, when one is refused, none."""

    keys: list[HostKeyName] = Field(min_length=1, max_length=1000)


class NewHostKeyScan(Body):
    """The hosts whose keys are to be collected."""

    targets: Text = Field(description="A target expression.", max_length=262_144)


class NewHostAuthority(Body):
    """Who may vouch for hosts by certificates, as an `@cert-authority` line of known_hosts; or an `@revoked` one."""

    patterns: Text = Field(description="As in known_hosts: `*.example.com,!test.example.com`.", max_length=1000)
    key: Text = Field(description="A public key as in a `.pub` file.", max_length=20_000)
    revoked: bool = Field(default=False, description="The key counts for nothing there, as a host's or as a signer's.")


class JobsQuery(Question):
    """Which jobs to list."""

    state: Text | None = Field(None, max_length=200)
    by: Text | None = Field(None, max_length=150)
    q: Text | None = Field(None, max_length=200)
    host: Text | None = Field(None, max_length=320)
    since: Text | None = Field(None, description="A day or a time; UTC unless it says otherwise.", max_length=40)
    like_targets: Text | None = Field(None, max_length=2000)
    like_command: Text | None = Field(None, max_length=2000)
    before: int | None = Field(None, ge=1, le=2**63 - 1)
    limit: int = Field(50, ge=1, le=200)


class AuditFilter(Question):
    """Which records of the audit; what is not given does not count."""

    actor: Text | None = Field(None, max_length=150)
    action: Text | None = Field(None, description="`job.launch`, or a kind of actions: `job`.", max_length=64)
    object: Text | None = Field(None, description="`job/1042`, `user:li.wei`, `host:web1`.", max_length=255)
    address: Text | None = Field(None, max_length=64)
    text: Text | None = Field(None, description="A part of the command.", max_length=200)
    since: Text | None = Field(None, description="A day or a time; UTC unless it says otherwise.", max_length=40)
    until: Text | None = Field(None, description="Likewise; a day is taken in as a whole.", max_length=40)


class AuditQuery(AuditFilter):
    """One page of them; `before` of an answer asks for the next."""

    before: int | None = Field(None, ge=1, le=2**63 - 1)
    limit: int = Field(100, ge=1, le=1000)


class AuditExport(AuditFilter):
    """All of them."""

    format: Literal["csv", "ndjson"] = "csv"


class FindQuery(Question):
    """What to look for in names, and how many to tell of each kind."""

    q: Text = Field("", max_length=200)
    limit: int = Field(6, ge=1, le=50)


class StatusQuery(Question):
    """With ``wait`` the answer comes when the version is over ``since``, or after ``wait`` seconds."""

    since: int | None = Field(None, ge=0, le=2**63 - 1)
    wait: float = Field(0, ge=0, le=MAX_WAIT_SECONDS)


class DeltaQuery(Question):
    """Changes since version ``since``; with ``wait`` the answer comes once there are some."""

    since: int = Field(0, ge=0, le=2**63 - 1)
    wait: float = Field(0, ge=0, le=MAX_WAIT_SECONDS)


class FoundQuery(Question):
    """Hosts by what they wrote; without ``find`` all."""

    find: Text = Field("", max_length=MAX_TEXT, description="Only hosts with this in their output.")
    re: bool = Field(False, description="`find` is a regular expression (RE2).")
    case: bool = Field(False, description="Upper and lower case differ.")
    found: Literal["with", "without"] = Field("with", description="`without`: only hosts that did not write it.")


COLUMNS: Any = Field(
    default_factory=list,
    description="Columns made of the output, one each: `json:a.b[0]`, `key:NAME`, `re:EXPRESSION` with groups, "
    "`table:HEADER@ROW`; `NAME=` before it names the column.",
    max_length=32,
)


class HostsQuery(FoundQuery):
    """Which hosts of a job, in which order; `sort` may be the name of one of the columns that are asked for."""

    state: Letters = ""
    sort: Text = Field("i", max_length=80)
    q: Text = Field("", max_length=320)
    limit: int = Field(200, ge=1, le=1000)
    cursor: Text | None = Field(None, max_length=200)
    column: list[Text] = COLUMNS


class ExportQuery(FoundQuery):
    """What to export of which hosts of a job."""

    format: ExportFormat = ExportFormat.JSON
    state: Letters = ""
    sort: Text = Field("i", max_length=80, description="The order of the rows, as `GET /jobs/{id}/hosts` takes it.")
    q: Text = Field("", max_length=320, description="Part of a host name, or a range or pattern: `web[18-20]`.")
    fold: bool = Field(False, description="`hosts` as one expression with ranges.")
    column: list[Text] = COLUMNS


class SearchQuery(Question):
    """What to search for in the output of a job, and which part of what is found to tell."""

    q: Text = Field(min_length=1, max_length=MAX_TEXT)
    re: bool = Field(False, description="`q` is a regular expression (RE2); it is looked for within each line.")
    case: bool = Field(False, description="Upper and lower case differ.")
    state: Letters = ""
    host: Text = Field("", max_length=320, description="Part of a host name, or a range or pattern: `web[18-20]`.")
    cursor: int = Field(0, ge=0, le=2**31 - 1)
    limit: int = Field(100, ge=1, le=1000, description="How many hosts to tell the lines of.")
    hits: int | None = Field(None, ge=1, le=1000, description="Lines of each host: 1, or 100 with `i`.")
    i: NumberOrText | None = Field(None, max_length=320, description="This host alone, by index or name.")
    skip: int = Field(0, ge=0, le=2**53, description="With `i`: leave out so many lines with a hit.")
    step: StepName | None = Field(None, description="With `i`: only what this step wrote.")
    encoding: Encoding = _ENCODING


class OutputQuery(Question):
    """Which part of a host's output."""

    stream: Literal["both", "stdout", "stderr"] = "both"
    from_line: int = Field(1, ge=-(2**53), le=2**53, description="Counts from 1; a negative one from the end.")
    before: int | None = Field(None, ge=1, le=2**53, description="The lines next to this one, instead of from one on.")
    limit: int = Field(1000, ge=1, le=10_000)
    step: StepName | None = Field(None, description="Only what this step wrote; its lines are numbered from 1.")
    encoding: Encoding = _ENCODING


class RawQuery(Question):
    """Which streams of a host's output."""

    stream: Literal["both", "stdout", "stderr"] = "both"
    step: StepName | None = Field(None, description="Only what this step wrote.")


_MODE: Any = Field(
    Mode.SIMILAR,
    description="`exact`: to the byte. `clean`: but for colours and blanks at the end of lines. "
    "`similar`: but for times, PIDs, durations, sizes, ids and the host's own names, too.",
)


class GroupsQuery(FoundQuery):
    """How alike outputs must be to stand in one group, and which groups to tell."""

    mode: Mode = _MODE
    state: Text = Field("", description="Only groups in these states: `f,k` or `failed,timed_out`.", max_length=200)
    limit: int = Field(1000, ge=1, le=10_000, description="Groups; `n` counts all.")


class GroupQuery(Question):
    """In which mode a group was found."""

    mode: Mode = _MODE


class GroupOutputQuery(GroupQuery):
    """Which lines of what a group said to give along."""

    from_line: int = Field(1, ge=-(2**53), le=2**53, description="Counts from 1; a negative one from the end.")
    limit: int = Field(1000, ge=1, le=10_000)


class GroupDiffQuery(GroupQuery):
    """With what to compare a group."""

    against: Text = Field(
        "majority",
        description="`majority`: the lowest exit, then the most hosts. `previous`: the same command on its first host "
        "before. Or the `g` of another group.",
        max_length=40,
    )


class BarsQuery(Question):
    """Which part of the chart of a job. Times are milliseconds since it began."""

    rows: Rows = Field(
        Rows.SLOTS,
        description="`slots`: as few rows as hosts ran at a time. `slowest`: the hundred that took longest, one a row. "
        "`failures`: every host in trouble.",
    )
    from_ms: int = Field(0, ge=0, le=2**53)
    to_ms: int | None = Field(None, ge=1, le=2**53, description="Until now, or the end of the job.")
    first: int = Field(0, ge=0, le=2**31 - 1, description="The first row to tell.")
    count: int = Field(60, ge=0, le=200, description="Rows to tell; `total` counts all.")
    bins: int = Field(60, ge=1, le=200, description="Equal stretches of time in which ended hosts are counted.")


class EventsQuery(Question):
    """Hosts whose output to follow, as ``<index>@<byte offset>``, up to four, separated by commas.

    ``last_event_id`` is for clients that cannot send the header ``Last-Event-ID``, such as a page that comes back.
    """

    out: Text = Field("", max_length=200)
    last_event_id: Text = Field("", max_length=200)
    notices: bool = Field(default=False, description="Also what `GET /notices` tells, as events `notices`.")


class FleetQuery(Question):
    """What to hear: the latest jobs, unless ``jobs`` is false, and the notices."""

    jobs: bool = True


class HostKeysQuery(Question):
    """Which host keys to list."""

    status: Literal["waiting", "trusted", "offered", "alarm", "revoked"] | None = Field(
        None, description="`waiting` is `alarm` and `offered` together: what awaits a decision."
    )
    q: Text = Field("", description="A part of the address, of a host's name or of the fingerprint.", max_length=255)
    limit: int = Field(200, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)
