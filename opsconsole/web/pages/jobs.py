"""The list of jobs and the page of one job."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import ConfirmationRequired, Conflict, Invalid
from opsconsole.jobs import control, queries
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import LETTERS
from opsconsole.web.auth import actor, requires
from opsconsole.web.charts import chart_table
from opsconsole.web.event_words import timeline_in_words
from opsconsole.web.moments import moment
from opsconsole.web.pages import wrote
from opsconsole.web.pages.columns import asked_context, table_page
from opsconsole.web.pages.host_run import pane_context
from opsconsole.web.pages.output_groups import IN_FULL, ON_OVERVIEW, group_context
from opsconsole.web.pages.routes import pages
from opsconsole.web.pages.run import launch, show_order
from opsconsole.web.unit_of_work import now, read
from opsconsole.web.view_models import TILES_AT_MOST, TROUBLE, elapsed_ms, ended, key_news, wanted_letters

_PER_PAGE = 50
_ROWS = 100
# Servers and browsers bound the length of an address; more hosts than this are carried by the form itself.
_HOSTS_IN_ADDRESS = 20
_LONG = timedelta(seconds=15)
_VIEWS = ("overview", "hosts", "groups", "timeline", "details")
_ALL_SHOWN: Mapping[str, str] = MappingProxyType({})
_FILTERS = ("state", "by", "q", "host", "since")


@pages.get("/jobs")
@requires(Permission.VIEW)
def jobs() -> str:
    """Lists jobs, newest first; the filters stand in the address."""
    filters = {name: request.args.get(name, "").strip() for name in _FILTERS}
    wanted: dict[str, Any] = {name: value for name, value in filters.items() if value}
    if "since" in wanted:
        wanted["since"] = moment("since", wanted["since"])
    before = request.args.get("before", type=int)
    today = now()
    with read() as database:
        found = queries.list_jobs(database, actor(), before=before, limit=_PER_PAGE + 1, **wanted)
    older = found[_PER_PAGE - 1]["id"] if len(found) > _PER_PAGE else None
    return render_template(
        "jobs/list.html", jobs=found[:_PER_PAGE], filters=filters, older=older, before=before, today=today
    )


@pages.get("/jobs/<int:job_id>")
@requires(Permission.VIEW)
def job(job_id: int) -> str:
    """Shows a job: live with script, as of now without."""
    shown = request.args.get("view", "overview")
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        status = queries.status(database, found, now=now())
        context = {
            "job": status,
            "waits": _waits_long(status),
            "doubts": queries.doubts(database, found),
            "elapsed": elapsed_ms(status, now()),
            "shown": shown if shown in _VIEWS else "overview",
            "filter": wanted_letters(request.args.getlist("state")),
            "may_run": actor().may(Permission.RUN),
            "logins": queries.refused_logins(database, found) if status["counts"]["u"] else [],
            "news": key_news(queries.offered_keys(database, found) if status["counts"]["u"] else []),
            "pane": _chosen(database, found),
            **asked_context(),
            "found": wrote.asked(request.args),
            "sort": _order(status),
            **_body(database, found, status),
        }
        return render_template("jobs/job.html", **context)


def _body(database: Session, found: Job, status: dict[str, Any]) -> dict[str, Any]:
    """Returns what the asked view shows; the others are fetched by script or by another click."""
    shown = request.args.get("view", "overview")
    if shown == "hosts":
        return _table(database, found, status)
    if shown == "details":
        lineage = queries.histories(database, found, actor())
        return {"lineage": lineage, "timeline": timeline_in_words(found, queries.timeline(database, found))}
    if shown == "timeline":
        return {"chart": chart_table(database, found)}
    if shown == "groups":
        return group_context(database, found, IN_FULL)
    if found.target_count > TILES_AT_MOST:
        # Grouping thousands of hosts takes longer than all else here; the script asks for it once the page stands.
        return {"tiles": [], "groups": None}
    tiles = zip(queries.roster(database, found)["hosts"], queries.grid(database, found)["grid"], strict=True)
    return {"tiles": list(tiles), **group_context(database, found, ON_OVERVIEW)}


def _waits_long(status: dict[str, Any]) -> bool:
    """Whether nothing of a job has moved for so long that its page should say why."""
    if status["counts"]["c"] or status["counts"]["r"] or not status["waiting"]:
        return False
    since = datetime.fromisoformat(status["started_at"] or status["created_at"])
    return status["waiting"]["code"] in {"no_workers", "workers_drained"} or now() - since > _LONG


def _order(status: dict[str, Any]) -> str:
    """Returns the order of the hosts that the address asks for; for none, or one that is none, trouble first where a
    job has ended with some."""
    asked = request.args.get("sort", "")
    if asked.removeprefix("-") in {*queries.SORTABLE, *asked_context()["asked"].names}:
        return asked
    troubled = ended(status["state"]) and any(status["counts"][letter] for letter in TROUBLE)
    return "state" if troubled and not wanted_letters(request.args.getlist("state")) else "i"


def _table(database: Session, found: Job, status: dict[str, Any]) -> dict[str, Any]:
    letters = wanted_letters(request.args.getlist("state"))
    sort = _order(status)
    q = request.args.get("q", "").strip()
    asked, places = wrote.shown(database, found, request.args)
    page = table_page(database, found, states=",".join(letters), sort=sort, q=q, limit=_ROWS, places=places)
    told = {"rows": page["rows"], "row_total": page["total"], "following": page["next"], "q": q}
    return {**page, **told, "found": asked}


def _chosen(database: Session, found: Job) -> dict[str, Any] | None:
    host = request.args.get("host")
    return pane_context(database, found, queries.get_run(database, found, host)) if host else None


@pages.post("/jobs/<int:job_id>/rerun")
@requires(Permission.RUN)
def rerun(job_id: int) -> Response:
    """Starts the same command on the hosts in the chosen states; what needs a word first goes to the Run page."""
    states = wanted_letters(request.form.getlist("state"))
    hosts = request.form.getlist("host")
    return start_again(job_id, states, hosts, request.form)


@pages.get("/jobs/<int:job_id>/lineage")
@requires(Permission.VIEW)
def lineage(job_id: int) -> str:
    """Returns the job side by side with those it repeats or that repeat it, for the script of the job page."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        told = queries.histories(database, found, actor())
    return render_template("jobs/_lineage.html", job_id=job_id, lineage=told)


@pages.get("/jobs/<int:job_id>/timeline")
@requires(Permission.VIEW)
def timeline(job_id: int) -> str:
    """Returns what happened to the job, for the script of the job page."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        told = timeline_in_words(found, queries.timeline(database, found))
    return render_template("jobs/_timeline.html", timeline=told)


@pages.get("/jobs/<int:job_id>/doubts")
@requires(Permission.VIEW)
def doubts(job_id: int) -> str:
    """Returns the strip that tells where the command may still be running, for the script of the job page."""
    with read() as database:
        told = queries.doubts(database, queries.get_job(database, job_id, actor()))
    return render_template("jobs/_doubts.html", job_id=job_id, doubts=told, may_run=actor().may(Permission.RUN))


@pages.get("/jobs/<int:job_id>/carried")
@requires(Permission.VIEW)
def carried(job_id: int) -> str:
    """Returns the strip that tells how far the job's files are, for the script of the job page."""
    with read() as database:
        told = queries.status(database, queries.get_job(database, job_id, actor()), now=now())
    return render_template("jobs/_carried.html", job=told, over=ended(told["state"]))


@pages.post("/jobs/<int:job_id>/again")
@requires(Permission.RUN)
def again(job_id: int) -> Response:
    """Shows the Run form for the chosen hosts of a job, of whom there may be more than an address can name."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        order = control.relaunch(database, found, letters=LETTERS, hosts=request.form.getlist("host"))
    return show_order(order)


def start_again(job_id: int, states: str, hosts: list[str], shown: Mapping[str, str] = _ALL_SHOWN) -> Response:
    """Reruns a job on its hosts in ``states`` (letters), of ``hosts`` when any are named, by what they wrote and by
    their names as ``shown`` says it (``wrote``), and goes to the new job."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        try:
            places = wrote.meant(database, found, shown)
            order = control.relaunch(database, found, letters=",".join(states), hosts=hosts or None, places=places)
        except Invalid:
            return redirect(url_for("pages.job", job_id=job_id, nothing="yes"), 303)
    try:
        return redirect(url_for("pages.job", job_id=launch(order)), 303)
    except (Invalid, ConfirmationRequired, Conflict) as error:
        # It wants a typed number, a password, or is no longer possible: the form says which.
        if len(hosts) > _HOSTS_IN_ADDRESS:
            return show_order(order, error)
        values: dict[str, Any] = {"from": job_id, "state": states, "host": hosts, **wrote.asked(shown)["page"]}
        values["q"] = shown.get("q") or None
        return redirect(url_for("pages.run", **values), 303)


@pages.get("/j/<ref>")
@requires(Permission.VIEW)
def short_link(ref: str) -> Response:
    """Goes from ``/j/1042`` or ``/j/1042.web-eu-044`` to the page it is short for."""
    number, _, host = ref.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return redirect(url_for("pages.jobs"), 303)
    if host:
        return redirect(url_for("pages.host_run", job_id=int(number), host=host), 303)
    return redirect(url_for("pages.job", job_id=int(number)), 303)
