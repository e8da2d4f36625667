"""Search in the output of a job: totals for each host first, then pages of lines with a hit."""

from typing import Any

from flask import Blueprint, Response, jsonify
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries, searching
from opsconsole.jobs.finding import Wanted
from opsconsole.jobs.models import HostRun, Job
from opsconsole.web.api import questions, search_replies
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import JOB
from opsconsole.web.auth import actor, requires
from opsconsole.web.searches import ANSWER_SECONDS, searches, too_slow, within
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("search", __name__)
_ONE_HOST_SECONDS = 10.0


@blueprint.get(f"{JOB}/search")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=search_replies.Search, also=(404, 503)), tags=("results",), operation_id="job_search"
)
def search(job_id: int, query: questions.SearchQuery) -> Response:
    """Search in what the hosts of a job wrote.

    Over the whole job, or with `i` in one host. An answer takes some seconds at most: while `complete` is false, ask
    again, and the search through an ended job goes on.
    """
    wanted = Wanted(query.q, regex=query.re, case=query.case)
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        asked = {"q": query.q, "re": query.re, "case": query.case, "ver": job.ver, "hosts": job.target_count}
        if query.i is not None:
            body = _in_one(session, queries.get_run(session, job, query.i), wanted, query)
        else:
            body = over_all(session, job, wanted, query)
    return jsonify({**asked, **body})


def _in_one(session: Session, run: HostRun, wanted: Wanted, query: questions.SearchQuery) -> dict[str, Any]:
    try:
        total, hits = searching.hits(
            session,
            run,
            wanted,
            skip=query.skip,
            limit=query.hits or questions.HITS_OF_ONE,
            go_on=within(_ONE_HOST_SECONDS),
            step=query.step,
            encoding=query.encoding,
        )
    except TimeoutError:
        raise too_slow() from None
    return {
        "searched": 1,
        "complete": True,
        "with": int(total > 0),
        "without": int(not total),
        "lines": total,
        "totals": [[run.i, total]] if total else [],
        "rows": [_row(run, total, hits)] if total else [],
        "next": None,
    }


def over_all(session: Session, job: Job, wanted: Wanted, query: questions.SearchQuery) -> dict[str, Any]:
    """Returns the totals of all hosts as far as they were searched, and a page of them with their first hits."""
    totals = searches().totals(session, job, wanted)
    searched, found = searching.matching(session, job, totals, states=query.state, q=query.host)
    page = [i for i in found if i >= query.cursor][: query.limit + 1]
    go_on = within(ANSWER_SECONDS)
    rows: list[dict[str, Any]] = []
    for run in searching.runs_at(session, job, page[: query.limit]):
        try:
            hits = searching.first_hits(session, run, wanted, query.hits or 1, go_on)
        except TimeoutError:
            # What is left is the next page; there is at least one, or the totals would not be known.
            break
        rows.append(_row(run, found[run.i], hits))
    left = page[len(rows) :]
    return {
        "searched": searched,
        "complete": totals.complete,
        "with": len(found),
        "without": searched - len(found),
        "lines": sum(found.values()),
        "totals": list(found.items()),
        "rows": rows,
        "next": left[0] if left else None,
    }


def _row(run: HostRun, total: int, hits: list[dict[str, Any]]) -> dict[str, Any]:
    return {"i": run.i, "host": run.host, "state": run.state, "lines": total, "hits": hits}
