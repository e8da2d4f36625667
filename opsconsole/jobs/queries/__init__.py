"""The read side of jobs: plain values in the shape of the JSON contract. Nothing here writes."""

from opsconsole.jobs.queries.bars import Chart, Part, bars, chart
from opsconsole.jobs.queries.changes import delta, grid, roster, snapshot, versions
from opsconsole.jobs.queries.console import epoch, hold, iso, offer, workers
from opsconsole.jobs.queries.doubts import doubts
from opsconsole.jobs.queries.history import attempts, histories, lineage
from opsconsole.jobs.queries.host_rows import (
    SORTABLE,
    filters,
    get_run,
    hosts,
    invalid_query,
    offered_keys,
    places_of,
    refused_by_key,
    refused_logins,
    run_row,
)
from opsconsole.jobs.queries.job_list import get_job, links, list_jobs
from opsconsole.jobs.queries.job_status import ended_by_shutdown, etag, progress_of, status, stop_detail
from opsconsole.jobs.queries.stepping import get_step, host_steps, steps_of
from opsconsole.jobs.queries.timeline import timeline
from opsconsole.jobs.queries.turns import backlog, queue, waiting

__all__ = [
    "SORTABLE",
    "Chart",
    "Part",
    "attempts",
    "backlog",
    "bars",
    "chart",
    "delta",
    "doubts",
    "ended_by_shutdown",
    "epoch",
    "etag",
    "filters",
    "get_job",
    "get_run",
    "get_step",
    "grid",
    "histories",
    "hold",
    "host_steps",
    "hosts",
    "invalid_query",
    "iso",
    "lineage",
    "links",
    "list_jobs",
    "offer",
    "offered_keys",
    "places_of",
    "progress_of",
    "queue",
    "refused_by_key",
    "refused_logins",
    "roster",
    "run_row",
    "snapshot",
    "status",
    "steps_of",
    "stop_detail",
    "timeline",
    "versions",
    "waiting",
    "workers",
]
