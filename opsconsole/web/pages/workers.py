"""The workers that carry out jobs."""

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.web import orders
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read


@pages.get("/workers")
@requires(Permission.VIEW)
def workers() -> str:
    """Lists the live worker processes, and what waits for them."""
    with read() as database:
        listed = queries.workers(database)["list"]
        return render_template("workers/list.html", workers=listed, backlog=queries.backlog(database), today=now())


@pages.post("/workers/<name>/drain")
@requires(Permission.DRAIN_WORKERS)
def drain_worker(name: str) -> Response:
    """Lets a worker take no further run."""
    orders.drain_worker(actor(), name)
    return redirect(url_for("pages.workers"), 303)


@pages.post("/workers/<name>/resume")
@requires(Permission.DRAIN_WORKERS)
def resume_worker(name: str) -> Response:
    """Lets a drained worker take runs again."""
    orders.resume_worker(actor(), name)
    return redirect(url_for("pages.workers"), 303)
