"""The Run page: where, what and how on the left, what it would touch on the right."""

import re
from dataclasses import replace
from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts import service
from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Permission
from opsconsole.credentials.service import credentials
from opsconsole.errors import ConfirmationRequired, Conflict, Forbidden, Invalid, NotFound, OpsconsoleError, TooLarge
from opsconsole.files import service as files
from opsconsole.inventory import groups as inventory
from opsconsole.inventory.executor import Executor
from opsconsole.jobs import control, queries
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.saved import get_saved
from opsconsole.web import orders
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages import run_files, saved, wrote
from opsconsole.web.pages.routes import pages
from opsconsole.web.pages.run_form import RunForm
from opsconsole.web.unit_of_work import now, read, runtime, transaction
from opsconsole.web.view_models import TROUBLE, wanted_letters

_EARLIER = 5
_FILES_OFFERED = 100
_GROUPS_SHOWN = 8
# So many of the newest jobs are looked through for targets to offer, so many are offered, none longer than this.
_LATELY, _RECENT, _RECENT_CHARS = 50, 8, 100
_ONE_GROUP = re.compile(r"@[\w.-]+")
# A dry run of thousands of hosts is read by the API; the page shows its beginning.
_PLAN_HOSTS = 200
_MOST_EXPECTED_CHARS = 50_000
_PLAN_WAVES = 12
_NO_PASSWORD = "-"  # noqa: S105  it stands for the one that a dry run does without


@pages.get("/run")
@requires(Permission.RUN)
def run() -> str:
    """Shows the form, empty, prefilled by the address, or repeating a job. An address never runs anything."""
    form = RunForm.blank(runtime().settings).prefilled(request.args)
    with read() as database:
        earlier = request.args.get("from", type=int)
        if earlier is not None:
            form = form.repeating(repeat(database, earlier))
        kept = request.args.get("saved", type=int)
        if kept is not None:
            form = saved.begin(form, get_saved(database, kept))
        return _page(database, form, preview=_preview(database, form) if form.targets.strip() else None)


@pages.post("/run")
@requires(Permission.RUN)
def start() -> Response:
    """Starts the job, or shows the form again with what is wrong.

    ``action=preview`` only looks, ``action=plan`` tells host by host what would be done, ``action=try`` takes the first
    host alone, ``action=save`` keeps the order and starts nothing.
    """
    form = RunForm.read(request.form)
    action = request.form.get("action")
    if action == "preview":
        return _again(replace(form, confirm=""), None)
    if action == "plan":
        return _planned(form)
    if action == "save":
        return _saved(form)
    try:
        order = form.to_order(request.form.get("password", ""), request.form.get("run_as_password", ""))
        job_id = launch(_on_one_host(order) if action == "try" else order)
    except (Invalid, TooLarge, ConfirmationRequired, Conflict) as error:
        return _again(form, error)
    return redirect(url_for("pages.job", job_id=job_id), 303)


def launch(order: Order) -> int:
    """Returns the number of the job that ``order`` starts, and wakes the workers once it is committed."""
    parts = runtime()
    # The page of the job comes next: a person sees it start, and may stop it before it does.
    watched = replace(order, watched=True)
    with transaction() as database:
        job, _created = Launcher(parts.settings, parts.cipher).launch(database, watched, actor(), now=now())
        job_id = job.id
    parts.dispatcher.nudge()
    return job_id


def repeat(database: Session, job_id: int) -> Order:
    """Returns the order that repeats a job on its hosts in the states of ``?state=``, trouble when none is named."""
    job = queries.get_job(database, job_id, actor())
    letters = wanted_letters(request.args.getlist("state"))
    hosts = request.args.getlist("host") or None
    places = wrote.meant(database, job, request.args)
    return control.relaunch(database, job, letters=",".join(letters or TROUBLE), hosts=hosts, places=places)


def show_order(order: Order, error: OpsconsoleError | None = None) -> Response:
    """Returns the form filled with ``order``; where it was refused with ``error``, what it wants can be given there."""
    return _again(RunForm.blank(runtime().settings).repeating(order), error)


def _expected(preview: dict[str, Any]) -> dict[str, str]:
    """Returns what the form sends back of a preview, so that nothing else is run. The hosts, by which a conflict can
    name who came and went, are left out where they are too many to be sent."""
    folded = str(preview["folded"])
    return {
        "expect_count": str(preview["count"]),
        "expect_digest": str(preview["digest"]),
        "expect_hosts": folded if len(folded) <= _MOST_EXPECTED_CHARS else "",
    }


def _on_one_host(order: Order) -> Order:
    """Returns the order for its first host alone, under a key of its own: trying is not the job itself."""
    parts = runtime()
    with read() as database:
        where = Order(order.targets, "", exclude=order.exclude, skip_unknown=order.skip_unknown)
        found = Launcher(parts.settings, parts.cipher).resolve(database, where, actor())
    if not found["sample"]:
        return order
    return replace(
        order,
        targets=found["sample"][0],
        exclude="",
        expect_count=None,
        expect_digest=None,
        expect_hosts=None,
        idempotency_key=order.idempotency_key and f"{order.idempotency_key}-try",
    )


def _again(form: RunForm, error: OpsconsoleError | None) -> Response:
    with read() as database:
        preview = _preview(database, form)
        if isinstance(error, Conflict) and "count" in preview:
            # What is shown now is what the next press of the button stands for.
            form = replace(form, **_expected(preview), confirm="")
        if isinstance(error, Conflict) and error.code == "idempotency_mismatch":
            # The form was changed after it had made a job: what is sent next is an order of its own.
            form = replace(form, idempotency_key=RunForm.blank(runtime().settings).idempotency_key)
        page = _page(database, form, preview=preview, error=error)
    return make_response(page, error.status if error else 200)


def _saved(form: RunForm) -> Response:
    """Returns to the saved command that keeps the form's order, or to the form with what is wrong."""
    try:
        saved_id = saved.save(form)
    except (Invalid, TooLarge, Conflict, Forbidden, NotFound) as error:
        with read() as database:
            return make_response(_page(database, form, preview=_preview(database, form), error=error), error.status)
    return redirect(url_for("pages.saved_command", saved_id=saved_id, kept=1), 303)


def _planned(form: RunForm) -> Response:
    """Returns the form with the dry run of its order below it, or with what is wrong with the order."""
    with read() as database:
        try:
            # Nothing logs in anywhere, so the password need not be typed (again) for a dry run.
            order = form.to_order(_NO_PASSWORD, _NO_PASSWORD)
            told = orders.launcher().plan(database, order, actor())
            page = _page(database, form, preview=_preview(database, form), plan=told)
        except (Invalid, TooLarge) as error:
            page = _page(database, form, preview=_preview(database, form), error=error, plan_error=error.detail)
            return make_response(page, error.status)
    return make_response(page, 200)


def _preview(database: Session, form: RunForm) -> dict[str, Any]:
    """Returns what the order would touch, or ``{"error": ...}``: the form is shown either way."""
    parts = runtime()
    try:
        order = form.to_order("")
        return Launcher(parts.settings, parts.cipher).resolve(database, order, actor())
    except OpsconsoleError as error:
        return {"error": error}


def _page(
    database: Session,
    form: RunForm,
    *,
    preview: dict[str, Any] | None,
    error: OpsconsoleError | None = None,
    **more: Any,
) -> str:
    settings = runtime().settings
    fault = error or (preview or {}).get("error")
    usual = RunForm.blank(settings)
    user = database.get_one(User, actor().user_id)
    return render_template(
        "jobs/run.html",
        form=form,
        preview=None if preview is None or "error" in preview else preview,
        error=error,
        faults={item.field: item for item in fault.errors} if isinstance(fault, OpsconsoleError) else {},
        usual={
            name: getattr(usual, name) for name in ("concurrency", "connect_timeout", "command_timeout", "credential")
        },
        credentials=_credentials(database),
        becoming=_becoming(database),
        remote_user=settings.remote_user,
        groups=inventory.groups(database)[:_GROUPS_SHOWN],
        saved=saved.offered(database),
        files=files.listed(database, actor(), limit=_FILES_OFFERED),
        push_rows=run_files.shown(form.push),
        max_file_bytes=settings.max_file_bytes,
        **_earlier(database, form),
        **_offers(database),
        no_password=not service.has_password(user),
        policy=settings.host_key_policy,
        allow_local=settings.allow_local,
        may_add=actor().may(Permission.EDIT_INVENTORY),
        plan_hosts=_PLAN_HOSTS,
        plan_waves=_PLAN_WAVES,
        **more,
    )


def _offers(database: Session) -> dict[str, Any]:
    """Returns what targets are offered of earlier jobs: those written lately, the hosts that failed in the newest job
    with any, and those of the newest job on one group."""
    jobs = queries.list_jobs(database, actor(), limit=_LATELY)
    written = [job["targets"]["expression"].strip() for job in jobs]
    offered = []
    failed = ((job["id"], sum(job["counts"][letter] for letter in "fkul")) for job in jobs)
    if found := next(((job_id, count) for job_id, count in failed if count), None):
        offered.append((f"failed:#{found[0]}", found[1]))
    # What was only played is not the last job that hosts had (docs/host-lists.md).
    ended = (job for job in jobs if job["finished_at"] and job["executor"] != Executor.SIMULATE)
    on_group = next(
        (job["targets"] for job in ended if _ONE_GROUP.fullmatch(job["targets"]["expression"].strip())), None
    )
    if on_group:
        offered.append((f"last:{on_group['expression'].strip()}", on_group["count"]))
    short = [text for text in dict.fromkeys(written) if len(text) <= _RECENT_CHARS and "\n" not in text]
    return {"offered": offered, "recent": short[:_RECENT]}


def _earlier(database: Session, form: RunForm) -> dict[str, Any]:
    """Returns earlier jobs on the same hosts or with the same first command; without any, the last ones."""
    where, what = form.targets.strip(), form.command.strip()
    like = queries.list_jobs(database, actor(), like_targets=where, like_command=what, limit=_EARLIER)
    if like and (where or what):
        return {"earlier": like, "earlier_alike": True}
    return {"earlier": like or queries.list_jobs(database, actor(), limit=_EARLIER), "earlier_alike": False}


def _becoming(database: Session) -> list[tuple[str, str]]:
    stored = [(f"cred:{item.name}", _("credential %(name)s", name=item.name)) for item in credentials(database)]
    login, typed = ("login", _("the password of the login")), ("password", _("a password for this job"))
    return [("", _("nothing, unasked")), login, typed, *stored]


def _credentials(database: Session) -> list[tuple[str, str]]:
    settings = runtime().settings
    ambient = [("ambient", _("own keys and agent"))] if settings.use_ambient_keys else []
    files = [(f"key:{name}", _("key file %(name)s", name=name)) for name in settings.key_files]
    stored = [(f"cred:{item.name}", _("credential %(name)s", name=item.name)) for item in credentials(database)]
    return [("auto", _("automatic")), *stored, *ambient, *files, ("password", _("a password for this job"))]
