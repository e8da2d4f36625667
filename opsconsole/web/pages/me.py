"""A person's own account: password, API tokens, and what they chose for the pages."""

from datetime import timedelta
from typing import Any

from flask import Response as OwnResponse
from flask import make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Permission, Scope
from opsconsole.accounts.preferences import CHOICES
from opsconsole.errors import FieldError, Invalid
from opsconsole.secret import Secret
from opsconsole.web import languages
from opsconsole.web.auth import actor, cookie_name, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.pages.session import safe_path
from opsconsole.web.unit_of_work import now, read, transaction

_DAYS = {"7", "30", "90", "365"}


@pages.get("/me")
@requires(Permission.VIEW)
def me() -> str:
    """Shows the account."""
    with read() as database:
        return _page(database, done=request.args.get("done", ""))


@pages.post("/me/password")
@requires(Permission.VIEW)
def set_password() -> Response:
    """Sets or changes the password; every other session of this person ends."""
    new, again = request.form.get("password", ""), request.form.get("again", "")
    current = request.form.get("current")
    try:
        if new != again:
            raise Invalid("The two passwords differ.", errors=[FieldError("again", "The two passwords differ.")])
        with transaction() as database:
            service.set_password(
                database,
                database.get_one(User, actor().user_id),
                Secret(new),
                current=Secret(current) if current else None,
                keep=request.cookies.get(cookie_name()),
                actor=actor(),
                now=now(),
            )
    except Invalid as error:
        return _refused(error)
    return redirect(url_for("pages.me", done="password"), 303)


@pages.get("/me/tokens")
@requires(Permission.VIEW)
def tokens() -> str:
    """Lists the person's API tokens."""
    with read() as database:
        return _tokens(database, done=request.args.get("done", ""))


@pages.post("/me/tokens")
@requires(Permission.VIEW)
def new_token() -> Response:
    """Makes a token and shows it, once."""
    days = request.form.get("days", "")
    scope = Scope.RUN if request.form.get("scope") == Scope.RUN else Scope.READ
    expires = now() + timedelta(days=int(days)) if days in _DAYS else None
    try:
        with transaction() as database:
            user = database.get_one(User, actor().user_id)
            name = request.form.get("name", "")
            _token, text = service.issue_token(
                database, user, name=name, scope=scope, expires_at=expires, now=now(), actor=actor()
            )
    except Invalid as error:
        with read() as database:
            return make_response(_tokens(database, faults={item.field: item for item in error.errors}), error.status)
    with read() as database:
        return make_response(_tokens(database, new_token=text), 201)


@pages.post("/me/tokens/<token_id>/revoke")
@requires(Permission.VIEW)
def revoke(token_id: str) -> Response:
    """Ends a token at once."""
    with transaction() as database:
        service.revoke_token(database, token_id, actor=actor(), now=now())
    return redirect(url_for("pages.tokens", done="revoked"), 303)


@pages.post("/me/preferences")
@requires(Permission.CHOOSE_LOOK)
def prefer() -> Response:
    """Keeps what somebody chose for the pages, and goes back to the page it was chosen on."""
    # A box that is not ticked sends nothing: a hidden field before it says what that means.
    said = {name: request.form.getlist(name)[-1] for name in CHOICES if name in request.form}
    with transaction() as database:
        service.prefer(database, actor().user_id, said)
    response = redirect(safe_path(request.form.get("next", url_for("pages.me"))), 303)
    assert isinstance(response, OwnResponse)  # noqa: S101  Flask's redirect makes Flask's response; for the type checker
    if chosen := languages.of_code(said.get("language")):
        languages.keep(response, chosen)
    return response


def _refused(error: Invalid) -> Response:
    with read() as database:
        return make_response(_page(database, faults={item.field: item for item in error.errors}), error.status)


def _page(database: Session, **more: Any) -> str:
    user = database.get_one(User, actor().user_id)
    context = {"done": "", "faults": {}, **more}
    return render_template("accounts/me.html", user=user, has_password=service.has_password(user), **context)


def _tokens(database: Session, **more: Any) -> str:
    context = {"done": "", "new_token": None, "faults": {}, **more}
    listed = service.list_tokens(database, actor().user_id)
    return render_template("accounts/tokens.html", tokens=listed, today=now(), **context)
