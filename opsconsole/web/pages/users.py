"""Who may use the console: people, their roles and tokens, and the links that let them in."""

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts import service
from opsconsole.accounts.permissions import Permission, Role
from opsconsole.errors import Conflict, FieldError, Invalid
from opsconsole.web import users as use
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, transaction


@pages.get("/users")
@requires(Permission.ADMINISTER)
def users() -> Response:
    """Lists everybody."""
    return _page(done=request.args.get("done", ""))


@pages.post("/users")
@requires(Permission.ADMINISTER)
def new_user() -> Response:
    """Adds somebody, and shows the link that lets them in, once."""
    try:
        with transaction() as database:
            user = service.create_user(database, request.form.get("name", ""), _role(), now=now(), actor=actor())
            link = use.link(database, user)
    except Invalid as error:
        return _page(error.status, faults={item.field: item for item in error.errors})
    except Conflict as error:
        return _page(error.status, faults={"name": FieldError("name", error.detail)})
    return _page(201, link=link)


@pages.post("/users/<name>")
@requires(Permission.ADMINISTER)
def change_user(name: str) -> Response:
    """Gives somebody another role, shuts them out, lets them in again, or makes a one-time link."""
    action = request.form.get("action", "")
    link = None
    try:
        with transaction() as database:
            user = service.get_user(database, name)
            if action == "link":
                link = use.link(database, user)
            else:
                use.change(database, user, role=_role() if action == "role" else None, disabled=_STATES.get(action))
    except (Conflict, Invalid) as error:
        return _page(error.status, error=error.detail)
    return _page(201, link=link) if link else redirect(url_for("pages.users", done=user.name), 303)


@pages.post("/users/tokens/<token_id>/revoke")
@requires(Permission.ADMINISTER)
def revoke_users_token(token_id: str) -> Response:
    """Ends somebody's token at once."""
    with transaction() as database:
        token = service.revoke_token(database, token_id, actor=actor(), now=now())
        name = token.user.name
    return redirect(url_for("pages.users", done=name), 303)


_STATES = {"disable": True, "enable": False}


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise Invalid("There is no such role.", errors=[FieldError("role", "Choose one of the roles.")]) from None


def _page(status: int = 200, **more: Any) -> Response:
    context = {"done": "", "link": None, "error": "", "faults": {}, **more}
    with read() as database:
        tokens = service.live_tokens(database, now=now())
        people = [(user, tokens.get(user.id, [])) for user in service.list_users(database)]
        if context["done"] not in {user.name for user, _tokens in people}:
            context["done"] = ""
        page = render_template("accounts/users.html", people=people, roles=list(Role), **context)
    return make_response(page, status)
