"""What came of a job: its hosts, their states as a grid, what changed, and what they wrote."""

from flask import Blueprint, Response, jsonify, request

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.jobs import results as job_results
from opsconsole.web.api import history_replies, host_replies, questions, replies, step_replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import HOST, JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.charts import charts
from opsconsole.web.columns import asked_columns, column_values, hosts_page, ordered_places
from opsconsole.web.exports import SUFFIXES, TYPES, Export
from opsconsole.web.pulled import note
from opsconsole.web.searches import found_places
from opsconsole.web.sse import streams
from opsconsole.web.unit_of_work import now, read, runtime

blueprint = Blueprint("results", __name__)
_TAGS = ("results",)
_YEAR_SECONDS = 31_536_000


@blueprint.get(f"{JOB}/roster")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Roster, also=(404,)), tags=_TAGS, operation_id="job_roster")
def roster(job_id: int) -> Response:
    """Name the hosts of a job in the order of their index. It never changes."""
    with read() as session:
        response = jsonify(queries.roster(session, queries.get_job(session, job_id, actor())))
    response.headers["Cache-Control"] = f"max-age={_YEAR_SECONDS}, immutable, private"
    return response


@blueprint.get(f"{JOB}/grid")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Grid, also=(404,)), tags=_TAGS, operation_id="job_grid")
def grid(job_id: int) -> Response:
    """Give each host's state as one letter."""
    with read() as session:
        return jsonify(queries.grid(session, queries.get_job(session, job_id, actor())))


@blueprint.get(f"{JOB}/delta")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.Change, also=(404,)), tags=_TAGS, operation_id="job_delta")
def delta(job_id: int, query: questions.DeltaQuery) -> Response:
    """Give what changed since a version, as in the stream; or a snapshot when that is shorter or `since` is unknown."""
    with read() as session:
        queries.get_job(session, job_id, actor())
    live = streams()
    live.wait(job_id, query.since, query.wait)
    with live.hubs.watching(job_id) as hub:
        frame = hub.since(query.since)
    return Response(frame.body, mimetype="application/json")


@blueprint.get(f"{JOB}/hosts")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=host_replies.HostRows, also=(404,)), tags=_TAGS, operation_id="job_hosts")
def hosts(job_id: int, query: questions.HostsQuery) -> Response:
    """List what came of the command on each host."""
    asked = asked_columns(query.column)
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        found = found_places(session, job, find=query.find, re=query.re, case=query.case, found=query.found)
        page = hosts_page(
            session,
            job,
            asked,
            states=query.state,
            sort=query.sort,
            q=query.q,
            limit=query.limit,
            cursor=query.cursor,
            places=found,
        )
    return jsonify(page)


@blueprint.get(f"{JOB}/export")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=(None, "The file."), also=(404,)), tags=_TAGS, operation_id="export_job")
def export(job_id: int, query: questions.ExportQuery) -> Response:
    """Export what came of a job as a file: the rows of its hosts, their names, or an archive with what they wrote."""
    asked = asked_columns(query.column)
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        searched = found_places(session, job, find=query.find, re=query.re, case=query.case, found=query.found)
        values = column_values(session, job, asked) if asked else {}
        places = ordered_places(
            session, job, asked, values, states=query.state, sort=query.sort, q=query.q, places=searched
        )
        status = queries.status(session, job, now=now())
    made = Export(runtime().database, job_id, status, places, now(), asked, values)
    note(job_id, "job.export", format=query.format.value, hosts=len(places))
    # It goes out as it is made: a download may be larger than the memory.
    response = Response(made.written(query.format, folded=query.fold), mimetype=TYPES[query.format])
    response.headers["Content-Disposition"] = f'attachment; filename="job-{job_id}.{SUFFIXES[query.format]}"'
    return response


@blueprint.get(HOST)
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=host_replies.HostRow, also=(404,)), tags=_TAGS, operation_id="job_host")
def host_run(job_id: int, host: str) -> Response:
    """Tell what came of the command on one host, named by its index or its name."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        return jsonify(queries.run_row(queries.get_run(session, job, host)))


@blueprint.get(f"{HOST}/attempts")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=history_replies.Attempts, also=(404,)), tags=_TAGS, operation_id="job_attempts")
def attempts(job_id: int, host: str) -> Response:
    """List every attempt at a host, over the job, those it is a rerun of, and their reruns; oldest first."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        return jsonify(queries.attempts(session, job, queries.get_run(session, job, host), actor()))


@blueprint.get(f"{HOST}/steps")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=step_replies.HostSteps, also=(404,)), tags=_TAGS, operation_id="job_steps")
def steps(job_id: int, host: str) -> Response:
    """Tell how each step of the order went on one host; those that it did not come to are not there."""
    with read() as session:
        run = queries.get_run(session, queries.get_job(session, job_id, actor()), host)
        return jsonify(steps=queries.host_steps(session, run))


@blueprint.get(f"{HOST}/output")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.OutputLines, also=(404,)), tags=_TAGS, operation_id="job_output")
def output(job_id: int, host: str, query: questions.OutputQuery) -> Response:
    """Give lines of one host's output."""
    with read() as session:
        run = queries.get_run(session, queries.get_job(session, job_id, actor()), host)
        body = job_results.output(
            session,
            run,
            stream=query.stream,
            from_line=query.from_line,
            before=query.before,
            limit=query.limit,
            step=query.step,
            encoding=query.encoding,
        )
    return jsonify(body)


@blueprint.get(f"{HOST}/raw")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "The bytes that were kept."), HTTP_206=(None, "The asked range."), also=(404, 416)),
    tags=_TAGS,
    operation_id="job_raw_output",
)
def raw(job_id: int, host: str, query: questions.RawQuery) -> Response:
    """Download the bytes one host wrote. `Range` is understood."""
    with read() as session:
        run = queries.get_run(session, queries.get_job(session, job_id, actor()), host)
        # What is kept of one host is bounded to some MiB (settings output_head_bytes and output_tail_bytes).
        body = b"".join(job_results.raw(session, run, query.stream, query.step))
        part = f"-{query.step}" if query.step else ""
        name = f"job-{job_id}-host-{run.i}{part}-{query.stream}.txt"
    # It is what a machine said, not a page: never shown in place, never taken for anything but text.
    response = Response(body, mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.make_conditional(request, accept_ranges=True, complete_length=len(body))
    return response


@blueprint.get(f"{JOB}/lineage")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=history_replies.Lineage, also=(404,)), tags=_TAGS, operation_id="job_lineage")
def lineage(job_id: int) -> Response:
    """List the job, those it is a rerun of, and all their reruns; oldest first."""
    with read() as session:
        return jsonify(queries.lineage(session, queries.get_job(session, job_id, actor()), actor()))


@blueprint.get(f"{JOB}/timeline")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=history_replies.Timeline, also=(404,)), tags=_TAGS, operation_id="job_timeline")
def timeline(job_id: int) -> Response:
    """Tell what happened to a job as a whole: who steered it, its waves, why it waited or stopped; oldest first."""
    with read() as session:
        return jsonify(queries.timeline(session, queries.get_job(session, job_id, actor())))


@blueprint.get(f"{JOB}/timeline/bars")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=history_replies.Bars, also=(404,)), tags=_TAGS, operation_id="job_timeline_bars")
def timeline_bars(job_id: int, query: questions.BarsQuery) -> Response:
    """Tell when each host ran, as bars in rows: a row for each slot, for the slowest hosts or for those in trouble."""
    part = queries.Part(query.rows, query.from_ms, query.to_ms, query.first, query.count, query.bins)
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        return jsonify(queries.bars(session, job, charts().get(session, job), part, now=now()))


@blueprint.get(f"{JOB}/host-keys")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=replies.OfferedKeys, also=(404,)), tags=_TAGS, operation_id="job_host_keys")
def host_keys(job_id: int) -> Response:
    """List the host keys that hosts of a job showed and nobody has trusted."""
    with read() as session:
        return jsonify(host_keys=queries.offered_keys(session, queries.get_job(session, job_id, actor())))
