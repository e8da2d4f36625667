"""What the console works with: its worker processes."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.web import orders
from opsconsole.web.api import console_replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("fleet", __name__)
_TAGS = ("fleet",)


@blueprint.get("/workers")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Workers), tags=_TAGS, operation_id="list_workers")
def list_workers() -> Response:
    """List the worker processes that are alive, with their slots."""
    with read() as session:
        return jsonify(queries.workers(session))


@blueprint.post("/workers/<name>/drain")
@requires(Permission.DRAIN_WORKERS)
@spec.validate(resp=answers(HTTP_200=console_replies.Worker, also=(404, 409)), tags=_TAGS, operation_id="drain_worker")
def drain_worker(name: str) -> Response:
    """Let a worker take no further run; what it has in hand goes on. Asking again changes nothing."""
    return jsonify(orders.drain_worker(actor(), name))


@blueprint.post("/workers/<name>/resume")
@requires(Permission.DRAIN_WORKERS)
@spec.validate(resp=answers(HTTP_200=console_replies.Worker, also=(404, 409)), tags=_TAGS, operation_id="resume_worker")
def resume_worker(name: str) -> Response:
    """Let a drained worker take runs again. Asking again changes nothing."""
    return jsonify(orders.resume_worker(actor(), name))
