"""Saved commands: the list, one of them, and what the Run page needs to keep its order or to begin with one."""

from dataclasses import replace
from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Conflict, Forbidden, OpsconsoleError
from opsconsole.jobs import queries
from opsconsole.jobs import saved as use
from opsconsole.jobs.models import SavedCommand
from opsconsole.web import orders
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.pages.run_form import RunForm
from opsconsole.web.unit_of_work import now, read, transaction

_OFFERED = 12
_NO_PASSWORD = "-"  # noqa: S105  it stands for the one that is typed when the command is run


@pages.get("/saved")
@requires(Permission.VIEW_SAVED)
def saved() -> str:
    """Lists saved commands by name."""
    with read() as database:
        found = use.listed(database)
        last = use.last_jobs(database, [item.id for item in found], actor())
        return render_template(
            "saved/list.html", rows=[(item, use.as_saved(item), last.get(item.id)) for item in found]
        )


@pages.get("/saved/<int(max=2147483647):saved_id>")
@requires(Permission.VIEW_SAVED)
def saved_command(saved_id: int) -> Response:
    """Shows one saved command."""
    with read() as database:
        return _shown(database, use.get_saved(database, saved_id))


@pages.post("/saved/<int(max=2147483647):saved_id>")
@requires(Permission.RUN)
def remove_saved(saved_id: int) -> Response:
    """Removes one; the form names the version that the person saw."""
    try:
        with transaction() as database:
            version = request.form.get("version", type=int)
            use.remove(database, saved_id, version=version, actor=actor(), now=now())
    except (Conflict, Forbidden) as error:
        with read() as database:
            return _shown(database, use.get_saved(database, saved_id), error)
    return redirect(url_for("pages.saved"), 303)


def offered(database: Session) -> list[SavedCommand]:
    """Returns the saved commands that the Run page offers, those changed last first."""
    found = sorted(use.listed(database), key=lambda item: item.changed_at, reverse=True)
    return found[:_OFFERED]


def begin(form: RunForm, item: SavedCommand) -> RunForm:
    """Returns the form that runs a saved command; what it leaves to the console keeps the form's first values."""
    order = use.order_of(item)
    begun = form.repeating(order)
    usual = {
        name: getattr(form, name)
        for name in ("concurrency", "connect_timeout", "command_timeout")
        if not getattr(begun, name)
    }
    return replace(
        begun,
        **usual,
        exclude=order.exclude,
        skip_unknown="yes" if order.skip_unknown else "",
        saved_id=str(item.id),
        save_name=item.name,
        save_notes=item.notes or "",
        save_static="yes" if item.hosts is not None else "",
        save_version=str(item.version),
    )


def save(form: RunForm) -> int:
    """Returns the number of the saved command that keeps what the form says: the one that it began with, while its
    name is the same, else a new one. Raises what ``jobs.saved`` raises."""
    order = form.to_order(_NO_PASSWORD)
    values: dict[str, Any] = {
        "name": form.save_name,
        "notes": form.save_notes,
        "static": bool(form.save_static),
    }
    with transaction() as database:
        before = use.get_saved(database, order.saved_id) if order.saved_id is not None else None
        launcher, by, at = orders.launcher(), actor(), now()
        # The name it began with is the title of its jobs by itself.
        order = replace(order, title=None if before is not None and order.title == before.name else order.title)
        if before is not None and " ".join(form.save_name.split()).lower() == before.key:
            version = int(form.save_version) if form.save_version.isdigit() else None
            return use.change(database, launcher, before.id, order, values, version=version, actor=by, now=at).id
        return use.add(database, launcher, order, values, actor=by, now=at).id


def _shown(database: Session, item: SavedCommand, error: OpsconsoleError | None = None) -> Response:
    last = use.last_jobs(database, [item.id], actor()).get(item.id)
    job = queries.get_job(database, last, actor()) if last is not None else None
    page = render_template(
        "saved/show.html",
        item=item,
        order=use.as_saved(item),
        job=job,
        error=error,
        may_change=use.may_change(item, actor()),
        kept=request.args.get("kept"),
    )
    return make_response(page, error.status if error else 200)
