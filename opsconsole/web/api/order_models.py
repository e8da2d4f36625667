"""The orders that the API takes: what to run on which hosts, again or under a name, and what to do with what runs.

Durations are whole milliseconds. A field of a body that nobody knows is refused, and so are fields of the contract that
this version cannot obey: a misspelt ``hosts`` left out would be an order to all hosts.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from opsconsole.jobs.finding import MAX_TEXT
from opsconsole.web.api.fields import Body, Hosts, NumberOrText, Question, Text

_NOT_YET = ("script", "template_id", "params", "notify")
_OF_A_LAUNCH = ("password", "run_as_password", "expect", "confirm", "reason")
_MAX_SECONDS_MS = 7 * 86_400_000
_MAX_JOB_MS = 30 * 86_400_000


class Timeouts(Body):
    """Deadlines of each host, and ``job_ms`` of all, in milliseconds; 0 means none where that is possible."""

    connect_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)
    command_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)
    idle_ms: int | None = Field(None, ge=0, le=_MAX_SECONDS_MS)
    job_ms: int | None = Field(None, ge=0, le=_MAX_JOB_MS, description="Of the whole job, its pauses not counted.")


class How(Body):
    """How a job goes over its hosts; what is not given is the console's setting."""

    concurrency: int | None = None
    max_failures: NumberOrText | None = Field(None, description="`3` or `5%`; one more failed host stops the job.")
    count_unreachable: bool | None = Field(None, description="Whether unreachable hosts count as failed; they do.")
    at_stop: Literal["finish", "kill"] | None = Field(None, description="What a stop does to hosts in flight.")
    waves: Text | None = Field(None, description="Sizes such as `1 5 10% *2 +5`; the last repeats.", max_length=1000)
    wave_pause: float | None = Field(None, description="Seconds between two waves.")
    wave_jitter: float | None = Field(None, description="At most so many random seconds more.")
    wave_gate: Literal["auto", "on_failure", "manual"] | None = Field(None, description="Who lets the next wave go.")
    canary: Text | None = Field(None, description="First wave: `3`, `random 3` or `each dc`.", max_length=200)
    canary_match: Text | None = Field(None, description="What each canary must print (regex).", max_length=1000)
    canary_gate: Literal["auto", "on_failure", "manual"] | None = None
    order: Text | None = Field(None, description="`given`, `random` or `spread <tag>`.", max_length=200)
    limit_per: Text | None = Field(None, description="`dc=5`: five hosts at once per value of dc.", max_length=500)
    jump: Text | None = Field(
        None, description="Jump hosts to all hosts, `user@bastion:22,inner`, or `none`.", max_length=1000
    )
    retries: int | None = Field(None, description="How often a connection that failed is tried again.")
    retry_pause: float | None = Field(None, description="Seconds before the first of them; each further one doubles.")
    durable: bool | None = Field(None, description="The command outlives a worker, which then takes it up again.")
    executor: Literal["ssh", "local", "simulate"] | None = Field(
        None, description="What carries it out on all hosts; without it each host's own, or the console's."
    )
    simulation: Text | None = Field(
        None, description="How simulated hosts behave: `seed=7 median_seconds=2 failures=3%`.", max_length=2000
    )
    timeouts: Timeouts = Timeouts()


class PushedFile(Body):
    """A file to put on the hosts."""

    file: Text = Field(description="SHA-256 of an uploaded file, as `POST /files` answers.", max_length=64)
    to: Text = Field(description="Its path there; one that ends in a slash gets the file's name.", max_length=4096)
    mode: Text | None = Field(None, description="Octal, such as `0644`; else that of the file there.", max_length=5)
    owner: Text | None = Field(None, description="`user`, `user:group` or `:group`, names or numbers.", max_length=132)


class What(How):
    """How the command is run: who reads its text, with what, where. Without these, the login's `/bin/sh` reads it."""

    interpreter: Text | None = Field(
        None, description="Program that reads the command as a script, e.g. `python3 -u`.", max_length=4096
    )
    args: list[Text] | None = Field(None, description="Arguments of the script, or `$1` and so on.", max_length=200)
    stdin: Text | None = Field(None, description="What the command reads.")
    cwd: Text | None = Field(None, description="Folder it runs in.", max_length=4096)
    umask: Text | None = Field(None, description="Such as `027`.", max_length=4)
    env: dict[Text, Text] | None = Field(None, description="Variables of its environment.", max_length=200)
    run_as: Text | None = Field(None, description="Account it runs as, when not the login's.", max_length=65)
    run_as_method: Literal["sudo", "su"] | None = Field(None, description="How it becomes that; `sudo`.")
    run_as_credential: Text | None = Field(
        None, description="With what: `none` (unasked), `login`, `password` or `cred:<name>`.", max_length=80
    )
    check: Text | None = Field(None, description="Runs before the command; exit 0 goes on, 77: nothing to do.")
    verify: Text | None = Field(None, description="Runs after the command; it fails when it does not exit 0.")
    step_barrier: Literal["host", "wave"] | None = Field(
        None, description="Whom a host waits for before its next step: nobody, or all hosts of its wave."
    )
    raw: bool | None = Field(None, description="Given over a terminal to a device without a shell; no guard.")
    raw_typed: bool | None = Field(None, description="Line by line at its prompt, without trying exec first.")
    push: list[PushedFile] | None = Field(None, description="Files to put there, instead of a command.")
    pull: list[Text] | None = Field(None, description="Files and folders to bring back, instead of a command.")
    make_folders: bool | None = Field(None, description="Make folders that are missing for what is pushed.")


_SKIP_UNKNOWN: Any = Field(False, description="Leave out what the inventory does not know.")


class Resolve(What):
    """An order to look at before it is given."""

    targets: Text
    exclude: Text = ""
    skip_unknown: bool = _SKIP_UNKNOWN
    command: Text = ""


class Expect(Body):
    """What the preview said; when it is no longer so, nothing runs and the answer is 409 `target_changed`."""

    count: int | None = None
    digest: Text | None = None
    hosts: Text | None = Field(None, description="`folded` of the preview; then the answer names who came and went.")


class NewJob(What):
    """A command to run on hosts."""

    targets: Text
    exclude: Text = ""
    skip_unknown: bool = _SKIP_UNKNOWN
    command: str = Field("", description="What to run; none where files are carried.")
    title: Text | None = Field(None, max_length=200)
    user: Text | None = Field(None, description="Remote user; a `user@host` target wins over it.", max_length=64)
    credential: Text = Field(
        "auto",
        description="`auto`, `ambient`, `key:<name>`, `cred:<name>` (a stored one) or `password`.",
        max_length=80,
    )
    password: SecretStr | None = Field(
        None, description="Only with credential `password`; kept sealed until the job ends.", max_length=1024
    )
    run_as_password: SecretStr | None = Field(
        None, description="Only with run_as_credential `password`; kept sealed until the job ends.", max_length=1024
    )
    priority: Literal["low", "normal", "high"] = Field("normal", description="`high` is for approvers and admins.")
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
            return {name: given for name, given in value.items() if name not in _NOT_YET}
        return value


class NewSaved(Body):
    """An order to keep under a name. With ``static`` its hosts are fixed now, else they are looked up at each run."""

    name: Text = Field(max_length=100)
    notes: Text | None = Field(None, max_length=4000)
    static: bool = False
    order: NewJob = Field(description="As for `POST /jobs`, but for what belongs to one launch alone.")

    @field_validator("order")
    @classmethod
    def _keep_nothing_of_a_launch(cls, order: NewJob) -> NewJob:
        given = [name for name in _OF_A_LAUNCH if name in order.model_fields_set]
        if given:
            raise ValueError(f"a saved command does not keep: {', '.join(given)}")
        return order


class ChangedSaved(NewSaved):
    """What to keep instead; ``version`` is the one that was looked at."""

    version: int | None = Field(None, ge=1, le=2**31 - 1)


class RunSaved(Body):
    """What belongs to one launch alone, as for `POST /jobs`."""

    password: SecretStr | None = Field(None, max_length=1024)
    run_as_password: SecretStr | None = Field(None, max_length=1024)
    expect: Expect = Expect()
    confirm: NumberOrText | None = None
    reason: Text | None = Field(None, max_length=1000)


class Rerun(Body):
    """Which hosts of a job to run its command on again."""

    states: list[Annotated[str, Field(max_length=20)]] = Field(
        description='States by letter or name: `["f", "unreachable"]`.', max_length=30
    )
    hosts: Hosts = None
    find: Text = Field("", max_length=MAX_TEXT, description="Only hosts with this in their output.")
    re: bool = Field(False, description="`find` is a regular expression (RE2).")
    case: bool = Field(False, description="Upper and lower case differ.")
    found: Literal["with", "without"] = Field("with", description="`without`: only hosts that did not write it.")
    password: SecretStr | None = Field(None, max_length=1024)
    run_as_password: SecretStr | None = Field(None, max_length=1024)
    confirm: NumberOrText | None = None
    reason: Text | None = Field(None, max_length=1000)
    expect: Expect = Expect()


class Choice(Body):
    """Which hosts are meant: those named, those of one wave, or without either the job itself."""

    hosts: Hosts = None
    wave: int | None = Field(None, ge=0, le=2**31 - 1, description="As the host rows number them, from 0.")


class Resume(Choice):
    """What to let go on; ``held`` means all hosts that were held back."""

    held: bool = False


class Cancel(Choice):
    """What to cancel, and how long a command has between TERM and KILL."""

    grace_s: float | None = Field(None, ge=0, le=300)


class Check(Body):
    """Where to look; without ``hosts`` wherever the command's end is not known. ``kill`` ends what is found."""

    hosts: Hosts = None
    kill: bool = False


class Title(Body):
    """What a job is called; empty: by the first line of its command."""

    title: Text = Field(max_length=200)


class Continue(Body):
    """After which wave: ``waves.now`` of the status. After another one nothing is done."""

    wave: int | None = Field(None, ge=0, le=2**31 - 1)


class StopAll(Body):
    """The emergency stop. ``cancel`` of false only keeps further hosts from starting."""

    reason: Text | None = Field(None, max_length=1000)
    cancel: bool = True


class LaunchHeaders(Question):
    """Makes it safe to send an order again: the same key of the same person is the same job."""

    key: str | None = Field(None, alias="Idempotency-Key", max_length=100)
