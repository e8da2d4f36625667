"""Columns from output on the job page: those that its address asks for, their values and their sums."""

from typing import Any

from flask import render_template, request
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Invalid, Unavailable
from opsconsole.jobs import queries
from opsconsole.jobs.columns import NO_COLUMNS, Asked
from opsconsole.jobs.models import Job
from opsconsole.web.auth import actor, requires
from opsconsole.web.columns import asked_columns, hosts_page
from opsconsole.web.pages import wrote
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import read
from opsconsole.web.view_models import wanted_letters


def asked_context() -> dict[str, Any]:
    """Returns which columns the address asks for, as far as they have a meaning, what is wrong with another, and for
    each which would be left without it, with the order that the hosts would be in then."""
    asked, fault, refused = NO_COLUMNS, None, ""
    for text in request.args.getlist("column"):
        try:
            asked = asked_columns((*asked.texts, text))
        except Invalid as error:
            fault, refused = error, text
    sort = request.args.get("sort", "")
    name = sort.removeprefix("-")
    rest = {text: asked_columns(one for one in asked.texts if one != text) for text in asked.texts}
    kept = {
        text: (others.texts, sort if name in others.names or name not in asked.names else None)
        for text, others in rest.items()
    }
    return {"asked": asked, "column_fault": fault, "column_refused": refused, "columns_without": kept}


def table_page(
    database: Session, job: Job, *, states: str, sort: str, q: str, limit: int, places: set[int] | None = None
) -> dict[str, Any]:
    """Returns a page of host rows, of ``places`` alone where they are given, with the columns that the address asks
    for; without them, and with why, where they have no meaning or take too long."""
    asked: Asked = asked_context()["asked"]
    cursor = request.args.get("cursor") or None
    which: dict[str, Any] = {"states": states, "q": q, "limit": limit, "cursor": cursor, "places": places}
    try:
        return hosts_page(database, job, asked, sort=sort, **which)
    except Unavailable as error:
        sort = "i" if sort.removeprefix("-") in asked.names else sort
        page = queries.hosts(database, job, sort=sort, **which)
        return {**page, "asked": NO_COLUMNS, "column_fault": error}


@pages.get("/jobs/<int:job_id>/columns")
@requires(Permission.VIEW)
def columns(job_id: int) -> str:
    """Returns the sums of the columns over the hosts that the filters leave, for the script of the job page."""
    states = ",".join(wanted_letters(request.args.getlist("state")))
    with read() as database:
        job = queries.get_job(database, job_id, actor())
        _, places = wrote.shown(database, job, request.args)
        q = request.args.get("q", "").strip()
        page = table_page(database, job, states=states, sort="i", q=q, limit=1, places=places)
    return render_template("jobs/_columns.html", columns=page.get("columns"))
