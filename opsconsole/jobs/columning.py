"""Columns of a job: read from what its hosts wrote, and the hosts ordered by them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.jobs import queries
from opsconsole.jobs.columns import READ_BYTES, Asked, Values, in_order, sums
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.output import STDERR, STDOUT
from opsconsole.jobs.states import ACTIVE, RunState

# Outputs are read together up to this size.
_TOGETHER_BYTES = 8 * 1024 * 1024
_TOGETHER_RUNS = 400

GoOn = Callable[[], bool]


@dataclass(slots=True)
class Read:
    """What was read already: the values of hosts that ended, with the version they had, by place in the roster."""

    rows: dict[int, tuple[int, Values]] = field(default_factory=dict)
    # Hosts that wrote the same have the same values, so that one is read for all.
    said: dict[str, Values] = field(default_factory=dict)


def values(session: Session, job: Job, asked: Asked, read: Read, go_on: GoOn) -> dict[int, Values]:
    """Returns the values of every host of a job by its place in the roster. Raises ``TimeoutError`` when ``go_on`` says
    no; what was read until then stays in ``read``, so that the next call goes on."""
    size = HostRun.stdout_bytes + HostRun.stderr_bytes
    columns = (HostRun.id, HostRun.i, HostRun.ver, HostRun.state, HostRun.gap_from, HostRun.gap_bytes)
    query = select(*columns, HostRun.output_digest, size.label("size")).where(HostRun.job_id == job.id)
    none = (None,) * len(asked.names)
    found: dict[int, Values] = {}
    unread = []
    for run in session.execute(query):
        ver, known = read.rows.get(run.i, (-1, none))
        if not run.size or ver == run.ver:
            found[run.i] = known
        else:
            unread.append(run)
    for together in _parts(unread):
        chunks = _chunks(session, [run.id for run in together if _digest(run) not in read.said])
        for run in together:
            if not go_on():
                raise TimeoutError
            found[run.i] = _values(run, chunks.pop(run.id, []), asked, read)
    return found


def page(
    session: Session,
    job: Job,
    asked: Asked,
    found: dict[int, Values],
    *,
    sort: str,
    places: list[int],
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Returns a page of the rows of the hosts at ``places`` as ``queries.hosts`` does, each with its ``values`` by the
    names of the columns, by one of which it may be sorted; and the ``columns`` with their sums over all these hosts."""
    order = by_column(asked, found, sort, places)
    sort = sort if order is None else "i"
    body = queries.hosts(session, job, sort=sort, limit=limit, cursor=cursor, places=places, order=order)
    for row in body["rows"]:
        row["values"] = told(asked, found[row["i"]])
    return {**body, "columns": sums(asked, [found[i] for i in places])}


def by_column(asked: Asked, found: dict[int, Values], sort: str, places: list[int]) -> list[int] | None:
    """Returns ``places`` in the order of the column that ``sort`` names, ``None`` where it is none of these."""
    name = sort.removeprefix("-")
    if name not in asked.names:
        return None
    at = asked.names.index(name)
    return in_order({i: found[i][at] for i in places}, descending=sort.startswith("-"))


def told(asked: Asked, row: Values) -> dict[str, str | None]:
    """Returns a host's values by the names of the columns."""
    return dict(zip(asked.names, row, strict=True))


def _values(run: Any, chunks: list[tuple[int, int, bytes]], asked: Asked, read: Read) -> Values:
    digest = _digest(run)
    known = read.said.get(digest)
    if known is None:
        known = asked.of(_written(run, chunks))
    if digest:
        read.said[digest] = known
    if RunState(run.state) not in ACTIVE:
        read.rows[run.i] = (run.ver, known)
    return known


def _written(run: Any, chunks: Collection[tuple[int, int, bytes]]) -> bytes:
    """Returns the beginning of what a host wrote on standard output, or on standard error where that is empty."""
    # What stands behind a gap does not continue what stands before it.
    kept = [(fd, data) for offset, fd, data in chunks if not run.gap_bytes or offset < run.gap_from]
    data = b"".join(data for fd, data in kept if fd == STDOUT) or b"".join(data for fd, data in kept if fd == STDERR)
    # Of a line that has not ended nobody knows the value yet.
    return data[: data.rfind(b"\n") + 1] if RunState(run.state) in ACTIVE else data


def _digest(run: Any) -> str:
    """Returns what stands for the very bytes that a host wrote; empty where another may have written others."""
    return "" if run.output_digest is None or run.gap_bytes else str(run.output_digest)


def _parts(runs: list[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for run in runs:
        take = min(run.size, READ_BYTES)
        if part and (size + take > _TOGETHER_BYTES or len(part) >= _TOGETHER_RUNS):
            yield part
            part, size = [], 0
        part.append(run)
        size += take
    if part:
        yield part


def _chunks(session: Session, run_ids: list[int]) -> dict[int, list[tuple[int, int, bytes]]]:
    found: dict[int, list[tuple[int, int, bytes]]] = {}
    if run_ids:
        columns = (OutputChunk.host_run_id, OutputChunk.offset, OutputChunk.fd, OutputChunk.data)
        query = select(*columns).where(OutputChunk.host_run_id.in_(run_ids), OutputChunk.offset < READ_BYTES)
        for run_id, offset, fd, data in session.execute(query.order_by(OutputChunk.host_run_id, OutputChunk.offset)):
            found.setdefault(run_id, []).append((offset, fd, data))
    return found
