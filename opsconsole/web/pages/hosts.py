"""The inventory's hosts: look for them, change many at once, one host with all that is known of it."""

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Conflict, FieldError, Invalid, OpsconsoleError
from opsconsole.inventory import fields, groups, hostkey_desk, service
from opsconsole.jobs import conntest
from opsconsole.jobs.queries import by_host
from opsconsole.web import health, inventory
from opsconsole.web.auth import actor, requires
from opsconsole.web.credentials import choices, usual_login
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction

_PAGE = 100
_HISTORY = 20
_TEXT_FIELDS = (
    *("address", "port", "user", "credential", "jump", "profile", "host_key_policy", "executor", "zone"),
    *("frozen_reason", "notes"),
)


@pages.get("/hosts")
@requires(Permission.VIEW)
def hosts() -> Response:
    """Lists hosts, those of the expression ``q`` when there is one."""
    with read() as database:
        return _list(database)


@pages.post("/hosts")
@requires(Permission.EDIT_INVENTORY)
def change_hosts() -> Response:
    """Tags, freezes, unfreezes or removes the ticked hosts, or all that match; removal is asked for once more."""
    form = request.form
    q = form.get("q", "")
    try:
        with transaction() as database:
            names = chosen_names(database, form, q)
            if form.get("action") == "remove" and not form.get("sure"):
                return make_response(
                    render_template("hosts/remove.html", names=names, q=q, everything=form.get("everything"))
                )
            changed = _change(database, form, names)
    except (Invalid, Conflict) as error:
        with read() as database:
            return _list(database, error=error, status=error.status, q=q)
    return redirect(url_for("pages.hosts", q=q or None, changed=changed), 303)


@pages.get("/hosts/new")
@requires(Permission.EDIT_INVENTORY)
def new_host() -> Response:
    """Shows the form for a new host."""
    return _form_page({"tags": ""}, None)


@pages.post("/hosts/new")
@requires(Permission.EDIT_INVENTORY)
def add_host() -> Response:
    """Adds the host, or shows the form again with what is wrong."""
    try:
        values = _values(request.form)
        with transaction() as database:
            host = service.add_host(database, request.form.get("name", ""), values, actor=actor(), now=now())
    except (Invalid, Conflict) as error:
        return _form_page(request.form.to_dict(), error)
    return redirect(url_for("pages.host", name=host.name), 303)


@pages.get("/hosts/<name>")
@requires(Permission.VIEW)
def host(name: str) -> Response:
    """Shows one host."""
    with read() as database:
        return _host(database, name)


@pages.post("/hosts/<name>")
@requires(Permission.EDIT_INVENTORY)
def save_host(name: str) -> Response:
    """Saves the form of a host, unless somebody else changed it since it was shown."""
    try:
        values = _values(request.form) | {"name": request.form.get("name", name)}
        version = request.form.get("version", type=int)
        with transaction() as database:
            saved = service.change_host(database, name, values, version=version, actor=actor(), now=now())
    except (Invalid, Conflict) as error:
        with read() as database:
            return _host(database, name, error=error)
    return redirect(url_for("pages.host", name=saved.name, saved=1), 303)


def _list(
    database: Session, *, error: OpsconsoleError | None = None, status: int = 200, q: str | None = None
) -> Response:
    q = request.args.get("q", "") if q is None else q
    after = request.args.get("after", "")
    fault: OpsconsoleError | None = None
    found = inventory.Listing([], 0, None)
    try:
        found = inventory.found(database, actor(), q, after=after, limit=_PAGE)
    except Invalid as problem:
        fault = problem
    rows = health.add(database, inventory.all_told(database, found.hosts))
    page = render_template(
        "hosts/list.html",
        q=q,
        after=after,
        found=found,
        rows=rows,
        health=health,
        fault=fault.errors[0] if fault and fault.errors else None,
        error=error,
        inventory_size=service.count_hosts(database),
        groups=groups.groups(database)[:12],
        changed=request.args.get("changed", type=int),
        may_edit=actor().may(Permission.EDIT_INVENTORY),
    )
    return make_response(page, status)


def chosen_names(database: Session, form: MultiDict[str, str], q: str) -> list[str]:
    """Returns the names that are ticked in the form of the Hosts page, or all that match ``q`` where that is ticked."""
    if not form.get("everything"):
        return form.getlist("host")
    found = inventory.found(database, actor(), q, limit=inventory.MAX_LISTED)
    return [one.name for one in found.hosts]


def _change(database: Session, form: MultiDict[str, str], names: list[str]) -> int:
    if not names:
        raise Invalid("Tick the hosts to change.", code="no_hosts")
    match form.get("action"):
        case "tag":
            put, drop = _tags(form.get("tags", ""))
            return service.tag_hosts(database, names, put=put, drop=drop, actor=actor(), now=now())
        case "freeze" | "unfreeze" as verb:
            return service.freeze_hosts(
                database,
                names,
                frozen=verb == "freeze",
                reason=form.get("reason", ""),
                actor=actor(),
                now=now(),
            )
        case "remove":
            return service.remove_hosts(database, names, actor=actor(), now=now())
    raise Invalid("The form names no action.")


def _tags(text: str) -> tuple[dict[str, str], list[str]]:
    """Returns what ``dc=eu -old`` puts on and takes away."""
    words = text.replace(",", " ").split()
    put = fields.tags_of_text(" ".join(word for word in words if not word.startswith("-")))
    drop = [word[1:].partition("=")[0] for word in words if word.startswith("-")]
    if not put and not drop:
        raise Invalid("Write tags as key=value, or -key to take one away.", errors=[FieldError("tags", "No tag.")])
    return put, drop


def _values(form: MultiDict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: form.get(name, "") for name in _TEXT_FIELDS}
    values["frozen"] = form.get("frozen") == "1"
    if not values["frozen"]:
        values["frozen_reason"] = ""
    values["tags"] = fields.tags_of_text(form.get("tags", ""))
    values["groups"] = form.get("groups", "").replace(",", " ").replace("@", " ").split()
    return values


def _host(database: Session, name: str, *, error: OpsconsoleError | None = None) -> Response:
    entry = service.get_host(database, name)
    told = inventory.all_told(database, [entry])[0]
    settings = runtime().settings
    address, port = entry.address or entry.name, entry.port or settings.ssh_port
    shown = dict(told) | {
        "tags": " ".join(f"{key}={value}" for key, value in told["tags"].items()),
        "groups": " ".join(told["groups"]),
    }
    if error is not None:
        shown |= request.form.to_dict() | {"frozen": request.form.get("frozen") == "1"}
    keys = hostkey_desk.keys(database, q=address.lower(), limit=50)
    page = render_template(
        "hosts/host.html",
        host=told,
        form=shown,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        saved=request.args.get("saved"),
        login=usual_login(database, entry),
        keys=[key for key in keys if (key.address, key.port) == (address.lower(), port)],
        met=health.whole(database, actor(), entry.name),
        health=health,
        test=conntest.last(database, entry.name),
        runs=by_host.recent(database, actor(), [entry.name], limit=_HISTORY).get(entry.name, []),
        credentials=choices(database),
        remote_user=settings.remote_user,
        ssh_port=settings.ssh_port,
        may_edit=actor().may(Permission.EDIT_INVENTORY),
    )
    return make_response(page, error.status if error else 200)


def _form_page(form: dict[str, Any], error: OpsconsoleError | None) -> Response:
    settings = runtime().settings
    with read() as database:
        known = choices(database)
    page = render_template(
        "hosts/new.html",
        form=form,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        credentials=known,
        remote_user=settings.remote_user,
        ssh_port=settings.ssh_port,
    )
    return make_response(page, error.status if error else 200)
