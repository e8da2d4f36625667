"""What pages and API share of the inventory: hosts by an expression, imports, and how both are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.errors import Invalid
from opsconsole.hostset import evaluate
from opsconsole.inventory import service, sources
from opsconsole.inventory.formats import AUTO, Format
from opsconsole.inventory.importers.reading import guess
from opsconsole.inventory.importing import Import
from opsconsole.inventory.models import Host
from opsconsole.inventory.plan import ADDED, CHANGED, REMOVED, Plan
from opsconsole.jobs import saved
from opsconsole.jobs.queries import by_host
from opsconsole.jobs.targets import TargetResolver
from opsconsole.settings import Settings
from opsconsole.web.said import said

MAX_LISTED = 100_000
_CHANGES_TOLD = 1_000
_KINDS = ("host", "group", "host_key")


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of hosts; ``total`` counts all that match, ``after`` is where the next page starts, or ``None``."""

    hosts: list[Host]
    total: int
    after: str | None
    # Names in the expression that the inventory does not have.
    unknown: tuple[str, ...] = ()


def listing(
    session: Session, actor: Actor, *, expression: str = "", q: str = "", after: str = "", limit: int
) -> Listing:
    """Returns hosts by name: those of a target expression, or those with ``q`` in name or address, or all.

    Frozen hosts are among them. Raises ``Invalid`` with the column of each fault in the expression.
    """
    if not expression.strip():
        found = service.hosts(session, q=q, after=after, limit=limit + 1)
        more = found[limit - 1].name if len(found) > limit else None
        return Listing(found[:limit], service.count_hosts(session, q=q), more)
    specs = evaluate(expression, groups=TargetResolver(session, actor), max_hosts=MAX_LISTED).hosts
    entries = service.locate(session, [spec.name for spec in specs])
    unknown = tuple(spec.label for spec in specs if spec.name.lower() not in entries)
    matching = [entries[key] for key in sorted(entries) if not q or q.lower() in key]
    rest = [host for host in matching if host.key > after.lower()]
    more = rest[limit - 1].name if len(rest) > limit else None
    return Listing(rest[:limit], len(matching), more, unknown)


def found(session: Session, actor: Actor, text: str, *, after: str = "", limit: int) -> Listing:
    """Returns hosts as the search box means it: a target expression, or a part of a name or address.

    Raises ``Invalid`` when it is neither.
    """
    try:
        by_expression = listing(session, actor, expression=text, after=after, limit=limit)
        if by_expression.total or not by_expression.unknown:
            return by_expression
    except Invalid:
        if set(text) & set("@!&^~()[]*?#"):
            raise
    return listing(session, actor, q=text, after=after, limit=limit)


def names(session: Session, actor: Actor, *, expression: str, hosts: Sequence[str] | None) -> list[str]:
    """Returns the hosts that a bulk change is for: those listed, or those of an expression. Raises ``Invalid``."""
    if hosts is not None:
        return list(hosts)
    found = listing(session, actor, expression=expression or "", limit=MAX_LISTED) if expression.strip() else None
    if found is None:
        raise Invalid("Name the hosts, or write an expression.", code="no_hosts")
    if found.unknown:
        raise service.unknown_hosts(found.unknown)
    return [host.name for host in found.hosts]


def all_told(session: Session, hosts: Sequence[Host]) -> list[dict[str, Any]]:
    """Returns hosts as the API gives them."""
    own = service.groups_of(session, hosts)
    names_of = sources.names(session)
    return [_told(host, own[host.id], names_of) for host in hosts]


def with_history(session: Session, actor: Actor, hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the hosts with ``recent``: the letters of the last ten runs, newest last, and when the last one ended."""
    runs = by_host.recent(session, actor, (str(host["name"]) for host in hosts))
    for host in hosts:
        mine = runs.get(str(host["name"]), [])
        host["recent"] = "".join(run["state"] for run in reversed(mine))
        host["last_at"] = mine[0]["at"].isoformat() if mine and mine[0]["at"] else None
    return hosts


def _told(host: Host, groups: Sequence[str], names_of: dict[int, str]) -> dict[str, Any]:
    return {
        "name": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "credential": host.credential,
        "jump": host.jump,
        "profile": host.profile,
        "host_key_policy": host.host_key_policy,
        "executor": host.executor,
        "zone": host.zone,
        "frozen": host.frozen,
        "frozen_reason": host.frozen_reason,
        "tags": host.tags,
        "notes": host.notes,
        "groups": list(groups),
        "source": names_of.get(host.source_id) if host.source_id is not None else None,
        "version": host.version,
    }


def wanted_import(
    settings: Settings, wanted: str, content: bytes, *, file_name: str = "", files: dict[str, str], prune: bool
) -> Import:
    """Returns the import that somebody asks for; the format ``auto`` is guessed from the file's name and look."""
    form = guess(file_name, content) if wanted == AUTO else Format(wanted)
    key_files = {name: str(path) for name, path in settings.key_files.items()}
    return Import(form, content, files, prune, key_files)


def plan_told(plan: Plan, wanted: Import, *, applied: bool) -> dict[str, Any]:
    """Returns what an import changes as the API gives it; of very many changes the first thousand."""
    return {
        "format": wanted.format.value,
        "prune": wanted.prune,
        "applied": applied,
        "digest": plan.digest,
        "counts": {
            f"{kind}s": {action: plan.count(kind, action) for action in (ADDED, CHANGED, REMOVED)} for kind in _KINDS
        },
        "changes": [change.to_json() for change in plan.changes[:_CHANGES_TOLD]],
        "changes_count": len(plan.changes),
        "faults": [{"line": fault.line, "file": fault.file, "message": said(fault.message)} for fault in plan.faults],
        "notices": [{"text": said(text), "count": count} for text, count in plan.notices.items()],
    }


def users_of_group(session: Session, actor: Actor, group: str) -> list[dict[str, Any]]:
    """Returns the saved commands (``id``, ``name``) that refer to a group, for somebody who may see them."""
    if not actor.may(Permission.VIEW_SAVED):
        return []
    return [{"id": one.id, "name": one.name} for one in saved.naming_group(session, group)]
