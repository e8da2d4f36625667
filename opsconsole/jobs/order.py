"""What a person asks for, before anything is looked up."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from opsconsole.jobs.ports import Secret

# What may differ between an order and the same one sent again: how sure the person is, and what they were shown.
CIRCUMSTANCES = frozenset(
    {
        "password",
        "run_as_password",
        "expect_count",
        "expect_digest",
        "expect_hosts",
        "confirm",
        "reason",
        "idempotency_key",
        "launch_type",
        "asked",
        "watched",
    }
)


class LaunchType(StrEnum):
    """Where a job came from."""

    MANUAL = "manual"
    API = "api"
    SCHEDULED = "scheduled"
    RELAUNCH = "relaunch"


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for. ``None`` means the console's setting; times are seconds.

    ``skip_unknown``: what the inventory does not know is left out, instead of being refused or dialled by its name.

    ``credential`` is ``auto`` (what the host, its groups or the settings say, else the worker's own keys), ``ambient``,
    ``key:<name>`` (a key file), ``cred:<name>`` (a stored credential) or ``password``. ``interpreter`` to
    ``step_barrier`` are as in ``what.What``, and so are ``push`` to ``make_folders``, beside which there is no command.
    ``expect_count``, ``expect_digest`` and ``expect_hosts`` (a list of hosts) repeat what the preview said.
    ``asked`` is what the person asked for where the order was made from it: it decides whether two orders with the same
    ``idempotency_key`` are the same. ``watched``: a person sees the job's page next, so that one of tier 1 gives them a
    moment to stop it.
    """

    targets: str
    command: str
    exclude: str = ""
    skip_unknown: bool = False
    title: str | None = None
    user: str | None = None
    credential: str = "auto"
    password: Secret | None = None
    concurrency: int | None = None
    connect_timeout: float | None = None
    command_timeout: float | None = None
    idle_timeout: float | None = None
    job_timeout: float | None = None
    max_failures: str | None = None
    count_unreachable: bool | None = None
    at_stop: str | None = None
    waves: str | None = None
    wave_pause: float | None = None
    wave_jitter: float | None = None
    wave_gate: str | None = None
    canary: str | None = None
    canary_match: str | None = None
    canary_gate: str | None = None
    order: str | None = None
    limit_per: str | None = None
    jump: str | None = None
    retries: int | None = None
    retry_pause: float | None = None
    durable: bool | None = None
    executor: str | None = None
    simulation: str | None = None
    interpreter: str | None = None
    args: Sequence[str] | None = None
    stdin: str | None = None
    cwd: str | None = None
    umask: str | None = None
    env: Mapping[str, str] | None = None
    run_as: str | None = None
    run_as_method: str | None = None
    run_as_credential: str | None = None
    run_as_password: Secret | None = None
    raw: bool | None = None
    raw_typed: bool | None = None
    check: str | None = None
    verify: str | None = None
    step_barrier: str | None = None
    push: Sequence[Mapping[str, Any]] | None = None
    pull: Sequence[str] | None = None
    make_folders: bool | None = None
    priority: str = "normal"
    expect_count: int | None = None
    expect_digest: str | None = None
    expect_hosts: str | None = None
    confirm: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None
    launch_type: LaunchType = LaunchType.MANUAL
    rerun_of: int | None = None
    saved_id: int | None = None
    asked: str | None = None
    watched: bool = False

    def fingerprint(self) -> str:
        """Returns a digest of what is ordered: the same for the same order sent again. No secret is part of it."""
        if self.asked is not None:
            return hashlib.sha256(self.asked.encode(errors="surrogatepass")).hexdigest()
        wanted = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in CIRCUMSTANCES}
        return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
