"""Signing in by one-time link or password, and signing out."""

from flask import Response, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import exists, select
from werkzeug.wrappers import Response as AnyResponse

from opsconsole.accounts import service
from opsconsole.accounts.permissions import Permission
from opsconsole.errors import NotAuthenticated, TooMany
from opsconsole.jobs.models import Job
from opsconsole.secret import Secret
from opsconsole.web import languages
from opsconsole.web.auth import actor, end_session, public, requires, start_session
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction

_MAX_NAME = 150


@pages.get("/")
@requires(Permission.VIEW)
def home() -> AnyResponse:
    """Goes to the Run page while nothing has run, then to the jobs."""
    with read() as database:
        any_job = database.scalar(select(exists().where(Job.created_by_id == actor().user_id)))
    return redirect(url_for("pages.jobs" if any_job or not actor().may(Permission.RUN) else "pages.run"), 303)


@pages.get("/login")
@public
def login() -> str | AnyResponse:
    """Shows the way in. A one-time link only shows a button: a mail scanner's GET must not use it up."""
    following = safe_path(request.args.get("next", ""))
    code = request.args.get("once", "")[:64]
    if code:
        return render_template("accounts/once.html", code=code, following=following)
    if g.actor is not None:
        return redirect(following, 303)
    return render_template("accounts/login.html", following=following, name="", error=None)


@pages.post("/login")
@public
def sign_in() -> AnyResponse:
    """Signs in with a one-time code or with a name and password."""
    following = safe_path(request.form.get("next", ""))
    code = request.form.get("once", "").strip()[:64]
    name = request.form.get("name", "")[:_MAX_NAME]
    try:
        if code:
            with transaction() as database:
                user = service.redeem_login_link(database, code, address=request.remote_addr, now=now())
        else:
            password = Secret(request.form.get("password", ""))
            user = service.sign_in(runtime().database, name, password, address=request.remote_addr, now=now())
    except (NotAuthenticated, TooMany) as error:
        page = render_template("accounts/login.html", following=following, name=name, error=error.detail)
        refused = make_response(page, error.status)
        if retry_after := error.extra.get("retry_after"):
            refused.headers["Retry-After"] = str(retry_after)
        return refused
    response = redirect(following, 303)
    assert isinstance(response, Response)  # noqa: S101  Flask's redirect makes Flask's response; for the type checker
    start_session(response, user)
    if chosen := languages.of_code(request.args.get("lang")):
        languages.keep(response, chosen)
        with transaction() as database:
            service.prefer(database, user.id, {"language": chosen.code})
    return response


@pages.post("/logout")
@requires(Permission.VIEW)
def sign_out() -> AnyResponse:
    """Ends the session."""
    response = redirect(url_for("pages.login"), 303)
    assert isinstance(response, Response)  # noqa: S101  as above
    end_session(response)
    return response


def safe_path(target: str) -> str:
    """Returns ``target`` when it is a path of ours, else the first page: a link must not lead elsewhere after login."""
    home_page = url_for("pages.home")
    if not target.startswith("/") or target.startswith(("//", "/\\", "/login", "/api/")):
        return home_page
    return target if target.isprintable() and "\\" not in target else home_page
