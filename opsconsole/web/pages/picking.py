"""From the inventory to an order: the picker of the Run page, and the hosts that were ticked on the Hosts page."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Invalid
from opsconsole.hostset import fold
from opsconsole.inventory import groups
from opsconsole.jobs.order import Order
from opsconsole.web import inventory
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.hosts import chosen_names
from opsconsole.web.pages.routes import pages
from opsconsole.web.pages.run import show_order
from opsconsole.web.unit_of_work import read

_SHOWN = 200


@pages.get("/run/hosts")
@requires(Permission.RUN)
def pick_hosts() -> Response | str:
    """Lists groups and hosts to pick from, those of the expression ``q``; ``add`` takes what was picked to the Run
    page."""
    if request.args.get("add"):
        return redirect(url_for("pages.run", targets=",".join(request.args.getlist("host")) or None), 303)
    q = request.args.get("q", "")
    fault = None
    found = inventory.Listing([], 0, None)
    with read() as database:
        try:
            found = inventory.found(database, actor(), q, limit=_SHOWN)
        except Invalid as problem:
            fault = problem
        named = [] if q else groups.groups(database)[:_SHOWN]
        return render_template("hosts/pick.html", q=q, found=found, groups=named, fault=fault)


@pages.post("/hosts/run")
@requires(Permission.RUN)
def run_on_hosts() -> Response:
    """Shows the Run form for the hosts that are ticked on the Hosts page, or for all that match there."""
    with read() as database:
        names = chosen_names(database, request.form, request.form.get("q", ""))
    nobody = None if names else Invalid("Tick the hosts to run on.", code="no_hosts")
    return show_order(Order(targets=fold(names), command=""), nobody)
