"""The inventory's groups."""

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Conflict, Invalid, OpsconsoleError
from opsconsole.hostset import fold
from opsconsole.inventory import fields
from opsconsole.inventory import groups as inventory_groups
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.web import inventory
from opsconsole.web.auth import actor, requires
from opsconsole.web.credentials import choices
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, transaction


@pages.get("/groups")
@requires(Permission.VIEW)
def groups() -> Response:
    """Lists groups by name."""
    with read() as database:
        return _list(database)


@pages.post("/groups")
@requires(Permission.EDIT_INVENTORY)
def add_group() -> Response:
    """Makes a group and shows it."""
    try:
        with transaction() as database:
            name = request.form.get("name", "").strip().removeprefix("@")
            made = inventory_groups.add_group(database, name, _values(database), actor=actor(), now=now())
    except (Invalid, Conflict) as error:
        with read() as database:
            return _list(database, error=error)
    return redirect(url_for("pages.group", name=made.name), 303)


@pages.get("/groups/<path:name>")
@requires(Permission.VIEW)
def group(name: str) -> Response:
    """Shows one group."""
    with read() as database:
        return _group(database, name)


@pages.post("/groups/<path:name>")
@requires(Permission.EDIT_INVENTORY)
def save_group(name: str) -> Response:
    """Saves the form of a group, or removes it."""
    version = request.form.get("version", type=int)
    try:
        with transaction() as database:
            if request.form.get("action") == "remove":
                inventory_groups.remove_group(database, name, version=version, actor=actor(), now=now())
                return redirect(url_for("pages.groups"), 303)
            values = _values(database) | {"name": request.form.get("name", name)}
            saved = inventory_groups.change_group(database, name, values, version=version, actor=actor(), now=now())
    except (Invalid, Conflict) as error:
        with read() as database:
            return _group(database, name, error=error)
    return redirect(url_for("pages.group", name=saved.name, saved=1), 303)


def _values(database: Session) -> dict[str, Any]:
    """Returns what the form says; its own hosts are written as an expression over the inventory."""
    text = request.form.get("hosts", "").strip()
    names: list[str] = []
    if text:
        found = inventory.listing(database, actor(), expression=text, limit=inventory.MAX_LISTED)
        names = [host.name for host in found.hosts] + list(found.unknown)
    children = request.form.get("children", "").replace(",", " ").replace("@", " ").split()
    said = {name: request.form[name] for name in fields.GROUP_FIELDS if name in request.form}
    return {"hosts": names, "children": children, **said}


def _list(database: Session, *, error: OpsconsoleError | None = None) -> Response:
    inside = inventory_groups.children_of(database)
    rows = [(item, inside.get(item.name, [])) for item in inventory_groups.groups(database)]
    page = render_template(
        "groups/list.html",
        rows=rows,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        form=request.form,
        may_edit=actor().may(Permission.EDIT_INVENTORY),
    )
    return make_response(page, error.status if error else 200)


def _group(database: Session, name: str, *, error: OpsconsoleError | None = None) -> Response:
    view = inventory_groups.get_group(database, name)
    members = InventoryResolver(database).group(view.name) or ()
    form = {
        "name": view.name,
        "hosts": fold(view.hosts) if view.hosts else "",
        "children": " ".join(view.children),
        "credential": view.credential or "",
        "jump": view.jump or "",
        "profile": view.profile or "",
        "host_key_policy": view.host_key_policy or "",
        "notes": view.notes or "",
    }
    page = render_template(
        "groups/group.html",
        group=view,
        total=len(members),
        folded=fold(members) if members else "",
        form=form | request.form.to_dict() if error else form,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        saved=request.args.get("saved"),
        used_by=inventory.users_of_group(database, actor(), view.name),
        credentials=choices(database),
        may_edit=actor().may(Permission.EDIT_INVENTORY),
    )
    return make_response(page, error.status if error else 200)
