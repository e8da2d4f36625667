"""People, for administrators at a browser: no token administers people."""

from typing import Any

from flask import Blueprint, Response, jsonify

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Permission
from opsconsole.jobs.queries import iso
from opsconsole.web import users as use
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("users", __name__)
_TAGS = ("users",)


@blueprint.get("/users")
@requires(Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=console_replies.Users), tags=_TAGS, operation_id="list_users")
def list_users() -> Response:
    """List everybody by name (admins in a signed-in browser, as all of these; no token administers people)."""
    with read() as session:
        tokens = service.live_tokens(session, now=now())
        return jsonify(users=[_shown(user, len(tokens.get(user.id, []))) for user in service.list_users(session)])


@blueprint.post("/users")
@requires(Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_201=console_replies.User, also=(409,)), tags=_TAGS, operation_id="add_user")
def add_user(json: questions.NewUser) -> tuple[Response, int]:
    """Add somebody, without a password: a one-time link lets them in."""
    with transaction() as session:
        return jsonify(_shown(service.create_user(session, json.name, json.role, now=now(), actor=actor()), 0)), 201


@blueprint.patch("/users/<name>")
@requires(Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=console_replies.User, also=(404, 409)), tags=_TAGS, operation_id="change_user")
def change_user(name: str, json: questions.ChangedUser) -> Response:
    """Give somebody another role, shut them out, or let them in again; at once."""
    with transaction() as session:
        user = service.get_user(session, name)
        use.change(session, user, role=json.role, disabled=json.disabled)
        tokens = service.live_tokens(session, now=now())
        return jsonify(_shown(user, len(tokens.get(user.id, []))))


@blueprint.post("/users/<name>/login-link")
@requires(Permission.ADMINISTER)
@spec.validate(
    resp=answers(HTTP_201=console_replies.LoginLink, also=(404, 409)), tags=_TAGS, operation_id="make_login_link"
)
def make_login_link(name: str) -> tuple[Response, int]:
    """Make a link that signs somebody in once within ten minutes. It is in this answer and nowhere else."""
    with transaction() as session:
        return jsonify(use.link(session, service.get_user(session, name))), 201


def _shown(user: User, tokens: int) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "has_password": service.has_password(user),
        "disabled_at": iso(user.disabled_at),
        "created_at": iso(user.created_at),
        "tokens": tokens,
    }
