"""The typed settings: the only reader of the environment.

Every field is set by ``OPSCONSOLE_<NAME>``; ``OPSCONSOLE_<NAME>_FILE`` names a file that holds the value, for secrets.
The file is longer than 400 lines because every setting stands in it.
"""

import getpass
import hashlib
import ipaddress
import json
import os
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

import re2  # type: ignore[import-untyped]
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from opsconsole.crash import CrashPoint
from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import parse_host

_PREFIX = "OPSCONSOLE_"
# macOS has 104 bytes for a socket's path and its closing zero, Linux 108.
_SOCKET_PATH_BYTES = 103
_SECRET_CHARS = 16
_TIERS = 3
# Fewer beats or looks than these within ``worker_dead_seconds``, and one late one makes a living worker a lost one.
_BEATS_BEFORE_DEAD = 2
_SWEEPS_BEFORE_DEAD = 3

_VAULT_URL = re.compile(r"https://[^/@\s]+(/|$)|http://(localhost|127\.0\.0\.1)(:\d+)?(/|$)")
_LIMIT = re.compile(r"(tag (?!(?:group|jump) *=)[^\s,=]+|(?:group|jump) [^\s,=]+|user)=[1-9][0-9]{0,6}", re.ASCII)


class WorkerPool(StrEnum):
    """How a worker process runs many hosts at once."""

    GEVENT = "gevent"
    THREADS = "threads"


class Source(StrEnum):
    """Where a process has a setting from; ``START`` is what the program that started here chose by itself."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    FILE = "file"
    START = "start"


def usual_data_dir() -> Path:
    """Returns the data folder of a console that was told no other."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "opsconsole"


class Settings(BaseSettings):
    """Everything that can be set. Frozen: a running process never changes its mind."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(default_factory=usual_data_dir, description="Folder of database, keys, sockets and logs.")
    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL; default is SQLite in the data folder.")
    broker_url: SecretStr | None = Field(None, description="redis:// or amqp:// URL; default is the embedded server.")
    secret_key: SecretStr | None = Field(None, description="Shared by all processes; default is made in data_dir.")

    host: str = Field("127.0.0.1", description="Address the web server binds.")
    port: int = Field(8765, ge=0, le=65535, description="Port of the web server; another is taken when it is in use.")
    behind_proxy: bool = Field(False, description="A TLS proxy before us sets X-Forwarded-*; needed beyond loopback.")
    insecure_http: bool = Field(False, description="Allow binding beyond loopback without TLS.")
    web_threads: int = Field(128, ge=8, le=1024, description="Threads of the web server.")
    max_streams: int = Field(64, ge=1, le=512, description="SSE streams of one web process; beyond, clients poll.")

    workers: int = Field(0, ge=0, le=256, description="Worker processes; 0 means one per core.")
    worker_slots: int = Field(100, ge=1, le=2000, description="Hosts one worker process handles at once.")
    worker_pool: WorkerPool = Field(WorkerPool.GEVENT, description="gevent or threads.")

    use_ambient_keys: bool = Field(False, description="Workers may use their own user's ssh-agent and default keys.")
    key_files: Annotated[dict[str, Path], NoDecode] = Field(
        default_factory=dict, description="Named private key files on the workers: name=/path,name2=/path2."
    )
    credential_files_dir: Path | None = Field(
        None, description="Folder on the workers whose files external credentials may name; none means no files."
    )
    vault_url: str | None = Field(None, description="HashiCorp Vault, for external credentials: https://vault:8200.")
    vault_token_file: Path | None = Field(None, description="File on the workers with a token for Vault.")
    vault_role_id: str | None = Field(None, description="AppRole by which workers log in to Vault, without a token.")
    vault_secret_id_file: Path | None = Field(None, description="File on the workers with that AppRole's secret id.")
    vault_namespace: str | None = Field(None, description="Namespace in Vault Enterprise.")
    vault_ca_file: Path | None = Field(None, description="Authority that vouches for Vault, when no public one does.")
    credential: str | None = Field(
        None,
        description="Used where neither job nor host nor group says one: cred:NAME, key:NAME.",
    )
    host_key_policy: Literal["strict", "accept_new", "pinned"] = Field(
        "strict", description="What to do with a new host key, where neither the host nor a group of it says it."
    )
    ssh_user: str | None = Field(None, description="Remote user when none is named; default is the worker's own user.")
    ssh_port: int = Field(22, ge=1, le=65535, description="Port when neither the target nor the inventory names one.")
    keep_connections: int = Field(200, ge=0, le=5000, description="Idle SSH connections one worker process keeps open.")
    keep_connection_seconds: float = Field(60.0, ge=0, description="How long an idle SSH connection is kept.")
    keep_connection_age_seconds: float = Field(
        3600.0, gt=0, description="An SSH connection older than this serves no further run."
    )
    jump: str | None = Field(
        None, description="Jump hosts for all hosts whose inventory and run name none: user@bastion:22,inner."
    )
    allow_loopback: bool = Field(False, description="Hosts may resolve to loopback addresses.")
    allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="When set, hosts must resolve into one of these networks: 10.0.0.0/8,192.168.0.0/16."
    )
    executor: Literal["ssh", "local", "simulate"] = Field(
        "ssh", description="What carries out runs where neither order nor host says it; simulate plays every host."
    )
    allow_local: bool = Field(False, description="Admins may run commands on the workers' own machines.")
    simulation: str | None = Field(
        None, description="How simulated hosts behave: seed=7 median_seconds=2 failures=3% unreachable=1%."
    )
    allow_unlisted_hosts: bool = Field(False, description="Names outside the inventory may be targets.")
    source_programs: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Programs that may tell hosts (inventory sources), by full path, separated by commas."
    )
    source_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses below which inventory sources may read: https://cmdb.example.net/inventory/."
    )

    max_targets: int = Field(10_000, ge=1, le=100_000, description="Hosts of one job at most.")
    max_command_bytes: int = Field(256 * 1024, ge=1, description="Size of a command at most.")
    concurrency: int = Field(50, ge=1, le=5000, description="Hosts of one job at once when the job does not say.")
    max_concurrency: int = Field(1000, ge=1, le=5000, description="What a job may ask for at most.")
    limits: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts in flight over all jobs at most: tag dc=20,group db=2,jump bastion=50,user=500."
    )
    raw_prompt: str = Field(
        r"^\[[^\]\r\n]{1,80}\] ?$|^[\w(<~/-][^\r\n]{0,120}[#>$] ?$|^[#>$] ?$",
        description="What a device's prompt looks like, in raw mode (RE2).",
    )
    raw_pager: str = Field(
        r"(?i)<?-+ ?\(?more\b[^\r\n]{0,40}$|press any key[^\r\n]{0,40}$",
        description="What a device's pager waits with, in raw mode; it is given a space (RE2).",
    )
    raw_fail_match: str = Field(
        r"(?i)^\s*% ?(?:invalid|incomplete|ambiguous|unrecogni[sz]ed|unknown|bad|error)|^error:|^syntax error"
        r"|^(?:unknown|invalid) (?:command|input)",
        description="A line by which a device tells a fault, in raw mode (RE2).",
    )
    tier_hosts: Annotated[tuple[int, int, int], NoDecode] = Field(
        (11, 100, 1000),
        description="Hosts from which an order waits a moment, wants its count typed, wants RUN and a reason.",
    )
    tier_share: float = Field(
        50.0, gt=0, le=100, description="Percent of the inventory beyond which an order wants RUN and a reason."
    )
    protected_tags: Annotated[tuple[str, ...], NoDecode] = Field(
        ("prod",), description="Tags of hosts in production, of whom two want their count typed: prod,env=live."
    )
    connect_timeout: float = Field(10.0, gt=0, le=300, description="Seconds to reach a host and log in.")
    command_timeout: float = Field(300.0, ge=0, le=7 * 86400, description="Seconds a command may take; 0 means none.")
    kill_grace: float = Field(5.0, ge=0, le=300, description="Seconds between TERM and KILL.")
    output_head_bytes: int = Field(1024 * 1024, ge=1024, description="Kept of the start of a host's output.")
    output_tail_bytes: int = Field(1024 * 1024, ge=1024, description="Kept of the end of a host's output.")

    files_dir: Path | None = Field(
        None, description="Folder of uploaded and pulled files, shared by web and workers; default is in data_dir."
    )
    max_file_bytes: int = Field(8 * 1024**3, ge=1, description="Size of an uploaded file at most.")
    max_pull_files: int = Field(10_000, ge=1, description="Files that are taken from one host of a job at most.")
    max_pull_bytes: int = Field(1024**3, ge=1, description="Bytes that are taken from one host of a job at most.")
    files_spare_bytes: int = Field(1024**3, ge=0, description="So much of the disk of files_dir is left free.")
    files_keep_days: float = Field(30.0, gt=0, description="Files that nobody used for so long are removed.")

    session_idle_minutes: int = Field(12 * 60, ge=1, description="An unused sign-in ends after this.")
    session_hours: int = Field(7 * 24, ge=1, description="Any sign-in ends after this.")
    url: str | None = Field(None, description="Console the command line talks to; default is the one running here.")
    token: SecretStr | None = Field(None, description="API token of the command line, with url.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG (which also serves scripts and styles as written), INFO, WARNING or ERROR."
    )
    log_json: bool = Field(False, description="Logs as JSON, one object a line.")
    drain_seconds: float = Field(3.0, ge=0, description="How long a stopping worker lets running commands go on.")
    shutdown_policy: Literal["cancel", "wait"] = Field(
        "cancel",
        description="After drain_seconds a stopping worker ends its commands (cancel) or waits for them (wait).",
    )
    spool_seconds: float = Field(
        3.0, ge=0, description="A result that the database does not take this long is kept on the worker's own disk."
    )
    heartbeat_seconds: float = Field(5.0, gt=0, description="How often a worker says that it lives.")
    worker_dead_seconds: float = Field(30.0, gt=0, description="A heartbeat unchanged this long means a lost worker.")
    restart_most_seconds: float = Field(
        10.0, gt=0, description="A process that keeps ending waits no longer than this."
    )
    crash_at: CrashPoint | None = Field(None, description="For tests: where in its work this process kills itself.")
    sweep_seconds: float = Field(1.0, gt=0, description="How often workers look for orders and overdue runs.")

    @field_validator("key_files", mode="before")
    @classmethod
    def _parse_key_files(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not name.strip() or not path.strip() for name, _, path in pairs):
            raise ValueError("write name=/path/to/key, several separated by commas")
        return {name.strip(): path.strip() for name, _, path in pairs}

    @field_validator("source_programs", "source_urls", "protected_tags", mode="before")
    @classmethod
    def _parse_list(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("tier_hosts", mode="before")
    @classmethod
    def _parse_tiers(cls, value: object) -> object:
        parts = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        try:
            numbers = [int(part) for part in parts]  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != _TIERS or numbers[0] < 1 or sorted(numbers) != numbers:
            raise ValueError("write three rising numbers of hosts such as 11,100,1000")
        return tuple(numbers)

    @field_validator("vault_url")
    @classmethod
    def _encrypted(cls, value: str | None) -> str | None:
        # The token goes over it.
        if value is not None and not _VAULT_URL.match(value):
            raise ValueError("write https://vault.example.net:8200; without TLS on this machine alone")
        return value

    @field_validator("source_programs")
    @classmethod
    def _full_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not path.startswith("/") for path in value):
            raise ValueError("write full paths such as /usr/local/bin/inventory, several separated by commas")
        return value

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        parts = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        if isinstance(parts, (tuple, list)):
            for part in parts:
                try:
                    ipaddress.ip_network(str(part))
                except ValueError:
                    raise ValueError("write networks such as 10.0.0.0/8, several separated by commas") from None
        return parts

    @field_validator("jump")
    @classmethod
    def _check_jump(cls, value: str | None) -> str | None:
        try:
            for part in value.split(",") if value else ():
                parse_host(part.strip())
        except Invalid as error:
            raise ValueError(f"write user@bastion:22,inner: {error.detail}") from None
        return value

    @field_validator("raw_prompt", "raw_pager", "raw_fail_match")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(value.encode(), options)
        except re2.error:
            raise ValueError("is not a regular expression in the syntax of RE2") from None
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _parse_limits(cls, value: object) -> object:
        parts = tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        if isinstance(parts, (tuple, list)) and not all(_LIMIT.fullmatch(str(part)) for part in parts):
            raise ValueError("write tag, group or jump NAME=HOSTS, or user=HOSTS, several separated by commas")
        return parts

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SECRET_CHARS:
            raise ValueError(f"must have at least {_SECRET_CHARS} characters")
        return value

    @field_validator("data_dir", "files_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @model_validator(mode="after")
    def _check_urls(self) -> Self:
        if self.database_url and not self.database.startswith(("sqlite:", "postgresql")):
            raise ValueError("database_url must start with sqlite: or postgresql:")
        try:
            scheme = urlsplit(self.broker).scheme
        except ValueError:
            # The parser's own message repeats the host part, with the password in it.
            raise ValueError("broker_url is not a URL") from None
        if scheme not in {"redis", "rediss", "redis+socket", "amqp", "amqps"}:
            raise ValueError("broker_url must start with redis:, rediss:, redis+socket:, amqp: or amqps:")
        return self

    @model_validator(mode="after")
    def _check_heartbeat(self) -> Self:
        for name, times in (("sweep_seconds", _SWEEPS_BEFORE_DEAD), ("heartbeat_seconds", _BEATS_BEFORE_DEAD)):
            least = times * float(getattr(self, name))
            if self.worker_dead_seconds < least:
                raise ValueError(f"worker_dead_seconds must be at least {times} times {name}, here {least:g}")
        return self

    @classmethod
    def load(cls, **overrides: object) -> "Settings":
        """Returns the settings of the environment, with ``overrides`` winning.

        Raises ``Invalid`` naming each faulty variable. Values are not repeated in the message: they may be secret.
        """
        try:
            return cls(**{**_file_values(), **overrides})  # type: ignore[arg-type]
        except ValidationError as error:
            faults = [
                FieldError(field=_PREFIX + "_".join(str(part) for part in item["loc"]).upper(), message=item["msg"])
                for item in error.errors(include_input=False, include_context=False, include_url=False)
            ]
            names = "; ".join(f"{fault.field.rstrip('_')}: {fault.message}" for fault in faults)
            raise Invalid(f"Settings cannot be used: {names}", code="settings", errors=faults) from None

    @staticmethod
    def variable(name: str) -> str:
        """Returns the environment variable that sets the field ``name``."""
        return f"{_PREFIX}{name.upper()}"

    def source(self, name: str) -> Source:
        """Returns where this process has the value of the field ``name`` from."""
        if name not in self.model_fields_set:
            return Source.DEFAULT
        given = {variable.upper() for variable, value in os.environ.items() if value}
        variable = self.variable(name)
        if variable in given:
            return Source.ENVIRONMENT
        return Source.FILE if f"{variable}_FILE" in given else Source.START

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in clear."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir / 'opsconsole.db'}"
        url = self.database_url.get_secret_value()
        if url.startswith(("postgresql://", "postgres://")):
            return "postgresql+psycopg://" + url.split("://", 1)[1]
        return url

    @property
    def run_dir(self) -> Path:
        """Folder of what belongs to the running processes: locks, sockets, the address of the console."""
        return self.data_dir / "run"

    @property
    def spool_dir(self) -> Path:
        """Folder of results that the database did not take yet."""
        return self.data_dir / "spool"

    @property
    def files(self) -> Path:
        """Folder of uploaded files and of those that came back from hosts."""
        return self.files_dir or self.data_dir / "files"

    @property
    def tide_file(self) -> Path:
        """Where this machine remembers how far the database has come."""
        return self.data_dir / "tide.json"

    @property
    def broker_socket(self) -> Path:
        """Unix socket of the embedded broker.

        The path of a socket has room for about 100 bytes. A data folder deeper than that keeps it in a short folder
        whose name depends on user and data folder alone, so that every process finds the same one.
        """
        wanted = self.run_dir / "broker.sock"
        if len(os.fsencode(wanted)) <= _SOCKET_PATH_BYTES:
            return wanted
        mark = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(f"/tmp/opsconsole-{os.geteuid()}-{mark}/broker.sock")  # noqa: S108  The launcher checks its owner.

    @property
    def console_file(self) -> Path:
        """Where a running console leaves its URL and a token for the command line of the same person."""
        return self.data_dir / "run" / "console.json"

    @property
    def embedded_broker(self) -> bool:
        """True when we start our own Redis-compatible server."""
        return self.broker_url is None

    @property
    def broker(self) -> str:
        """The broker URL in clear, as Celery writes it."""
        if self.broker_url is None:
            return f"redis+socket://{quote(str(self.broker_socket))}"
        return self.broker_url.get_secret_value()

    @property
    def remote_user(self) -> str:
        """The remote user when neither the person nor the inventory names one."""
        return self.ssh_user or self.own_user

    @property
    def own_user(self) -> str:
        """The user whom this process runs as."""
        return getpass.getuser()

    @property
    def simulated_dir(self) -> Path:
        """Folder of what simulated hosts of this machine keep of commands that outlive their connection."""
        return self.data_dir / "simulated"

    def secret(self) -> str:
        """Returns the secret key in clear, reading it from the data folder or making it there (mode 0600)."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        return read_or_create_secret(self.data_dir / "secret.key")


def read_or_create_secret(path: Path) -> str:
    """Returns the secret in ``path``; two processes that start at once end up with the same one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(48))
        try:
            # A hard link fails when the name exists, so the first process wins and all read its secret.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    secret = path.read_text().strip()
    if len(secret) < _SECRET_CHARS:
        raise Invalid(f"The secret key in {path} is empty or cut short; restore it from a backup.", code="settings")
    return secret


def child_environment(overrides: Mapping[str, object]) -> dict[str, str]:
    """Returns the environment for a process of ours: this process's own, with ``overrides`` (field: value) winning.

    Secrets travel as they came, by variable or by file; give none in ``overrides``.
    """
    return {**os.environ, **{f"{_PREFIX}{name.upper()}": _as_text(value) for name, value in overrides.items()}}


def agent_socket() -> Path | None:
    """Returns the socket of this user's ssh-agent, whether or not it is there, or ``None`` when there is no agent."""
    path = os.environ.get("SSH_AUTH_SOCK")
    return Path(path) if path else None


def _as_text(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}={item}" for name, item in value.items())
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _file_values() -> dict[str, str]:
    values: dict[str, str] = {}
    for name in Settings.model_fields:
        path = os.environ.get(f"{_PREFIX}{name.upper()}_FILE")
        if path and f"{_PREFIX}{name.upper()}" not in os.environ:
            try:
                values[name] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not a text file"
                problem = f"{_PREFIX}{name.upper()}_FILE: {reason}"
                raise Invalid(f"Settings cannot be used: {problem}", code="settings") from None
    return values


def no_color() -> bool:
    """Returns whether the person asked all programs for plain text (https://no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))
