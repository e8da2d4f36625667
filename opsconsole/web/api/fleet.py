"""What the console works with: its worker processes."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.web.api import console_replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import requires
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
