"""Who is asking, and may they: every route is marked ``requires(...)`` or ``public``, and one gate reads the mark.

A route without a mark is refused, so a forgotten mark closes a door instead of opening it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Actor, Permission, Scope
from opsconsole.errors import Forbidden, NotAuthenticated, OpsconsoleError
from opsconsole.runtime import Runtime
from opsconsole.web import csrf
from opsconsole.web.sse import streams
from opsconsole.web.unit_of_work import now, runtime, transaction

P = ParamSpec("P")
R = TypeVar("R")
_MARK = "opsconsole_access"
# Answered without looking at who asks: they must work, fast, when the database does not.
_ANONYMOUS = frozenset({"static", "health.healthz", "health.readyz"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a request proves who it is: the cookie's or the token's text, never both. Its text is never shown."""

    cookie: str | None = None
    bearer: str | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return "Credentials(***)"


def requires(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Marks a view as open to signed-in callers who have ``permission``."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _MARK, permission)
        return view

    return mark


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Marks a view as open to everybody."""
    setattr(view, _MARK, "public")
    return view


def access_of(app: Flask, endpoint: str) -> Permission | str | None:
    """Returns the permission an endpoint asks for, ``"public"``, or ``None`` when it was not marked."""
    if endpoint == "static":
        return "public"
    mark: Permission | str | None = getattr(app.view_functions[endpoint], _MARK, None)
    return mark


def register(app: Flask) -> None:
    """Puts the gate before every view of ``app``."""
    app.session_interface = _FormSession()
    app.before_request(_gate)


def start_session(response: Response, user: User) -> None:
    """Signs ``user`` in: a new server-side session, its cookie on ``response``, and new form tokens."""
    settings = runtime().settings
    with transaction() as database:
        _forget(database)
        value = service.open_session(database, user, address=request.remote_addr, now=now(), settings=settings)
    session.clear()
    response.set_cookie(
        cookie_name(),
        value,
        max_age=settings.session_hours * 3600,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def end_session(response: Response) -> None:
    """Signs the caller out: the server-side session ends, streams opened with it too."""
    with transaction() as database:
        _forget(database)
    streams().doubt()
    session.clear()
    response.delete_cookie(cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax")


def cookie_name() -> str:
    """Returns the session cookie's name: ``__Host-`` under TLS, which browsers refuse on plain http.

    Cookies do not know ports, so on plain http the port is in the name: two consoles on one machine stay apart.
    """
    return "__Host-opsconsole" if request.is_secure else f"opsconsole_{_port()}"


def credentials() -> Credentials:
    """Returns how the current request proves who it is. A bearer token wins: its cookie is then not looked at."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        bearer = value.strip() if scheme.lower() == "bearer" else ""
        return Credentials(bearer=bearer, address=request.remote_addr)
    return Credentials(cookie=request.cookies.get(cookie_name()), address=request.remote_addr)


def identify(parts: Runtime, proof: Credentials) -> Actor | None:
    """Returns who ``proof`` belongs to now, or ``None``. Raises ``NotAuthenticated`` for a token that is not valid."""
    if proof.bearer is None and proof.cookie is None:
        return None
    with parts.database.read() as database:
        found = _look_up(database, parts, proof)
        outdated = bool(database.dirty)
    if outdated:
        # "Last used" is due: only then the request pays for a write.
        with parts.database.transaction() as database:
            return _look_up(database, parts, proof)
    return found


def still(parts: Runtime, proof: Credentials) -> Actor | None:
    """Returns what ``identify`` does, ``None`` also for a token, without counting it as use: for open streams."""
    try:
        with parts.database.read() as database:
            return _look_up(database, parts, proof)
    except NotAuthenticated:
        return None


def actor() -> Actor:
    """Returns the signed-in caller of this request. Only for views that are not public."""
    found: Actor | None = g.get("actor")
    if found is None:
        raise NotAuthenticated("Sign in first.")
    return found


def _look_up(database: Session, parts: Runtime, proof: Credentials) -> Actor | None:
    moment = parts.clock.now()
    if proof.bearer is not None:
        return service.token_actor(database, proof.bearer, address=proof.address, now=moment)
    return service.session_actor(
        database, proof.cookie or "", now=moment, settings=parts.settings, address=proof.address
    )


def _gate() -> None:
    g.actor = None
    if request.endpoint is None or request.endpoint in _ANONYMOUS:
        return
    access = access_of(current_app, request.endpoint)
    proof = credentials()
    if access == "public":
        g.actor = _identify_if_possible(proof)
        csrf.check()
        return
    g.actor = identify(runtime(), proof)
    if g.actor is None:
        raise NotAuthenticated("Sign in first, or send an API token as Authorization: Bearer.")
    if proof.bearer is None:
        csrf.check()
    if not isinstance(access, Permission) or not g.actor.may(access):
        raise Forbidden(_refusal(g.actor))


def _refusal(actor: Actor) -> str:
    if actor.scope is Scope.READ:
        return "The scope of this token is `read`: it may only look. Use a token of the scope `run`."
    return "You may not do this."


def _identify_if_possible(proof: Credentials) -> Actor | None:
    try:
        return identify(runtime(), proof)
    except OpsconsoleError:
        return None


def _forget(database: Session) -> None:
    cookie = request.cookies.get(cookie_name())
    if cookie:
        service.close_session(database, cookie)


def _port() -> int:
    try:
        return urlsplit(f"//{request.host}").port or 80
    except ValueError:
        return 80


class _FormSession(SecureCookieSessionInterface):
    """Flask's signed cookie, which holds only the form token; its name and flags follow the session cookie's."""

    def get_cookie_name(self, app: Flask) -> str:
        return f"{cookie_name()}_form"

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_samesite(self, app: Flask) -> str:
        return "Lax"
