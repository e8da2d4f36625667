"""The caller's own API tokens."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, jsonify

from opsconsole.accounts import service
from opsconsole.accounts.models import ApiToken, User
from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Forbidden
from opsconsole.jobs.queries import iso
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("tokens", __name__)
_TAGS = ("tokens",)


@blueprint.get("/tokens")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Tokens), tags=_TAGS, operation_id="list_tokens")
def list_tokens() -> Response:
    """List your tokens, newest first, without their secrets."""
    with read() as session:
        return jsonify(tokens=[_shown(token) for token in service.list_tokens(session, actor().user_id)])


@blueprint.post("/tokens")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_201=console_replies.MadeToken), tags=_TAGS, operation_id="make_token")
def make_token(json: questions.NewToken) -> tuple[Response, int]:
    """Make a token. Its text is in this answer and nowhere else. Needs a signed-in browser, not a token."""
    if actor().token_id is not None:
        raise Forbidden("A token cannot make tokens. Sign in for that.", code="session_required")
    moment = now()
    expires_at = moment + timedelta(days=json.expires_in_days) if json.expires_in_days is not None else None
    with transaction() as session:
        user = session.get_one(User, actor().user_id)
        token, text = service.issue_token(
            session, user, name=json.name, scope=json.scope, expires_at=expires_at, now=moment, actor=actor()
        )
        return jsonify({**_shown(token), "token": text}), 201


@blueprint.delete("/tokens/<token_id>")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Token, also=(404,)), tags=_TAGS, operation_id="revoke_token")
def revoke_token(token_id: str) -> Response:
    """Revoke a token. A token may revoke itself, and no other."""
    if actor().token_id not in {None, token_id}:
        raise Forbidden("A token can revoke only itself. Sign in for the others.", code="session_required")
    with transaction() as session:
        return jsonify(_shown(service.revoke_token(session, token_id, actor=actor(), now=now())))


def _shown(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scope": token.scope,
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "used_at": iso(token.used_at),
        "revoked_at": iso(token.revoked_at),
    }
