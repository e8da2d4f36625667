"""What pages and API share of credentials: how they are told, whom they cover and who names them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.credentials import rotation, scope
from opsconsole.credentials.choice import AUTO, STORED
from opsconsole.credentials.kinds import validity
from opsconsole.credentials.models import Credential
from opsconsole.credentials.vault import Vault
from opsconsole.hostset import HostSpec, evaluate, fold
from opsconsole.inventory.models import Host, HostGroup
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs import queries, saved
from opsconsole.jobs.logins import Login, Logins
from opsconsole.jobs.placing import Located
from opsconsole.jobs.targets import TargetResolver
from opsconsole.web.unit_of_work import now, runtime

_NAMED = 100


def vault() -> Vault:
    """Returns what seals and opens the secrets of this console."""
    return Vault(runtime().cipher)


def told(session: Session, stored: Sequence[Credential]) -> list[dict[str, Any]]:
    """Returns credentials as the API gives them; never a secret. ``covers`` counts the inventory's hosts in scope."""
    groups = InventoryResolver(session)
    listed = {name.lower() for name in groups.all_names()}
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "user": row.user,
            "scope": row.scope,
            "covers": len(scope.hosts_in(row.scope, groups) & listed),
            "public": row.public,
            "validity": validity(row.public, now()),
            "notes": row.notes,
            "version": row.version,
            "created_by": row.created_by,
            "created_at": queries.iso(row.created_at),
            "changed_at": queries.iso(row.changed_at),
            "last_used_at": queries.iso(row.last_used_at),
        }
        for row in stored
    ]


def choices(session: Session) -> list[str]:
    """Returns what a host or a group may name: stored credentials, then key files of the settings."""
    stored = session.scalars(select(Credential.name).order_by(Credential.name))
    return [*(f"{STORED}:{name}" for name in stored), *runtime().settings.key_files]


def usual_login(session: Session, host: Host) -> Login:
    """Returns what a job that says nothing logs in to ``host`` with, and who says so."""
    nothing = {"kind": AUTO, "name": None, "user": None}
    return Logins(session, runtime().settings, nothing).of([Located(HostSpec(host.name), host)])[0]


def named_by(session: Session, name: str) -> dict[str, Any]:
    """Returns who names the credential: groups, some of the hosts and how many, saved commands by name, and whether
    the settings do."""
    text = f"{STORED}:{name}"
    hosts = select(Host.name).where(Host.credential == text).order_by(Host.key).limit(_NAMED)
    count = select(func.count()).select_from(Host).where(Host.credential == text)
    groups = select(HostGroup.name).where(HostGroup.credential == text).order_by(HostGroup.name)
    return {
        "hosts": list(session.scalars(hosts)),
        "host_count": session.scalar(count) or 0,
        "groups": list(session.scalars(groups)),
        "saved": [
            command.name
            for command in saved.listed(session)
            if text in (command.order.get("credential"), command.order.get("run_as_credential"))
        ],
        "setting": runtime().settings.credential == text,
    }


def tried(session: Session, actor: Actor, row: Credential, targets: str) -> dict[str, Any]:
    """Returns which hosts of ``targets`` are in the credential's scope and which are not. Nothing connects.

    Raises ``Invalid`` with the column of each fault in ``targets``.
    """
    found = evaluate(targets, groups=TargetResolver(session, actor), max_hosts=runtime().settings.max_targets)
    covered = scope.hosts_in(row.scope, InventoryResolver(session))
    inside = [spec.label for spec in found.hosts if spec.name.lower() in covered]
    outside = [spec.label for spec in found.hosts if spec.name.lower() not in covered]
    return {
        "covered": fold(inside) if inside else "",
        "covered_count": len(inside),
        "outside": fold(outside) if outside else "",
        "outside_count": len(outside),
    }


def keys_told(session: Session) -> list[dict[str, Any]]:
    """Returns the data keys as the API gives them, the newest first."""
    return [
        {
            "id": key.id,
            "created_at": queries.iso(key.created_at),
            "retired_at": queries.iso(key.retired_at),
            "sealed": key.sealed,
            "secret_keys": key.wraps,
            "opens": key.ours,
        }
        for key in rotation.key_states(session, vault())
    ]


def lines(text: str) -> Iterable[str]:
    """Returns the expressions of a scope as people type them: one a line."""
    return [line for line in text.splitlines() if line.strip()]
