"""The output groups of a job: hosts that ended alike and said the same, how they differ, how they vary."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import grouping, queries
from opsconsole.web.api import group_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.searches import found_places
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("output_groups", __name__)
_TAGS = ("results",)
_GROUP = f"{JOB}/groups/<g>"


@blueprint.get(f"{JOB}/groups")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=group_replies.OutputGroups, also=(404,)), tags=_TAGS, operation_id="job_groups")
def groups(job_id: int, query: questions.GroupsQuery) -> Response:
    """Group the hosts that ended alike and said the same."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        places = found_places(session, job, find=query.find, re=query.re, case=query.case, found=query.found)
        return jsonify(grouping.groups(session, job, query.mode, states=query.state, limit=query.limit, places=places))


@blueprint.get(_GROUP)
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=group_replies.OneGroup, also=(404,)), tags=_TAGS, operation_id="job_group")
def group(job_id: int, g: str, query: questions.GroupOutputQuery) -> Response:
    """Give one group: its members, and what they said, once."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        return jsonify(grouping.group(session, job, g, query.mode, from_line=query.from_line, limit=query.limit))


@blueprint.get(f"{_GROUP}/diff")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=group_replies.GroupDiff, also=(404,)), tags=_TAGS, operation_id="job_group_diff")
def diff(job_id: int, g: str, query: questions.GroupDiffQuery) -> Response:
    """Tell how a group departs from the majority, from another group, or from the run before."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        return jsonify(grouping.compare(session, job, g, query.against, query.mode, actor()))


@blueprint.get(f"{_GROUP}/spread")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=group_replies.Spread, also=(404,)), tags=_TAGS, operation_id="job_group_spread")
def spread(job_id: int, g: str, query: questions.GroupQuery) -> Response:
    """List the readings that are not the same on all hosts of a group, with their values."""
    with read() as session:
        return jsonify(grouping.varying(session, queries.get_job(session, job_id, actor()), g, query.mode))
