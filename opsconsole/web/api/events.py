"""The live streams (Server-Sent Events): of one job, and of the jobs list."""

import socket
from functools import partial

from flask import Blueprint, Response, request

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import NotFound
from opsconsole.jobs import queries
from opsconsole.web.api import questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import Credentials, actor, credentials, requires, still
from opsconsole.web.fleet_stream import FleetStream
from opsconsole.web.job_stream import JobStream, read_position
from opsconsole.web.sse import Streams, streams
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("events", __name__)


@blueprint.get(f"{JOB}/events")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "Events: hello, snapshot, delta, groups, out, job, notices, done, bye."), also=(404,)),
    tags=("results",),
    operation_id="job_events",
)
def job_events(job_id: int, query: questions.EventsQuery) -> Response:
    """Follow a job live. Come back with `Last-Event-ID` after a break and nothing is missed."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        epoch = queries.epoch(session)
        last_event_id = request.headers.get("Last-Event-ID") or query.last_event_id
        position = read_position(query.out, last_event_id, epoch)
        runs = {i: queries.get_run(session, job, i).id for i in position.offsets}
    live = streams()

    def make() -> JobStream:
        return JobStream(
            streams=live,
            allowed=partial(_may_see, live, job_id, credentials()),
            endpoint=_endpoint(),
            hub=live.hubs.join(job_id),
            epoch=epoch,
            position=position,
            runs=runs,
            notices=query.notices,
        )

    return live.respond(make, actor().user_id)


@blueprint.get("/events")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "Events: hello, notices, job, bye.")), tags=("jobs",), operation_id="all_events"
)
def events(query: questions.FleetQuery) -> Response:
    """Follow the console's notices, and state and counts of the latest jobs."""
    live = streams()

    def make() -> FleetStream:
        allowed = partial(_may_see, live, None, credentials())
        return FleetStream(streams=live, allowed=allowed, endpoint=_endpoint(), viewer=actor(), jobs=query.jobs)

    return live.respond(make, actor().user_id, lesser=not query.jobs)


def _may_see(live: Streams, job_id: int | None, proof: Credentials) -> bool:
    viewer = still(live.parts, proof)
    if viewer is None or not viewer.may(Permission.VIEW):
        return False
    try:
        with live.parts.database.read() as session:
            if job_id is not None:
                queries.get_job(session, job_id, viewer)
    except NotFound:
        return False
    return True


def _endpoint() -> socket.socket | None:
    """Returns the viewer's connection, under the servers that hand it out."""
    for name in ("gunicorn.socket", "werkzeug.socket"):
        found = request.environ.get(name)
        if isinstance(found, socket.socket):
            return found
    return None
