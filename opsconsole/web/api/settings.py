"""What the console is set to. It is set where its processes start, so there is nothing to change here."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.web import rules
from opsconsole.web.api import console_replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import requires
from opsconsole.web.unit_of_work import runtime

blueprint = Blueprint("settings", __name__)


@blueprint.get("/settings")
@requires(Permission.VIEW_SETTINGS)
@spec.validate(resp=answers(HTTP_200=console_replies.Settings), tags=("settings",), operation_id="list_settings")
def list_settings() -> Response:
    """List limits, confirmations, reach, logins and retention, with each value and where it comes from."""
    return jsonify(settings=rules.told(runtime().settings))
