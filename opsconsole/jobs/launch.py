"""From an order to a job: the one transaction that makes it, and the dry run that makes none."""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import JobSecret
from opsconsole.credentials.vault import Vault, job_place
from opsconsole.db.console import Console
from opsconsole.errors import ConfirmationRequired, Conflict, Forbidden
from opsconsole.files import service as files
from opsconsole.hostset import EmptyInventory, Resolution, evaluate, fold
from opsconsole.jobs import alarmed
from opsconsole.jobs.arranging import tags_of
from opsconsole.jobs.becoming import RUN_AS_SECRET
from opsconsole.jobs.guard import COUNTDOWN_MS, COUNTDOWN_SLACK_MS, Risk, confirmed
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.order import LaunchType, Order
from opsconsole.jobs.states import JobState
from opsconsole.jobs.survey import Prepared, Survey, fault
from opsconsole.jobs.variables import render
from opsconsole.secret import Secret
from opsconsole.sentences import Sentence, joined
from opsconsole.settings import Settings

__all__ = ["PASSWORD_SECRET", "LaunchType", "Launcher", "Order"]

PASSWORD_SECRET = "password"  # noqa: S105 - the name under which a job's secret is kept, not a secret.
_CHANGES_TOLD = 1000
_SKIPPED_TOLD = 2000
# The command stands beside each host of a dry run while all of them together are no longer than this.
_COMMANDS_CHARS = 2_000_000
_COMMAND_HEAD_CHARS = 200


class Launcher(Survey):
    """Turns orders into jobs. Takes sessions and never commits."""

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        super().__init__(settings)
        self._vault = Vault(cipher)

    def launch(self, session: Session, order: Order, actor: Actor, *, now: datetime) -> tuple[Job, bool]:
        """Writes the job, a row per host and the audit record, and returns the job and whether it is new.

        The same ``idempotency_key`` of the same person returns the first job. Raises ``Invalid``, ``TooLarge``,
        ``Forbidden``, ``Conflict`` (``target_changed``, with the difference, or ``idempotency_mismatch``) or
        ``ConfirmationRequired``.
        """
        # 1. May this person, and is it the same order again?
        if not actor.may(Permission.RUN):
            raise Forbidden("Your role or token may look at jobs but not run commands.")
        again = self._earlier(session, order, actor)
        if again is not None:
            return again, False
        # 2. What exactly, where exactly.
        prepared = self.prepare(session, order, actor)
        if prepared.refusals:
            raise prepared.refusals[0]
        # 3. Is it what the person saw, and have they confirmed its size?
        self._refuse_changed(order, prepared.found.resolution)
        risk = prepared.risk
        if not confirmed(risk, order.confirm, order.reason):
            raise _unconfirmed(risk, len(prepared.rows))
        # 4. Write it down, all in the caller's transaction.
        job = _write_job(session, order, actor, now, prepared)
        if order.watched and risk.counts_down:
            job.hold_ms = COUNTDOWN_MS + COUNTDOWN_SLACK_MS
        session.execute(insert(HostRun), [{"job_id": job.id, **row} for row in prepared.rows])
        files.use(session, job.id, {item["file"] for item in prepared.what.push}, now)
        self._keep_secret(session, job, PASSWORD_SECRET, order.password, now)
        self._keep_secret(session, job, RUN_AS_SECRET, order.run_as_password, now)
        _audit(session, actor, job, order, prepared, now)
        return job, True

    def _keep_secret(self, session: Session, job: Job, name: str, typed: Secret | None, now: datetime) -> None:
        """Keeps what was typed for the job, sealed, until the job ends."""
        if typed is None:
            return
        place = job_place(job.id, name)
        key_id, data = self._vault.seal(session, {place: typed}, now=now)[place]
        session.add(JobSecret(job_id=job.id, name=name, key_id=key_id, sealed=data, created_at=now))

    def plan(self, session: Session, order: Order, actor: Actor) -> dict[str, Any]:
        """Returns what ``launch`` would do, host by host, as the JSON of ``POST /plan``. Nothing connects, nothing is
        written. Raises ``Invalid`` or ``TooLarge`` for an order that has no meaning."""
        prepared = self.prepare(session, order, actor)
        count, options = len(prepared.rows), prepared.options
        hosts = [
            {name: row[name] for name in ("i", "host", "address", "port", "user", "wave", "variables")}
            | {"credential": login.words, "credential_from": login.origin, "command": _command_on(prepared, row)}
            | {"host_key_policy": row["host_key_policy"] or self._settings.host_key_policy}
            | {"jump": way.text, "jump_from": way.source if way.hops else None, "executor": row["executor"]}
            for row, login, way in zip(prepared.rows, prepared.logins, prepared.ways, strict=True)
        ]
        reasons = [error.detail for error in prepared.refusals]
        allowed = not reasons
        reasons += [
            Sentence("{hosts}: {problem}", hosts=fold(names)[:300], problem=problem)
            for problem, names in prepared.login_problems.items()
        ]
        changed = alarmed.alarmed(session, self._settings, prepared.rows, prepared.ways, prepared.executors.of)
        if changed:
            reasons.append(Sentence("{hosts}: {problem}", hosts=fold(changed)[:300], problem=alarmed.TEXT))
        if session.get_one(Console, 1).held_at is not None:
            reasons.append(Sentence("The console is held: the job would wait until an admin lifts the hold."))
        return {
            "count": count,
            "digest": prepared.found.resolution.digest,
            "folded": prepared.found.resolution.folded,
            "risk": prepared.risk.to_json(),
            "worst_case": options.worst_case(count),
            "allowed_failures": options.allowed_failures(count),
            "waves": _waves(prepared),
            "drawn_again": options.drawn,
            "options": options.to_json(),
            "priority": order.priority,
            "executor": prepared.executors.word,
            "command": prepared.command,
            "what": prepared.what.to_json(),
            **alarmed.told(changed),
            "policy": {"allowed": allowed, "reasons": reasons},
            "hosts": hosts,
        }

    def _earlier(self, session: Session, order: Order, actor: Actor) -> Job | None:
        key = order.idempotency_key
        if key is None:
            return None
        if not 1 <= len(key) <= 100 or not key.isprintable():
            raise fault("idempotency_key", "Must have 1 to 100 printable characters.")
        query = select(Job).where(Job.created_by_id == actor.user_id, Job.idempotency_key == key)
        job = session.scalars(query).one_or_none()
        if job is not None and job.order_digest not in {None, order.fingerprint()}:
            message = Sentence(
                "This Idempotency-Key made job {job} of another order. Send a new order with a key of its own.",
                job=job.id,
            )
            raise Conflict(message, code="idempotency_mismatch", extra={"job": job.id})
        return job

    def _refuse_changed(self, order: Order, resolution: Resolution) -> None:
        same_count = order.expect_count is None or order.expect_count == len(resolution.hosts)
        same_digest = order.expect_digest is None or order.expect_digest == resolution.digest
        added, removed = self._difference(order, resolution)
        if same_count and same_digest and not added and not removed:
            return
        raise Conflict(
            "The targets changed since the preview: now {count} hosts. Nothing was run.",
            count=len(resolution.hosts),
            code="target_changed",
            extra={
                "count": len(resolution.hosts),
                "digest": resolution.digest,
                "folded": resolution.folded,
                "added": added[:_CHANGES_TOLD],
                "added_count": len(added),
                "removed": removed[:_CHANGES_TOLD],
                "removed_count": len(removed),
            },
        )

    def _difference(self, order: Order, resolution: Resolution) -> tuple[list[str], list[str]]:
        """Returns the hosts that came and went since the preview, none when its hosts were not sent along."""
        if not order.expect_hosts:
            return [], []
        # Plain names only: a group would be looked up anew and hide the very change that is asked for.
        limit = self._settings.max_targets
        seen = {spec.label for spec in evaluate(order.expect_hosts, groups=EmptyInventory(), max_hosts=limit).hosts}
        now = {spec.label for spec in resolution.hosts}
        return sorted(now - seen), sorted(seen - now)


def _command_on(prepared: Prepared, row: dict[str, Any]) -> str:
    """Returns the command as that host is given it, or its beginning when all of them together would be too long."""
    if len(prepared.command) * len(prepared.rows) > _COMMANDS_CHARS:
        return prepared.command[:_COMMAND_HEAD_CHARS] + "..."
    if row["variables"] is None:
        return prepared.command
    return render(prepared.command, prepared.what, row["variables"])[0]


def _waves(prepared: Prepared) -> list[dict[str, Any]]:
    plan = prepared.plan or [{"size": len(prepared.rows), "kind": "wave"}]
    members: list[list[str]] = [[] for _ in plan]
    for row in prepared.rows:
        members[row["wave"]].append(row["host"])
    return [{**wave, "folded": fold(hosts)} for wave, hosts in zip(plan, members, strict=True)]


def _write_job(session: Session, order: Order, actor: Actor, now: datetime, prepared: Prepared) -> Job:
    command, options, resolution = prepared.command, prepared.options, prepared.found.resolution
    job = Job(
        title=title_of(order.title or "", command),
        command=command,
        what=prepared.what.to_json(),
        expression=order.targets,
        exclude=order.exclude,
        folded=resolution.folded,
        digest=resolution.digest,
        target_count=len(resolution.hosts),
        options=options.to_json(),
        failures_allowed=options.allowed_failures(len(resolution.hosts)),
        count_unreachable=options.count_unreachable,
        durable=options.durable,
        executor=prepared.executors.word,
        priority=prepared.priority.value,
        auth=dict(prepared.auth),
        launch_type=order.launch_type.value,
        reason=(order.reason or "").strip()[:500] or None,
        rerun_of=order.rerun_of,
        saved_id=order.saved_id,
        created_by_id=actor.user_id,
        created_by=actor.name,
        idempotency_key=order.idempotency_key,
        order_digest=order.fingerprint() if order.idempotency_key else None,
        plan=prepared.plan,
        tags=tags_of(prepared.found.located),
        step=prepared.what.steps[0].value if prepared.what.in_lockstep else None,
        created_at=now,
        state=JobState.PENDING.value,
        ver=1,
        n_q=len(resolution.hosts),
    )
    session.add(job)
    session.flush()  # The rows of the hosts need the job's id.
    return job


def title_of(wanted: str, command: str) -> str:
    """Returns the title of a job that is wanted, or the first line of its command, fit to be shown on one line."""
    title = wanted.strip() or _first_line(command)
    return "".join(char if char.isprintable() else " " for char in title)[:200]


def _first_line(command: str) -> str:
    lines = [line.strip() for line in command.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#!")), lines[0])


def _audit(session: Session, actor: Actor, job: Job, order: Order, prepared: Prepared, now: datetime) -> None:
    unlisted = [spec.label for spec in prepared.found.unlisted]
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
            # Whom the person knowingly left out.
            "skipped_unknown": fold(unlisted)[:_SKIPPED_TOLD] if order.skip_unknown and unlisted else "",
            "digest": job.digest,
            "count": job.target_count,
            "user": order.user,
            "credential": order.credential,
            "executor": job.executor,
            "confirm": order.confirm,
            "reason": order.reason,
            "command_sha256": hashlib.sha256(job.command.encode()).hexdigest(),
            "what": prepared.what.digested(),
        },
    )


def _unconfirmed(risk: Risk, count: int) -> ConfirmationRequired:
    reasons = joined(", ", risk.reasons)
    if risk.reason_required:
        text = "This runs on {count} hosts ({reasons}). Confirm with: {confirm} and a reason."
    else:
        text = "This runs on {count} hosts ({reasons}). Confirm with: {confirm}."
    message = Sentence(text, count=count, reasons=reasons, confirm=risk.confirm)
    return ConfirmationRequired(message, extra={"risk": risk.to_json()})
