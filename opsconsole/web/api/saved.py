"""Saved commands: orders that are kept under a name and given again."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify, url_for
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import saved as use
from opsconsole.jobs.models import SavedCommand
from opsconsole.jobs.queries import iso
from opsconsole.web import orders
from opsconsole.web.api import order_models, replies
from opsconsole.web.api.launching import json_of, launch_type, made, order_of, page_of, this_time
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("saved", __name__)
_TAGS = ("saved",)
_ONE = "/saved/<int(max=2147483647):saved_id>"


@blueprint.get("/saved")
@requires(Permission.VIEW_SAVED)
@spec.validate(resp=answers(HTTP_200=replies.SavedCommands), tags=_TAGS, operation_id="list_saved")
def list_saved() -> Response:
    """List saved commands by name."""
    with read() as session:
        found = use.listed(session)
        last = use.last_jobs(session, [saved.id for saved in found], actor())
        return jsonify(saved=[_told(saved, last.get(saved.id)) for saved in found])


@blueprint.get(_ONE)
@requires(Permission.VIEW_SAVED)
@spec.validate(resp=answers(HTTP_200=replies.SavedCommand, also=(404,)), tags=_TAGS, operation_id="saved_command")
def show(saved_id: int) -> Response:
    """Show a saved command."""
    with read() as session:
        return jsonify(_shown(session, use.get_saved(session, saved_id)))


@blueprint.post("/saved")
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_201=replies.SavedCommand, also=(409, 413)), tags=_TAGS, operation_id="save_command")
def add(json: order_models.NewSaved) -> tuple[Response, int]:
    """Keep an order under a name. Nothing runs."""
    with transaction() as session:
        values = json.model_dump(include={"name", "notes", "static"})
        saved = use.add(session, orders.launcher(), order_of(json.order), values, actor=actor(), now=now())
        response = jsonify(_shown(session, saved))
        response.headers["Location"] = url_for("api.saved.show", saved_id=saved.id)
    return response, 201


@blueprint.put(_ONE)
@requires(Permission.RUN)
@spec.validate(
    resp=answers(HTTP_200=replies.SavedCommand, also=(404, 409, 413)), tags=_TAGS, operation_id="change_saved"
)
def change(saved_id: int, json: order_models.ChangedSaved) -> Response:
    """Keep another order, name or notes instead. One's own, or anybody's for admins."""
    with transaction() as session:
        values = json.model_dump(include={"name", "notes", "static"})
        order = order_of(json.order)
        launcher, by, at = orders.launcher(), actor(), now()
        saved = use.change(session, launcher, saved_id, order, values, version=json.version, actor=by, now=at)
        return jsonify(_shown(session, saved))


@blueprint.delete(_ONE)
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_204=None, also=(404,)), tags=_TAGS, operation_id="remove_saved")
def remove(saved_id: int) -> tuple[str, int]:
    """Remove a saved command; its jobs stay."""
    with transaction() as session:
        use.remove(session, saved_id, version=None, actor=actor(), now=now())
    return "", 204


@blueprint.post(f"{_ONE}/run")
@requires(Permission.RUN)
@spec.validate(
    headers=order_models.LaunchHeaders,
    resp=answers(
        HTTP_200=(replies.Launched, "The same Idempotency-Key was used before: the job it made."),
        HTTP_201=replies.Launched,
        also=(404, 409, 413, 428),
    ),
    tags=_TAGS,
    operation_id="run_saved",
)
def run(saved_id: int, json: order_models.RunSaved) -> tuple[Response, int]:
    """Run a saved command."""
    with read() as session:
        order = use.order_of(use.get_saved(session, saved_id))
    job, created = orders.place(replace(order, **this_time(json), launch_type=launch_type()), actor())
    return made(job, {"id": job.id, "url": page_of(job)}, created)


def _shown(session: Session, saved: SavedCommand) -> dict[str, Any]:
    return _told(saved, use.last_jobs(session, [saved.id], actor()).get(saved.id))


def _told(saved: SavedCommand, last_job: int | None) -> dict[str, Any]:
    return {
        "id": saved.id,
        "name": saved.name,
        "notes": saved.notes,
        "static": saved.hosts is not None,
        "hosts": saved.hosts,
        "order": json_of(use.as_saved(saved)),
        "version": saved.version,
        "by": saved.created_by,
        "created_at": iso(saved.created_at),
        "changed_at": iso(saved.changed_at),
        "last_job": last_job,
        "may_change": use.may_change(saved, actor()),
    }
