"""Sources of hosts: a program or an address that answers as ``ansible-inventory --list`` does.

What a source said last is in the inventory, as hosts and groups of its own, until it says something else: when it
fails, the last good copy stays, and its age is shown.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Invalid, NotFound, OpsconsoleError, Unavailable
from opsconsole.inventory import apply, fields
from opsconsole.inventory.fetching import Allowed, check_argv, check_url, fetch
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importers.reading import read
from opsconsole.inventory.models import Host, HostGroup, InventorySource
from opsconsole.inventory.plan import compare
from opsconsole.inventory.snapshot import snapshot
from opsconsole.sentences import Sentence

MAX_TIMEOUT_SECONDS = 300
_MAX_ARGUMENTS = 50
# By itself a source never takes away more than this share of its hosts, unless they are few.
_MOST_GONE = 0.5
_FEW = 10

# Runs a function in a transaction of its own, wherever the process does that.
Transact = Callable[[Callable[[Session], Any]], Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is needed to ask a source."""

    name: str
    argv: list[str] | None
    url: str | None
    timeout: float


def names(session: Session) -> dict[int, str]:
    """Returns the names of all sources by number."""
    return {row.id: row.name for row in session.execute(select(InventorySource.id, InventorySource.name))}


def sources(session: Session) -> list[InventorySource]:
    """Returns all sources by name."""
    return list(session.scalars(select(InventorySource).order_by(InventorySource.name)))


def get_source(session: Session, name: str) -> InventorySource:
    """Returns one source. Raises ``NotFound``."""
    source = session.scalars(select(InventorySource).where(InventorySource.name == name)).one_or_none()
    if source is None:
        raise NotFound("There is no such source.", code="source_not_found")
    return source


def add_source(
    session: Session,
    name: str,
    *,
    argv: Sequence[str] | None,
    url: str | None,
    timeout_seconds: int,
    interval_seconds: int,
    allowed: Allowed,
    actor: Actor,
    now: datetime,
) -> InventorySource:
    """Returns a new source; it is asked by the next refresh. Raises ``Forbidden``, ``Invalid``, ``Conflict``."""
    apply.require_editor(actor)
    apply.lock(session)
    if (argv is None) == (url is None) or (argv is not None and len(argv) > _MAX_ARGUMENTS):
        message = "Give either argv, a program and its arguments, or url."
        raise Invalid(message, errors=[FieldError("argv", message)])
    source = InventorySource(
        name=fields.group_name(name),
        argv=check_argv(argv, allowed) if argv is not None else None,
        url=check_url(url, allowed) if url is not None else None,
        timeout_seconds=min(max(timeout_seconds, 1), MAX_TIMEOUT_SECONDS),
        interval_seconds=max(interval_seconds, 0),
        host_count=0,
        created_at=now,
    )
    if session.scalar(select(InventorySource.id).where(InventorySource.name == source.name)) is not None:
        raise Conflict("There is a source {name} already.", name=source.name, code="source_exists")
    session.add(source)
    session.flush()
    detail = {"argv": source.argv, "url": source.url, "interval_seconds": source.interval_seconds}
    record(session, actor, "source.added", now=now, object=f"source:{source.name}", detail=detail)
    return source


def remove_source(session: Session, name: str, *, actor: Actor, now: datetime) -> None:
    """Forgets a source. Its hosts and groups stay and are the people's from now on."""
    apply.require_editor(actor)
    apply.lock(session)
    source = get_source(session, name)
    for model in (Host, HostGroup):
        session.execute(update(model).where(model.source_id == source.id).values(source_id=None))
    session.execute(delete(InventorySource).where(InventorySource.id == source.id))
    session.expire_all()
    record(session, actor, "source.removed", now=now, object=f"source:{name}", detail={})


def refresh(
    transact: Transact,
    name: str,
    *,
    allowed: Allowed,
    key_files: Mapping[str, str],
    actor: Actor | None,
    now: Callable[[], datetime],
) -> None:
    """Asks a source and takes over what it says; no transaction is open meanwhile. ``actor`` is None for the clock.

    Raises ``Unavailable`` or ``Invalid`` after noting why at the source: then nothing of the inventory has changed.
    """
    asked: Asked = transact(lambda session: _ask(session, name, now()))
    try:
        content = fetch(asked.argv, asked.url, timeout=asked.timeout, allowed=allowed)
        transact(lambda session: _take(session, asked, content, key_files, actor, now()))
    except OpsconsoleError as error:
        reason = error.detail[:500]
        transact(lambda session: _note(session, name, reason))
        raise


def due(session: Session, now: datetime) -> list[str]:
    """Returns the names of sources whose time has come."""
    waiting = select(InventorySource).where(InventorySource.interval_seconds > 0)
    return [
        source.name
        for source in session.scalars(waiting.order_by(InventorySource.id))
        if source.tried_at is None or source.tried_at + timedelta(seconds=source.interval_seconds) <= now
    ]


def _ask(session: Session, name: str, now: datetime) -> Asked:
    source = get_source(session, name)
    # Noted before it is asked, so that no other process asks as well.
    source.tried_at = now
    return Asked(name, source.argv, source.url, float(source.timeout_seconds))


def _note(session: Session, name: str, reason: str) -> None:
    session.execute(update(InventorySource).where(InventorySource.name == name).values(error=reason))


def _take(
    session: Session,
    asked: Asked,
    content: bytes,
    key_files: Mapping[str, str],
    actor: Actor | None,
    now: datetime,
) -> None:
    draft = read(Format.ANSIBLE_JSON, content)
    if draft.faults:
        raise Invalid("The answer cannot be used: {fault}", fault=draft.faults[0].message, code="source")
    if not draft.hosts:
        raise Unavailable("The answer names no host; the last good one stays.", code="source")
    apply.lock(session)
    source = get_source(session, asked.name)
    before = snapshot(session)
    plan = compare(draft, before, prune=True, source_id=source.id, key_files=key_files)
    if plan.faults:
        raise Invalid("The answer cannot be used: {fault}", fault=plan.faults[0].message, code="source")
    had = sum(1 for host in before.hosts.values() if host.source_id == source.id)
    gone = len(plan.removed_hosts)
    if actor is None and gone > max(_FEW, had * _MOST_GONE):
        message = Sentence(
            "It would take away {gone} of its {had} hosts. Refresh it by hand if that is meant.", gone=gone, had=had
        )
        raise Conflict(message, code="source")
    apply.write(session, plan, now=now, source_id=source.id)
    # What was written made every row that was read before stale.
    source = get_source(session, asked.name)
    source.fetched_at, source.error, source.host_count = now, None, len(draft.hosts)
    source.digest = hashlib.sha256(content).hexdigest()
    if plan.changes:
        detail = {"sha256": source.digest, **apply.summary(plan)}
        record(session, actor, "source.refreshed", now=now, object=f"source:{source.name}", detail=detail)
