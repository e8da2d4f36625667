"""What a person does to a job: pause it, let it go on, cancel it, run it again; the job, a wave or chosen hosts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import control, look, queries
from opsconsole.jobs.models import Job
from opsconsole.web import orders
from opsconsole.web.api import order_models, replies
from opsconsole.web.api.launching import made, page_of, this_time
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.searches import found_places
from opsconsole.web.unit_of_work import now, read

blueprint = Blueprint("control", __name__)
_TAGS = ("control",)
_ANSWERS = answers(HTTP_200=replies.JobStatus, also=(404, 409))


@blueprint.post(f"{JOB}/pause")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="pause_job")
def pause(job_id: int, json: order_models.Choice) -> Response:
    """Pause a job, or hold some of its hosts back: what has started goes on, nothing else starts."""
    return _done(job_id, control.pause, hosts=json.hosts, wave=json.wave)


@blueprint.post(f"{JOB}/resume")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="resume_job")
def resume(job_id: int, json: order_models.Resume) -> Response:
    """Let a paused job, or hosts that were held back, go on."""
    return _done(job_id, control.resume, hosts=json.hosts, wave=json.wave, held=json.held)


@blueprint.post(f"{JOB}/continue")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="continue_job")
def proceed(job_id: int, json: order_models.Continue) -> Response:
    """Let a job that waits between two waves go on with the next one at once."""
    return _done(job_id, control.proceed, wave=json.wave)


@blueprint.post(f"{JOB}/cancel")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="cancel_job")
def cancel(job_id: int, json: order_models.Cancel) -> Response:
    """Cancel a job, or some of its hosts. Asking again changes nothing."""
    return _done(job_id, control.cancel, hosts=json.hosts, wave=json.wave, grace=json.grace_s)


@blueprint.post(f"{JOB}/title")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="entitle_job")
def entitle(job_id: int, json: order_models.Title) -> Response:
    """Give a job another title, for people. The job itself never changes."""
    return _done(job_id, control.entitle, title=json.title)


@blueprint.post(f"{JOB}/check")
@requires(Permission.RUN)
@spec.validate(resp=_ANSWERS, tags=_TAGS, operation_id="check_job")
def check(job_id: int, json: order_models.Check) -> Response:
    """Let a worker look whether the command still runs where its end is not known, and end it if asked to.

    What was found is told as `look` in the rows of the hosts. Nothing is ever run again by it.
    """
    return _done(job_id, look.ask, hosts=json.hosts, kill=json.kill)


@blueprint.post(f"{JOB}/rerun")
@requires(Permission.RUN)
@spec.validate(
    headers=order_models.LaunchHeaders,
    resp=answers(HTTP_200=replies.JobStatus, HTTP_201=replies.JobStatus, also=(404, 409, 413, 428)),
    tags=_TAGS,
    operation_id="rerun_job",
)
def rerun(job_id: int, json: order_models.Rerun) -> tuple[Response, int]:
    """Run a job's command again on its hosts in the given states. Answers the new job's status."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        places = found_places(session, job, find=json.find, re=json.re, case=json.case, found=json.found)
        order = control.relaunch(session, job, letters=",".join(json.states), hosts=json.hosts, places=places)
    job, created = orders.place(replace(order, **this_time(json)), actor())
    with read() as session:
        body = {**queries.status(session, job, now=now()), "url": page_of(job)}
    return made(job, body, created)


def _done(job_id: int, verb: Callable[..., Job], **options: Any) -> Response:
    job = orders.act(job_id, verb, actor(), **options)
    with read() as session:
        return jsonify(queries.status(session, job, now=now()))
