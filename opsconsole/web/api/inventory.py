"""The inventory: hosts and groups."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Invalid
from opsconsole.inventory import groups, service
from opsconsole.inventory.groups import GroupView
from opsconsole.inventory.models import Host
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.web import health, inventory
from opsconsole.web.api import inventory_models as models
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("inventory", __name__, url_prefix="/inventory")
_TAGS = ("inventory",)


@blueprint.get("/hosts")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=models.HostList), tags=_TAGS, operation_id="list_inventory")
def list_hosts(query: models.ListHosts) -> Response:
    """List hosts by name: all, those of an expression, or those with a part of the name or address."""
    with read() as session:
        if query.find.strip():
            found = inventory.found(session, actor(), query.find, after=query.after, limit=query.limit)
        else:
            found = inventory.listing(
                session, actor(), expression=query.expression, q=query.q, after=query.after, limit=query.limit
            )
        hosts = inventory.all_told(session, found.hosts)
        if query.history:
            inventory.with_history(session, actor(), hosts)
        if query.health:
            health.add(session, hosts)
        return jsonify(hosts=hosts, total=found.total, next=found.after, unknown=list(found.unknown[:100]))


@blueprint.post("/hosts")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_201=models.HostItem, also=(409,)), tags=_TAGS, operation_id="add_host")
def add_host(json: models.NewHost) -> Response:
    """Add a host."""
    with transaction() as session:
        host = service.add_host(session, json.name, _given(json), actor=actor(), now=now())
        return _host(session, host, 201)


@blueprint.post("/hosts/change")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=models.Changed), tags=_TAGS, operation_id="change_hosts")
def change_hosts(json: models.HostsChange) -> Response:
    """Change many hosts at once: put and drop tags, freeze or unfreeze, or remove. All of them, or none."""
    with transaction() as session:
        return jsonify(changed=_change(session, json))


@blueprint.get("/hosts/<host>")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=models.HostItem, also=(404,)), tags=_TAGS, operation_id="inventory_host")
def get_host(host: str) -> Response:
    """Show one host. The `ETag` is what `If-Match` takes."""
    with read() as session:
        return _host(session, service.get_host(session, host))


@blueprint.get("/hosts/<host>/health")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=models.HostHealth, also=(404,)), tags=_TAGS, operation_id="host_health")
def host_health(host: str) -> Response:
    """How a host has answered: its last contacts, the newest first. Of hosts outside of the inventory, too."""
    with read() as session:
        told = health.whole(session, actor(), host)
        name = host.lower() if told["history"] else service.get_host(session, host).name
        return jsonify(host=name, **told)


@blueprint.patch("/hosts/<host>")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=models.HostItem, also=(404, 409)), tags=_TAGS, operation_id="change_host")
def change_host(host: str, json: models.HostChange) -> Response:
    """Change fields of a host."""
    with transaction() as session:
        changed = service.change_host(
            session, host, _given(json), version=version_seen(json.version), actor=actor(), now=now()
        )
        return _host(session, changed)


@blueprint.delete("/hosts/<host>")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=models.Changed, also=(404, 409)), tags=_TAGS, operation_id="remove_host")
def remove_host(host: str) -> Response:
    """Take a host out of the inventory. Jobs keep its name and what it said."""
    with transaction() as session:
        service.get_host(session, host)
        removed = service.remove_hosts(session, [host], version=version_seen(None), actor=actor(), now=now())
        return jsonify(changed=removed)


@blueprint.get("/groups")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=models.GroupList), tags=_TAGS, operation_id="list_groups")
def list_groups() -> Response:
    """List groups by name."""
    with read() as session:
        inside = groups.children_of(session)
        found = [
            {"name": group.name, "count": group.count, "children": inside.get(group.name, [])}
            for group in groups.groups(session)
        ]
        return jsonify(groups=found)


@blueprint.post("/groups")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_201=models.GroupItem, also=(409,)), tags=_TAGS, operation_id="add_group")
def add_group(json: models.NewGroup) -> Response:
    """Make a group."""
    with transaction() as session:
        return _group(session, groups.add_group(session, json.name, _given(json), actor=actor(), now=now()), 201)


@blueprint.get("/groups/<path:name>")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=models.GroupItem, also=(404,)), tags=_TAGS, operation_id="inventory_group")
def get_group(name: str) -> Response:
    """Show one group."""
    with read() as session:
        return _group(session, groups.get_group(session, name))


@blueprint.patch("/groups/<path:name>")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=models.GroupItem, also=(404, 409)), tags=_TAGS, operation_id="change_group")
def change_group(name: str, json: models.GroupChange) -> Response:
    """Change a group."""
    with transaction() as session:
        changed = groups.change_group(
            session, name, _given(json), version=version_seen(json.version), actor=actor(), now=now()
        )
        return _group(session, changed)


@blueprint.delete("/groups/<path:name>")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_204=None, also=(404, 409)), tags=_TAGS, operation_id="remove_group")
def remove_group(name: str) -> Response:
    """Remove a group; its hosts stay."""
    with transaction() as session:
        groups.remove_group(session, name, version=version_seen(None), actor=actor(), now=now())
    return Response(status=204)


def _change(session: Session, wanted: models.HostsChange) -> int:
    names = inventory.names(session, actor(), expression=wanted.expression, hosts=wanted.hosts)
    if wanted.remove:
        return service.remove_hosts(session, names, actor=actor(), now=now())
    changed = 0
    if wanted.put_tags or wanted.drop_tags:
        changed = service.tag_hosts(
            session, names, put=wanted.put_tags, drop=wanted.drop_tags, actor=actor(), now=now()
        )
    if wanted.frozen is not None:
        frozen = service.freeze_hosts(
            session, names, frozen=wanted.frozen, reason=wanted.reason, actor=actor(), now=now()
        )
        changed = max(changed, frozen)
    return changed


def _given(change: models.HostChange | models.GroupChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.model_fields_set}


def version_seen(version: int | None) -> int | None:
    """Returns the version that the caller saw, by the body or by ``If-Match``."""
    header = request.headers.get("If-Match", "").strip()
    if not header or header == "*":
        return version
    mark = header.removeprefix("W/").strip('"')
    if not (mark.startswith("v") and mark[1:].isascii() and mark[1:].isdigit()):
        raise Invalid("If-Match takes the ETag of what is changed.", code="bad_etag")
    return int(mark[1:])


def _host(session: Session, host: Host, status: int = 200) -> Response:
    response = jsonify(health.add(session, inventory.all_told(session, [host]))[0])
    response.status_code = status
    response.headers["ETag"] = f'"v{host.version}"'
    return response


def _group(session: Session, group: GroupView, status: int = 200) -> Response:
    response = jsonify(
        name=group.name,
        notes=group.notes,
        credential=group.credential,
        jump=group.jump,
        profile=group.profile,
        host_key_policy=group.host_key_policy,
        hosts=list(group.hosts),
        children=list(group.children),
        parents=list(group.parents),
        total=len(InventoryResolver(session).group(group.name) or ()),
        used_by=inventory.users_of_group(session, actor(), group.name),
        version=group.version,
    )
    response.status_code = status
    response.headers["ETag"] = f'"v{group.version}"'
    return response
