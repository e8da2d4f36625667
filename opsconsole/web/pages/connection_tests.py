"""Tests of connections: asked for on the pages of hosts and credentials, and told step by step on one of their own."""

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.credentials.choice import KEY
from opsconsole.errors import Forbidden, Invalid, OpsconsoleError, TooLarge
from opsconsole.jobs import conntest
from opsconsole.jobs.conntest import ConnectionTests
from opsconsole.jobs.order import Order
from opsconsole.web.auth import actor, requires
from opsconsole.web.credentials import choices
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction

_FIELDS = ("targets", "user", "credential", "run_as", "run_as_method", "run_as_credential")
# So many hosts are told of one by one; of more those that failed come first.
_SHOWN = 500


@pages.get("/tests")
@requires(Permission.RUN)
def new_test() -> Response:
    """Shows the form of a test, filled with what the address says."""
    return _form_page(request.args.to_dict())


@pages.post("/tests")
@requires(Permission.RUN)
def test_connections() -> Response:
    """Has connections tested, and shows how far that is."""
    said = {name: request.form.get(name, "").strip() for name in _FIELDS}
    order = Order(
        targets=said["targets"],
        command="true",
        user=said["user"] or None,
        credential=said["credential"] or "auto",
        run_as=said["run_as"] or None,
        run_as_method=said["run_as_method"] or None if said["run_as"] else None,
        run_as_credential=said["run_as_credential"] or None if said["run_as"] else None,
    )
    try:
        with transaction() as database:
            batch = ConnectionTests(runtime().settings).ask(database, order, actor(), now=now())
    except (Forbidden, Invalid, TooLarge) as error:
        return _form_page(said, error)
    runtime().dispatcher.nudge()
    return redirect(url_for("pages.connection_test", test=batch), 303)


@pages.get("/tests/<test>")
@requires(Permission.VIEW)
def connection_test(test: str) -> str:
    """Shows a test, those hosts first that cannot be used."""
    with read() as database:
        told = conntest.told(database, test)
    hosts = sorted(told["hosts"], key=lambda host: {False: 0, None: 1, True: 2}[host["ok"]])
    return render_template("hosts/test.html", test=told, hosts=hosts[:_SHOWN], more=max(len(hosts) - _SHOWN, 0))


def _form_page(form: dict[str, Any], error: OpsconsoleError | None = None) -> Response:
    with read() as database:
        known = [name if ":" in name else f"{KEY}:{name}" for name in choices(database)]
    page = render_template(
        "hosts/new_test.html",
        form=form,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        credentials=known,
        remote_user=runtime().settings.remote_user,
    )
    return make_response(page, error.status if error else 200)
