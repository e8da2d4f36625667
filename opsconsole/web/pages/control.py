"""What a person does to a job from its page, and to the whole console: each a form that also works without script."""

from collections.abc import Callable
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs import control, look, queries
from opsconsole.jobs.models import Job
from opsconsole.web import orders
from opsconsole.web.auth import actor, requires
from opsconsole.web.event_words import waits_in_words
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read


@pages.post("/jobs/<int:job_id>/pause")
@requires(Permission.RUN)
def pause(job_id: int) -> Response:
    """Pauses a job, or a wave or the ticked hosts of it."""
    return _act(job_id, control.pause)


@pages.post("/jobs/<int:job_id>/resume")
@requires(Permission.RUN)
def resume(job_id: int) -> Response:
    """Lets a paused job, or a wave or the ticked hosts of it, go on."""
    return _act(job_id, control.resume)


@pages.post("/jobs/<int:job_id>/continue")
@requires(Permission.RUN)
def proceed(job_id: int) -> Response:
    """Lets a job go on with its next wave; the form names the wave that the person saw."""
    orders.act(job_id, control.proceed, actor(), wave=_wave())
    return _back(job_id)


@pages.post("/jobs/<int:job_id>/cancel")
@requires(Permission.RUN)
def cancel(job_id: int) -> Response:
    """Cancels a job, or a wave or the ticked hosts of it."""
    return _act(job_id, control.cancel)


@pages.post("/jobs/<int:job_id>/title")
@requires(Permission.RUN)
def entitle(job_id: int) -> Response:
    """Gives a job another title."""
    orders.act(job_id, control.entitle, actor(), title=request.form.get("title", "")[:200])
    return _back(job_id)


@pages.post("/jobs/<int:job_id>/check")
@requires(Permission.RUN)
def check(job_id: int) -> Response:
    """Looks at hosts where the command may still be running; with ``kill`` ends it there."""
    hosts = request.form.getlist("host") or None
    orders.act(job_id, look.ask, actor(), hosts=hosts, kill="kill" in request.form)
    return redirect(url_for("pages.job", job_id=job_id), 303)


@pages.get("/notices")
@requires(Permission.VIEW)
def notices() -> str:
    """Returns the banner alone, for the script of every page."""
    return render_template("_layout/notices.html")


@pages.get("/queue")
@requires(Permission.VIEW)
def queue() -> str:
    """Shows which jobs wait, in which order and for what."""
    with read() as database:
        told = queries.queue(database, actor(), now=now())
        return render_template("jobs/queue.html", waits_in_words=waits_in_words, **told)


@pages.get("/stop")
@requires(Permission.STOP_ALL)
def stop() -> str:
    """Says what an emergency stop would do, and asks."""
    with read() as database:
        waiting = queries.queue(database, actor(), now=now())
    return render_template("jobs/stop.html", **waiting, counts=_reach(waiting["jobs"]))


@pages.post("/stop")
@requires(Permission.STOP_ALL)
def stop_now() -> Response:
    """Holds the console, and cancels all jobs unless the box is empty."""
    orders.stop_all(actor(), reason=request.form.get("reason", "").strip() or None, cancel="cancel" in request.form)
    return redirect(url_for("pages.queue"), 303)


@pages.post("/lift")
@requires(Permission.LIFT_HOLD)
def lift() -> Response:
    """Lets the console start commands again."""
    orders.lift(actor())
    return redirect(url_for("pages.queue"), 303)


def _reach(jobs: list[dict[str, Any]]) -> dict[str, int]:
    """Returns how many jobs and hosts a stop would touch, of those that the person may see."""
    return {
        "jobs": len(jobs),
        "pending": sum(job["pending"] for job in jobs),
        "running": sum(job["in_flight"] for job in jobs),
    }


def _act(job_id: int, verb: Callable[..., Job]) -> Response:
    hosts = request.form.getlist("host") or None
    orders.act(job_id, verb, actor(), hosts=hosts, wave=None if hosts else _wave())
    return _back(job_id)


def _wave() -> int | None:
    text = request.form.get("wave", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise Invalid("The form names no wave.", errors=[FieldError("wave", "Not a wave.")])
    return int(text)


def _back(job_id: int) -> Response:
    """Returns to the page of the job, and to the host whose pane the form stood in."""
    hosts = request.form.getlist("host")
    return redirect(url_for("pages.job", job_id=job_id, host=hosts[0] if len(hosts) == 1 else None), 303)
