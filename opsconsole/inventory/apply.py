"""Imports: read a text, say what it would change, and write exactly that."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.db.console import Console
from opsconsole.errors import Conflict, FieldError, Forbidden, Invalid
from opsconsole.hostset import fold
from opsconsole.inventory.fields import GROUP_FIELDS, HOST_FIELDS
from opsconsole.inventory.models import GroupLink, GroupMember, Host, HostGroup
from opsconsole.inventory.plan import ADDED, CHANGED, REMOVED, GroupTarget, Plan
from opsconsole.inventory.snapshot import Snapshot, snapshot
from opsconsole.sentences import Sentence

_ROWS = 5_000
_IDS = 20_000
_AUDIT_TEXT = 2_000


def lock(session: Session) -> None:
    """Keeps other writers of the inventory out until this transaction ends, so that what was compared stays true."""
    session.execute(select(Console.id).where(Console.id == 1).with_for_update()).scalar_one()


def require_editor(actor: Actor) -> None:
    """Raises ``Forbidden`` unless ``actor`` may change the inventory."""
    if not actor.may(Permission.EDIT_INVENTORY):
        raise Forbidden("Only an administrator may change the inventory.", code="may_not_edit_inventory")


def import_hosts(
    session: Session,
    look: Callable[[Snapshot], Plan],
    *,
    actor: Actor,
    expect: str,
    skip_faulty: bool,
    now: datetime,
    detail: Mapping[str, Any],
) -> Plan:
    """Writes what ``look`` finds to change and returns it, when it still has the digest ``expect``.

    Raises ``Forbidden``, ``Conflict`` (``inventory_changed``) when it is no longer what was shown, ``Invalid``
    (``import_faults``) when lines are faulty and ``skip_faulty`` is not set.
    """
    require_editor(actor)
    lock(session)
    plan = look(snapshot(session))
    if plan.digest != expect:
        raise Conflict(
            "The inventory changed since this was shown. Look at what the import does now. Nothing was changed.",
            code="inventory_changed",
            extra={"digest": plan.digest},
        )
    require_usable(plan, skip_faulty=skip_faulty)
    write(session, plan, now=now)
    record(session, actor, "inventory.import", now=now, object="inventory", detail={**detail, **summary(plan)})
    return plan


def require_usable(plan: Plan, *, skip_faulty: bool) -> None:
    """Raises ``Invalid`` (``import_faults``) when lines are faulty and may not be left out."""
    if plan.faults and not skip_faulty:
        count = len(plan.faults)
        faults = [
            FieldError("content", Sentence("Line {line}: {fault}", line=item.line or "?", fault=item.message))
            for item in plan.faults[:20]
        ]
        raise Invalid(
            "1 line cannot be used. Mend it, or leave it out."
            if count == 1
            else Sentence("{count} lines cannot be used. Mend them, or leave them out.", count=count),
            code="import_faults",
            errors=faults,
        )


def summary(plan: Plan) -> dict[str, Any]:
    """Returns the counts of a plan and the names of its hosts, folded and cut, for the audit."""
    counts = {
        f"{kind}s_{action}": plan.count(kind, action)
        for kind in ("host", "group")
        for action in (ADDED, CHANGED, REMOVED)
    }
    names = {
        action: fold(change.name for change in plan.changes if (change.kind, change.action) == ("host", action))
        for action in (ADDED, CHANGED, REMOVED)
    }
    return {**counts, **{f"{action}_hosts": text[:_AUDIT_TEXT] for action, text in names.items() if text}}


def write(session: Session, plan: Plan, *, now: datetime, source_id: int | None = None) -> None:
    """Writes ``plan``, in few statements however many hosts it has."""
    _remove(session, Host, [host.id for host in plan.removed_hosts])
    _remove(session, HostGroup, [group.id for group in plan.removed_groups])
    empty: dict[str, Any] = dict.fromkeys(HOST_FIELDS)
    rows = [
        {
            **empty,
            "tags": {},
            "frozen": False,
            **host.values,
            "key": host.name.lower(),
            "name": host.name,
            "source_id": source_id,
            "created_at": now,
        }
        for host in plan.new_hosts
    ]
    _insert(session, Host, rows)
    changed = [
        {"id": old.id, "name": name, "version": old.version + 1, **old.values, **values}
        for old, name, values in plan.changed_hosts
    ]
    for start in range(0, len(changed), _ROWS):
        session.execute(update(Host), changed[start : start + _ROWS])
    _write_groups(session, plan, source_id)
    # Rows that were loaded before know nothing of these statements.
    session.expire_all()


def _write_groups(session: Session, plan: Plan, source_id: int | None) -> None:
    if not plan.groups:
        return
    columns = [getattr(HostGroup, name) for name in GROUP_FIELDS]
    found = {
        row.name: row for row in session.execute(select(HostGroup.id, HostGroup.name, HostGroup.version, *columns))
    }
    new = [group for group in plan.groups if group.name not in found]
    _insert(session, HostGroup, [{"name": g.name, "source_id": source_id, **_fields(g, None)} for g in new])
    known = [
        {"id": old.id, "version": old.version + 1, **_fields(group, old)}
        for group in plan.groups
        if (old := found.get(group.name)) is not None
    ]
    if known:
        session.execute(update(HostGroup), known)
    groups = {name: number for number, name in session.execute(select(HostGroup.id, HostGroup.name))}
    hosts = {key: number for number, key in session.execute(select(Host.id, Host.key))}
    touched = [groups[group.name] for group in plan.groups]
    for start in range(0, len(touched), _IDS):
        part = touched[start : start + _IDS]
        session.execute(delete(GroupMember).where(GroupMember.group_id.in_(part)))
        session.execute(delete(GroupLink).where(GroupLink.parent_id.in_(part)))
    members = [
        {"group_id": groups[group.name], "host_id": hosts[key], "position": position}
        for group in plan.groups
        for position, key in enumerate(group.hosts)
    ]
    _insert(session, GroupMember, members)
    links = [
        {"parent_id": groups[group.name], "child_id": groups[child], "position": position}
        for group in plan.groups
        for position, child in enumerate(group.children)
    ]
    _insert(session, GroupLink, links)


def _fields(group: GroupTarget, old: Any) -> dict[str, Any]:
    """Returns every field of a group as it is to be: rows that are written together name the same columns."""
    return {name: group.values.get(name, getattr(old, name, None)) for name in GROUP_FIELDS}


def _insert(session: Session, model: type[Any], rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS):
        session.execute(insert(model), rows[start : start + _ROWS])


def _remove(session: Session, model: type[Any], ids: Sequence[int]) -> None:
    for start in range(0, len(ids), _IDS):
        session.execute(delete(model).where(model.id.in_(ids[start : start + _IDS])))
