"""The workers that carry out jobs."""

from flask import render_template

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.web.auth import requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read


@pages.get("/workers")
@requires(Permission.VIEW)
def workers() -> str:
    """Lists the live worker processes, and what waits for them."""
    with read() as database:
        listed = queries.workers(database)["list"]
        return render_template("workers/list.html", workers=listed, backlog=queries.backlog(database), today=now())
