"""From an order to a job: what it would touch (``resolve``), and the one transaction that makes it (``launch``)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import JobSecret
from opsconsole.errors import ConfirmationRequired, Conflict, FieldError, Forbidden, Invalid, TooLarge
from opsconsole.hostset import Resolution, evaluate, fold
from opsconsole.inventory.models import Host
from opsconsole.inventory.service import locate
from opsconsole.jobs.guard import PROTECTED_TAG_VALUE, Risk, assess, confirmed
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import MaxFailures, RunOptions
from opsconsole.jobs.placing import Located, place_hosts
from opsconsole.jobs.ports import Secret
from opsconsole.jobs.states import JobState, Priority, RunState
from opsconsole.jobs.targets import TargetResolver
from opsconsole.settings import Settings

_SAMPLE = 10
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")
PASSWORD_SECRET = "password"  # noqa: S105 - the name under which a job's secret is kept, not a secret.


class LaunchType(StrEnum):
    """Where a job came from."""

    MANUAL = "manual"
    API = "api"
    SCHEDULED = "scheduled"
    RELAUNCH = "relaunch"


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for. ``None`` means the console's setting; times are seconds.

    ``credential`` is ``auto`` (the host's own, else the worker's own keys), ``ambient``, ``key:<name>`` or
    ``password``. ``expect_count`` and ``expect_digest`` repeat what the preview said.
    """

    targets: str
    command: str
    exclude: str = ""
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
    retries: int | None = None
    retry_pause: float | None = None
    durable: bool | None = None
    priority: str = "normal"
    expect_count: int | None = None
    expect_digest: str | None = None
    confirm: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None
    launch_type: LaunchType = LaunchType.MANUAL
    rerun_of: int | None = None


# What an order may choose of the run's options; the rest are the console's settings.
_CHOSEN = tuple(field.name for field in fields(RunOptions) if field.name in Order.__dataclass_fields__)


def chosen_of(order: Order) -> dict[str, Any]:
    """Returns what an order says of how it is carried out, by the names of ``RunOptions``; ``None`` is the usual."""
    return {name: getattr(order, name) for name in _CHOSEN}


class Launcher:
    """Turns orders into jobs. Takes sessions and never commits."""

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        self._settings = settings
        self._cipher = cipher

    def resolve(
        self,
        session: Session,
        actor: Actor,
        *,
        targets: str,
        exclude: str = "",
        command: str = "",
        **chosen: Any,
    ) -> dict[str, Any]:
        """Returns the blast radius of an order as the JSON of ``POST /resolve``. Nothing connects.

        ``chosen`` are fields of an order that say how. Raises ``Invalid`` naming the field of each fault, with the
        column where it is one of ``targets``, ``exclude`` or ``waves``.
        """
        resolution, located = self._locate(session, actor, targets, exclude)
        options = self._options(**chosen)
        count = len(located)
        risk, inventory = self._risk(session, located, command)
        unlisted = [item.spec.label for item in located if item.entry is None]
        unreachable = self._recently_unreachable(session, located)
        return {
            "count": count,
            "digest": resolution.digest,
            "folded": resolution.folded,
            "sample": [item.spec.label for item in located[:_SAMPLE]],
            "unknown": unlisted[:100],
            "unknown_count": len(unlisted),
            "unknown_blocks": bool(unlisted) and not self._settings.allow_unlisted_hosts,
            "unknown_folded": fold(unlisted) if unlisted else "",
            "excluded_count": len(resolution.excluded),
            "excluded": fold(spec.label for spec in resolution.excluded) if resolution.excluded else "",
            "duplicates": resolution.duplicates,
            "recent_unreachable": unreachable,
            "recent_unreachable_folded": fold(unreachable) if unreachable else "",
            "by": _by_tag(located),
            "inventory_share": round((count - len(unlisted)) / inventory, 4) if inventory else None,
            "risk": risk.to_json(),
            "worst_case": options.worst_case(count),
            "allowed_failures": options.allowed_failures(count),
            "waves": place_hosts(session, located, options).placement.plan,
            "concurrency": options.concurrency,
            "eta_ms": _usual_duration_ms(session, command, count, options.concurrency),
        }

    def launch(self, session: Session, order: Order, actor: Actor, *, now: datetime) -> tuple[Job, bool]:
        """Writes the job, a row per host and the audit record, and returns the job and whether it is new.

        The same ``idempotency_key`` of the same person returns the first job. Raises ``Invalid``, ``TooLarge``,
        ``Forbidden``, ``Conflict`` (``target_changed``, with the difference) or ``ConfirmationRequired``.
        """
        # 1. May this person, and is it the same order again?
        if not actor.may(Permission.RUN):
            raise Forbidden("Your role or token may look at jobs but not run commands.")
        again = self._earlier(session, order, actor)
        if again is not None:
            return again, False
        # 2. What exactly, where exactly.
        command = self._checked_command(order.command)
        options = self._options_of(order)
        auth = self._auth_of(order)
        resolution, located = self._locate(session, actor, order.targets, order.exclude)
        self._refuse_unlisted(located)
        # 3. Is it what the person saw, and have they confirmed its size?
        _refuse_changed(order, resolution)
        risk, _ = self._risk(session, located, command)
        if not confirmed(risk, order.confirm, order.reason):
            why = " and a reason" if risk.reason_required else ""
            raise ConfirmationRequired(
                f"This runs on {len(located)} hosts ({', '.join(risk.reasons)}). Confirm with: {risk.confirm}{why}.",
                extra={"risk": risk.to_json()},
            )
        # 4. Write it down, all in the caller's transaction.
        places = place_hosts(session, located, options)
        job = self._write_job(session, order, actor, now, command, options, auth, resolution)
        job.plan = places.placement.plan
        rows = [
            {**self._run_row(job.id, i, item, auth), "rank": rank, "wave": wave, "limit_keys": keys}
            for i, (item, rank, wave, keys) in enumerate(
                zip(located, places.placement.rank, places.placement.wave, places.limit_keys, strict=True)
            )
        ]
        session.execute(insert(HostRun), rows)
        if order.password is not None:
            place = f"job_secrets/{job.id}/{PASSWORD_SECRET}"
            sealed = self._cipher.seal(order.password.reveal(), place=place)
            session.add(JobSecret(job_id=job.id, name=PASSWORD_SECRET, sealed=sealed, created_at=now))
        _audit(session, actor, job, order, now)
        return job, True

    def _earlier(self, session: Session, order: Order, actor: Actor) -> Job | None:
        if order.idempotency_key is None:
            return None
        if not 1 <= len(order.idempotency_key) <= 100 or not order.idempotency_key.isprintable():
            raise _fault("idempotency_key", "Must have 1 to 100 printable characters.")
        query = select(Job).where(Job.created_by_id == actor.user_id, Job.idempotency_key == order.idempotency_key)
        return session.scalars(query).one_or_none()

    def _locate(self, session: Session, actor: Actor, targets: str, exclude: str) -> tuple[Resolution, list[Located]]:
        groups = TargetResolver(session, actor)
        resolution = evaluate(targets, exclude, groups=groups, max_hosts=self._settings.max_targets)
        entries = locate(session, [spec.name for spec in resolution.hosts])
        return resolution, [Located(spec, entries.get(spec.name.lower())) for spec in resolution.hosts]

    def _refuse_unlisted(self, located: Sequence[Located]) -> None:
        unlisted = [item.spec.label for item in located if item.entry is None]
        if unlisted and not self._settings.allow_unlisted_hosts:
            raise _fault("targets", f"Not in the inventory: {fold(unlisted)[:300]}", code="unknown_hosts")

    def _checked_command(self, command: str) -> str:
        if not command.strip():
            raise _fault("command", "Write a command to run.", code="empty")
        if "\0" in command:
            raise _fault("command", "A command cannot hold a NUL byte.")
        size = len(command.encode(errors="surrogatepass"))
        if size > self._settings.max_command_bytes:
            limit = self._settings.max_command_bytes
            message = f"The command has {size:,} bytes, the limit is {limit:,}."
            raise TooLarge(message, errors=[FieldError("command", message, code="too_large")])
        try:
            command.encode()
        except UnicodeEncodeError:
            raise _fault("command", "The command is not valid text.") from None
        # A form sends CRLF, which a shell would take as part of the last word of each line.
        return command.replace("\r\n", "\n")

    def _options(self, **chosen: Any) -> RunOptions:
        defaults = {
            "concurrency": self._settings.concurrency,
            "connect_timeout": self._settings.connect_timeout,
            "command_timeout": self._settings.command_timeout,
            "kill_grace": self._settings.kill_grace,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        if "max_failures" in given:
            given["max_failures"] = str(MaxFailures.parse(str(given["max_failures"])))
        return RunOptions(**{**defaults, **given}).checked(max_concurrency=self._settings.max_concurrency)

    def _options_of(self, order: Order) -> RunOptions:
        return self._options(**chosen_of(order))

    def _auth_of(self, order: Order) -> dict[str, Any]:
        kind, _, name = order.credential.partition(":")
        if kind not in {"auto", "ambient", "key", "password"} or (kind == "key") != bool(name):
            raise _fault("credential", "Choose auto, ambient, key:<name> or password.")
        if kind == "ambient" and not self._settings.use_ambient_keys:
            raise _fault("credential", "This console does not use its workers' own keys (setting use_ambient_keys).")
        if kind == "key" and name not in self._settings.key_files:
            raise _fault("credential", f"There is no key file named {name[:64]!r} (setting key_files).")
        if (kind == "password") != (order.password is not None):
            raise _fault("password", "A password goes with the credential 'password', and only with it.")
        if order.password is not None and not order.password.reveal():
            raise _fault("password", "The password is empty.", code="empty")
        user = order.user or None
        if user is not None and not _USER.fullmatch(user):
            raise _fault("user", "Not a user name: letters, digits, dot, dash and underscore only.")
        return {"kind": kind, "name": name or None, "user": user}

    def _write_job(
        self,
        session: Session,
        order: Order,
        actor: Actor,
        now: datetime,
        command: str,
        options: RunOptions,
        auth: Mapping[str, Any],
        resolution: Resolution,
    ) -> Job:
        title = (order.title or "").strip() or next(line.strip() for line in command.splitlines() if line.strip())
        job = Job(
            title="".join(char if char.isprintable() else " " for char in title)[:200],
            command=command,
            expression=order.targets,
            exclude=order.exclude,
            folded=resolution.folded,
            digest=resolution.digest,
            target_count=len(resolution.hosts),
            options=options.to_json(),
            failures_allowed=options.allowed_failures(len(resolution.hosts)),
            count_unreachable=options.count_unreachable,
            durable=options.durable,
            priority=_priority(order.priority),
            auth=dict(auth),
            launch_type=order.launch_type.value,
            reason=(order.reason or "").strip()[:500] or None,
            rerun_of=order.rerun_of,
            created_by_id=actor.user_id,
            created_by=actor.name,
            idempotency_key=order.idempotency_key,
            created_at=now,
            state=JobState.PENDING.value,
            ver=1,
            n_q=len(resolution.hosts),
        )
        session.add(job)
        session.flush()  # The rows of the hosts need the job's id.
        return job

    def _run_row(self, job_id: int, i: int, item: Located, auth: Mapping[str, Any]) -> dict[str, Any]:
        spec, entry = item.spec, item.entry
        user = spec.user or auth["user"] or (entry.user if entry else None) or self._settings.remote_user
        return {
            "job_id": job_id,
            "i": i,
            "host": spec.label,
            "address": (entry.address if entry else None) or spec.name,
            "port": spec.port or (entry.port if entry else None) or self._settings.ssh_port,
            "user": user,
            "credential": entry.credential if entry else None,
            "state": RunState.PENDING.value,
            "ver": 1,
        }

    def _risk(self, session: Session, located: Sequence[Located], command: str) -> tuple[Risk, int]:
        inventory = session.scalar(select(func.count()).select_from(Host)) or 0
        protected = sum(
            1 for item in located if item.entry and PROTECTED_TAG_VALUE in {str(v) for v in item.entry.tags.values()}
        )
        listed = sum(1 for item in located if item.entry is not None)
        risk = assess(len(located), listed=listed, protected=protected, inventory=inventory, command=command)
        return risk, inventory

    def _recently_unreachable(self, session: Session, located: Sequence[Located]) -> list[str]:
        """Hosts whose latest run did not get through; looked up for orders of a readable size only."""
        names = [item.spec.label for item in located[:500]]
        latest = select(func.max(HostRun.id)).where(HostRun.host.in_(names)).group_by(HostRun.host)
        query = select(HostRun.host).where(HostRun.id.in_(latest), HostRun.state == RunState.UNREACHABLE.value)
        return sorted(session.scalars(query))


def _priority(word: str) -> int:
    try:
        return Priority[word.upper()].value
    except KeyError:
        raise _fault("priority", "Choose low, normal or high.") from None


def _fault(field: str, message: str, *, code: str = "invalid") -> Invalid:
    return Invalid(message, errors=[FieldError(field, message, code=code)])


def _refuse_changed(order: Order, resolution: Resolution) -> None:
    same_count = order.expect_count is None or order.expect_count == len(resolution.hosts)
    same_digest = order.expect_digest is None or order.expect_digest == resolution.digest
    if not (same_count and same_digest):
        raise Conflict(
            f"The targets changed since the preview: now {len(resolution.hosts)} hosts. Nothing was run.",
            code="target_changed",
            extra={"count": len(resolution.hosts), "digest": resolution.digest, "folded": resolution.folded},
        )


def _by_tag(located: Sequence[Located]) -> dict[str, dict[str, int]]:
    split: dict[str, dict[str, int]] = {}
    for item in located:
        for key, value in (item.entry.tags if item.entry else {}).items():
            counts = split.setdefault(key, {})
            counts[str(value)] = counts.get(str(value), 0) + 1
    return split


def _usual_duration_ms(session: Session, command: str, count: int, concurrency: int) -> int | None:
    """The median host's time in the last run of the same command, scaled to this order; ``None`` when it never ran."""
    if not command:
        return None
    last = session.scalar(
        select(Job.id)
        .where(Job.command == command.replace("\r\n", "\n"), Job.finished_at.is_not(None), Job.n_o > 0)
        .order_by(Job.id.desc())
        .limit(1)
    )
    if last is None:
        return None
    query = select(HostRun.duration_ms).where(HostRun.job_id == last, HostRun.duration_ms.is_not(None))
    durations = sorted(value for value in session.scalars(query.limit(1000)) if value is not None)
    if not durations:
        return None
    return durations[len(durations) // 2] * -(-count // concurrency)


def _audit(session: Session, actor: Actor, job: Job, order: Order, now: datetime) -> None:
    record(
        session,
        actor,
        "job.launch",
        now=now,
        object=f"job/{job.id}",
        text=job.command,
        detail={
            "targets": order.targets,
            "exclude": order.exclude,
            "digest": job.digest,
            "count": job.target_count,
            "user": order.user,
            "credential": order.credential,
            "confirm": order.confirm,
            "reason": order.reason,
            "command_sha256": hashlib.sha256(job.command.encode()).hexdigest(),
        },
    )
