"""What a person has chosen for the pages."""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Permission
from opsconsole.accounts.preferences import Preferences
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import read, transaction

blueprint = Blueprint("me", __name__)
_TAGS = ("me",)


@blueprint.get("/me/preferences")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Preferences), tags=_TAGS, operation_id="get_preferences")
def get_preferences() -> Response:
    """Tell how you want to see and use the pages."""
    with read() as session:
        return jsonify(asdict(Preferences.stored(session.get_one(User, actor().user_id).preferences)))


@blueprint.put("/me/preferences")
@requires(Permission.CHOOSE_LOOK)
@spec.validate(resp=answers(HTTP_200=console_replies.Preferences), tags=_TAGS, operation_id="put_preferences")
def put_preferences(json: questions.Preferences) -> Response:
    """Choose how to see and use the pages, in every browser of yours; what is left out is as if never chosen."""
    with transaction() as session:
        return jsonify(asdict(service.prefer(session, actor().user_id, json.model_dump())))
