"""The console as a whole: its queue, and the emergency stop."""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.inventory.finding import completions
from opsconsole.jobs import queries
from opsconsole.jobs.notices import notices as console_notices
from opsconsole.web import finding, orders
from opsconsole.web.api import console_replies, order_models, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime

blueprint = Blueprint("console", __name__)
_TAGS = ("console",)


@blueprint.get("/queue")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Queue), tags=_TAGS, operation_id="queue")
def queue() -> Response:
    """List the jobs that have not ended in the order of their turns, with why each waits and the slots there are."""
    with read() as session:
        return jsonify(queries.queue(session, actor(), now=now()))


@blueprint.get("/search")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Finds), tags=_TAGS, operation_id="find")
def find(query: questions.FindQuery) -> Response:
    """Find jobs (also by number, command, targets), hosts, groups, saved commands and pages that you may see."""
    with read() as session:
        found = finding.find(session, actor(), query.q, limit=query.limit)
    return jsonify(q=query.q, found=[asdict(item) for item in found])


@blueprint.get("/complete")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Completions), tags=_TAGS, operation_id="complete")
def complete(query: questions.FindQuery) -> Response:
    """Complete the beginning of a name in a target expression: a host, or behind an `@` a group or a tag."""
    with read() as session:
        found = completions(session, query.q, limit=query.limit)
    return jsonify(q=query.q, found=[{"text": text, "kind": kind} for text, kind in found])


@blueprint.get("/notices")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Notices), tags=_TAGS, operation_id="notices")
def notices() -> Response:
    """List the troubles of the console itself that everybody should know of."""
    with read() as session:
        return jsonify(notices=console_notices(session, dead_seconds=runtime().settings.worker_dead_seconds))


@blueprint.get("/hold")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Hold), tags=_TAGS, operation_id="hold")
def hold() -> Response:
    """Tell whether the console is held, so that nothing starts."""
    with read() as session:
        return jsonify(queries.hold(session))


@blueprint.post("/hold")
@requires(Permission.STOP_ALL)
@spec.validate(resp=answers(HTTP_200=console_replies.Held), tags=_TAGS, operation_id="stop_all")
def stop_all(json: order_models.StopAll) -> Response:
    """Emergency stop: nothing starts any more, and every job is cancelled unless `cancel` is false."""
    return jsonify(orders.stop_all(actor(), reason=json.reason, cancel=json.cancel))


@blueprint.delete("/hold")
@requires(Permission.LIFT_HOLD)
@spec.validate(resp=answers(HTTP_200=console_replies.Hold), tags=_TAGS, operation_id="lift_hold")
def lift() -> Response:
    """Let the console start commands again."""
    return jsonify(orders.lift(actor()))
