"""The output groups of a job: the list on the job page, and the page of one group."""

from typing import Any

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import NotFound
from opsconsole.jobs import grouping, queries
from opsconsole.jobs.models import Job
from opsconsole.jobs.similarity import Mode
from opsconsole.web.auth import actor, requires
from opsconsole.web.group_lists import group_lists
from opsconsole.web.pages import wrote
from opsconsole.web.pages.routes import pages
from opsconsole.web.said import said
from opsconsole.web.unit_of_work import read
from opsconsole.web.view_models import wanted_letters

ON_OVERVIEW = 20
IN_FULL = 500
_LINES = 500
_OTHERS = 50
# The names of groups are longer (12 digits).
_PLACE_DIGITS = 4


def asked_mode() -> Mode:
    """Returns the mode that the address asks for; the usual one for none and for one that there is not."""
    asked = request.args.get("mode", "")
    return Mode(asked) if asked in set(Mode) else Mode.SIMILAR


def group_context(database: Session, job: Job, limit: int) -> dict[str, Any]:
    """Returns what the list of groups shows, for the states and the mode of the address."""
    mode = asked_mode()
    asked, places = wrote.shown(database, job, request.args)
    states = ",".join(wanted_letters(request.args.getlist("state")))
    body = group_lists().get(database, job, mode, states, limit, places)
    told = {"groups": body["groups"], "group_list": body, "compared": _compared(body["groups"])}
    return {"found": asked, "mode": mode.value, **told}


def _compared(groups: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the group that the others are told against: the reference, where it is larger than any other that ran
    well. Of hosts that all say something else none is what the others should have said."""
    reference = next((group for group in groups if group["reference"]), None)
    if reference is None or reference["count"] < 2:
        return None
    others = [group for group in groups if group is not reference and group["state"] == reference["state"]]
    return reference if all(group["count"] < reference["count"] for group in others) else None


@pages.get("/jobs/<int:job_id>/grouped")
@requires(Permission.VIEW)
def grouped(job_id: int) -> str:
    """Returns the list of groups alone, for the script of the job page."""
    limit = ON_OVERVIEW if request.args.get("few") else IN_FULL
    with read() as database:
        job = queries.get_job(database, job_id, actor())
        return render_template("jobs/_groups.html", job_id=job_id, **group_context(database, job, limit))


@pages.get("/jobs/<int:job_id>/g/<g>")
@requires(Permission.VIEW)
def output_group(job_id: int, g: str) -> str | Response:
    """Shows one group: its hosts, what they said, how that differs, how they vary. A short number is a place in the
    list, which goes to the lasting address of the group that has it now."""
    mode = asked_mode()
    first = max(request.args.get("line", 1, type=int), 1)
    against = request.args.get("against", "")
    with read() as database:
        job = queries.get_job(database, job_id, actor())
        if len(g) <= _PLACE_DIGITS and g.isdecimal():
            listed = grouping.groups(database, job, mode, limit=int(g))["groups"]
            if 0 < int(g) <= len(listed):
                named = listed[int(g) - 1]["g"]
                return redirect(url_for("pages.output_group", job_id=job_id, g=named, mode=mode.value))
        group = grouping.group(database, job, g, mode, from_line=first, limit=_LINES)
        others = [one for one in grouping.groups(database, job, mode, limit=_OTHERS)["groups"] if one["g"] != g]
        if not against and not group["reference"] and any(one["reference"] for one in others):
            against = "majority"
        diff, refused = _diff(database, job, g, against, mode)
        return render_template(
            "jobs/group.html",
            job_id=job.id,
            title=job.title,
            command=job.command,
            group=group,
            mode=mode.value,
            first=first,
            others=others,
            against=against,
            diff=diff,
            refused=refused,
            spread=grouping.varying(database, job, g, mode) if group["variants"] > 1 else None,
            may_run=actor().may(Permission.RUN),
        )


def _diff(database: Session, job: Job, g: str, against: str, mode: Mode) -> tuple[dict[str, Any] | None, str]:
    """Returns the difference, or why there is none."""
    if not against:
        return None, ""
    try:
        return grouping.compare(database, job, g, against, mode, actor()), ""
    except NotFound as error:
        return None, said(error.detail)
