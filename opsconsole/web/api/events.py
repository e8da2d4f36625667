"""The live stream of one job (Server-Sent Events)."""

import socket
from functools import partial

from flask import Blueprint, Response, request

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import NotFound
from opsconsole.jobs import queries
from opsconsole.web.api import schemas
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import Credentials, actor, credentials, requires, still
from opsconsole.web.sse import Stream, Streams, read_position, streams
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("events", __name__)


@blueprint.get(f"{JOB}/events")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "Events: hello, snapshot, delta, groups, out, job, done, bye."), also=(404,)),
    tags=("results",),
    operation_id="job_events",
)
def events(job_id: int, query: schemas.EventsQuery) -> Response:
    """Follow a job live. Come back with `Last-Event-ID` after a break and nothing is missed."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        epoch = queries.epoch(session)
        last_event_id = request.headers.get("Last-Event-ID") or query.last_event_id
        position = read_position(query.out, last_event_id, epoch)
        runs = {i: queries.get_run(session, job, i).id for i in position.offsets}
    live, viewer = streams(), actor()
    live.enter(viewer.user_id)
    try:
        hub = live.hubs.join(job_id)
    except BaseException:
        live.leave(viewer.user_id)
        raise
    stream = Stream(live, hub, epoch, position, runs, partial(_may_see, live, job_id, credentials()), _endpoint())
    return live.respond(stream, viewer.user_id)


def _may_see(live: Streams, job_id: int, proof: Credentials) -> bool:
    viewer = still(live.parts, proof)
    if viewer is None or not viewer.may(Permission.VIEW):
        return False
    try:
        with live.parts.database.read() as session:
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
