"""Orders and jobs: look at an order, give it, list jobs, see one."""

from flask import Blueprint, Response, jsonify, request

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs import queries
from opsconsole.jobs.states import JobState
from opsconsole.sentences import Sentence
from opsconsole.web import orders
from opsconsole.web.api import order_models, questions, replies
from opsconsole.web.api.launching import made, order_of, page_of, question_of
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.moments import moment
from opsconsole.web.said import said_of
from opsconsole.web.sse import streams
from opsconsole.web.unit_of_work import now, read

blueprint = Blueprint("jobs", __name__)
_TAGS = ("jobs",)


@blueprint.post("/resolve")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Resolved, also=(413,)), tags=_TAGS, operation_id="resolve")
def resolve(json: order_models.Resolve) -> Response:
    """Say what an order would touch. Nothing connects and nothing is written."""
    with read() as session:
        body = orders.launcher().resolve(session, question_of(json), actor())
    return jsonify(body | {"risk": said_of(body["risk"])})


@blueprint.post("/plan")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Plan, also=(413,)), tags=_TAGS, operation_id="plan")
def plan(json: order_models.NewJob) -> Response:
    """Dry run: say host by host what an order would do. Nothing connects and nothing is written."""
    with read() as session:
        body = orders.launcher().plan(session, order_of(json), actor())
    return jsonify(body | {part: said_of(body[part]) for part in ("risk", "policy")})


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
            since=moment("since", query.since) if query.since else None,
            like_targets=query.like_targets,
            like_command=query.like_command,
            before=query.before,
            limit=query.limit,
        )
    following = found[-1]["id"] if len(found) == query.limit else None
    return jsonify(jobs=found, next=following)


@blueprint.post("/jobs")
@requires(Permission.RUN)
@spec.validate(
    headers=order_models.LaunchHeaders,
    resp=answers(
        HTTP_200=(replies.Launched, "The same Idempotency-Key was used before: the job it made."),
        HTTP_201=replies.Launched,
        also=(409, 413, 428),
    ),
    tags=_TAGS,
    operation_id="launch_job",
)
def launch(json: order_models.NewJob) -> tuple[Response, int]:
    """Run a command on hosts."""
    job, created = orders.place(order_of(json), actor())
    return made(job, {"id": job.id, "url": page_of(job)}, created)


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


def _check_states(text: str | None) -> None:
    unknown = {part.strip() for part in (text or "").split(",")} - {state.value for state in JobState} - {""}
    if unknown:
        message = Sentence("States are {states}.", states=", ".join(state.value for state in JobState))
        raise Invalid(message, errors=[FieldError("state", message)])
