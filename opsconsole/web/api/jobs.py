"""Orders and jobs: look at an order, give it, list jobs, see one, cancel it, run it again."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for
from pydantic import SecretStr

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs import control, queries
from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import JobState
from opsconsole.secret import Secret
from opsconsole.web import orders
from opsconsole.web.api import questions, replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.sse import streams
from opsconsole.web.unit_of_work import now, read

blueprint = Blueprint("jobs", __name__)
_TAGS = ("jobs",)


@blueprint.post("/resolve")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Resolved, also=(413,)), tags=_TAGS, operation_id="resolve")
def resolve(json: questions.Resolve) -> Response:
    """Say what an order would touch. Nothing connects and nothing is written."""
    with read() as session:
        body = orders.launcher().resolve(
            session,
            actor(),
            targets=json.targets,
            exclude=json.exclude,
            command=json.command,
            concurrency=json.concurrency,
            max_failures=json.max_failures,
        )
    return jsonify(body)


@blueprint.get("/jobs")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.JobList), tags=_TAGS, operation_id="list_jobs")
def list_jobs(query: questions.JobsQuery) -> Response:
    """List jobs, newest first."""
    _check_states(query.state)
    with read() as session:
        found = queries.list_jobs(
            session,
            actor(),
            state=query.state,
            by=query.by,
            q=query.q,
            host=query.host,
            before=query.before,
            limit=query.limit,
        )
    following = found[-1]["id"] if len(found) == query.limit else None
    return jsonify(jobs=found, next=following)


@blueprint.post("/jobs")
@requires(Permission.RUN)
@spec.validate(
    headers=questions.LaunchHeaders,
    resp=answers(
        HTTP_200=(replies.Launched, "The same Idempotency-Key was used before: the job it made."),
        HTTP_201=replies.Launched,
        also=(409, 413, 428),
    ),
    tags=_TAGS,
    operation_id="launch_job",
)
def launch(json: questions.NewJob) -> tuple[Response, int]:
    """Run a command on hosts."""
    order = Order(
        targets=json.targets,
        exclude=json.exclude,
        command=json.command,
        title=json.title,
        user=json.user,
        credential=json.credential,
        password=_secret(json.password),
        concurrency=json.concurrency,
        connect_timeout=_seconds(json.timeouts.connect_ms),
        command_timeout=_seconds(json.timeouts.command_ms),
        idle_timeout=_seconds(json.timeouts.idle_ms),
        max_failures=json.max_failures,
        expect_count=json.expect.count,
        expect_digest=json.expect.digest,
        confirm=json.confirm,
        reason=json.reason,
        idempotency_key=request.headers.get("Idempotency-Key"),
        launch_type=LaunchType.API if actor().token_id else LaunchType.MANUAL,
    )
    job, created = orders.place(order, actor())
    return _made(job, {"id": job.id, "url": _page(job)}, created)


@blueprint.get(JOB)
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=replies.JobStatus, HTTP_304=(None, "Unchanged."), also=(404,)),
    tags=_TAGS,
    operation_id="job_status",
)
def status(job_id: int, query: questions.StatusQuery) -> Response:
    """Tell how a job stands. With `since` and `wait` the answer comes when it has changed."""
    with read() as session:
        queries.get_job(session, job_id, actor())
    if query.since is not None:
        streams().wait(job_id, query.since, query.wait)
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        response = jsonify(queries.status(session, job, now=now()))
        response.headers["ETag"] = queries.etag(session, job)
    # Unlike no-store, this lets a client keep the body and ask whether it still holds.
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@blueprint.post(f"{JOB}/cancel")
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_200=replies.JobStatus, also=(404,)), tags=_TAGS, operation_id="cancel_job")
def cancel(job_id: int, json: questions.Cancel) -> Response:
    """Cancel a job, or some of its hosts. Asking again changes nothing."""
    return _status_of(orders.stop(job_id, actor(), hosts=json.hosts))


@blueprint.post(f"{JOB}/rerun")
@requires(Permission.RUN)
@spec.validate(
    headers=questions.LaunchHeaders,
    resp=answers(HTTP_200=replies.JobStatus, HTTP_201=replies.JobStatus, also=(404, 409, 413, 428)),
    tags=_TAGS,
    operation_id="rerun_job",
)
def rerun(job_id: int, json: questions.Rerun) -> tuple[Response, int]:
    """Run a job's command again on its hosts in the given states. Answers the new job's status."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        order = control.relaunch(session, job, letters="".join(json.states), hosts=json.hosts)
    order = replace(
        order,
        password=_secret(json.password),
        confirm=json.confirm,
        reason=json.reason,
        expect_count=json.expect.count,
        expect_digest=json.expect.digest,
        idempotency_key=request.headers.get("Idempotency-Key"),
    )
    job, created = orders.place(order, actor())
    with read() as session:
        body = {**queries.status(session, job, now=now()), "url": _page(job)}
    return _made(job, body, created)


def _status_of(job: Job) -> Response:
    with read() as session:
        return jsonify(queries.status(session, job, now=now()))


def _made(job: Job, body: dict[str, Any], created: bool) -> tuple[Response, int]:
    response = jsonify(body)
    response.headers["Location"] = url_for("api.jobs.status", job_id=job.id)
    return response, 201 if created else 200


def _page(job: Job) -> str:
    return url_for("api.jobs.status", job_id=job.id).replace("/api/v1", "")


def _secret(value: SecretStr | None) -> Secret | None:
    return Secret(value.get_secret_value()) if value is not None else None


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds is not None else None


def _check_states(text: str | None) -> None:
    unknown = {part.strip() for part in (text or "").split(",")} - {state.value for state in JobState} - {""}
    if unknown:
        message = f"States are {', '.join(state.value for state in JobState)}."
        raise Invalid(message, errors=[FieldError("state", message)])
