"""Search in what the hosts of a job wrote: how many lines of each have a hit, and the lines themselves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.jobs import queries, results
from opsconsole.jobs.finding import Hit, Wanted, readable
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.output import Chunk
from opsconsole.jobs.states import ACTIVE, RunState
from opsconsole.jobs.transcript import Encoding, Transcript

# Outputs are read together up to this size, or one at a time where one is larger.
_TOGETHER_BYTES = 8 * 1024 * 1024
_TOGETHER_RUNS = 400

GoOn = Callable[[], bool]


@dataclass(slots=True)
class Totals:
    """How many lines of each host (by its place in the roster) have a hit; a host that is not there has none.

    All hosts before ``place`` were searched, of ``size`` in all.
    """

    size: int
    found: dict[int, int] = field(default_factory=dict)
    place: int = 0
    # Hosts that wrote the same have the same lines, so that one is read for all.
    said: dict[tuple[object, ...], int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every host was searched."""
        return self.place >= self.size


def search(session: Session, job: Job, wanted: Wanted, totals: Totals, go_on: GoOn) -> None:
    """Goes on with a search through the hosts of ``job`` until all were searched, or ``go_on`` says no."""
    kept = HostRun.stdout_bytes + HostRun.stderr_bytes - HostRun.gap_bytes
    columns = (HostRun.id, HostRun.i, HostRun.state, HostRun.lines, HostRun.gap_from, HostRun.gap_bytes)
    query = select(*columns, HostRun.output_digest, HostRun.stdout_bytes, HostRun.stderr_bytes, kept.label("kept"))
    query = query.where(HostRun.job_id == job.id, HostRun.i >= totals.place).order_by(HostRun.i)
    for together in _parts(list(session.execute(query))):
        chunks = _chunks(session, [run.id for run in together if run.kept and _said(run) not in totals.said])
        for run in together:
            try:
                count = _count(run, chunks.pop(run.id, []), wanted, totals, go_on)
            except TimeoutError:
                return
            if count:
                totals.found[run.i] = count
            totals.place = run.i + 1


def hits(
    session: Session,
    run: HostRun,
    wanted: Wanted,
    *,
    skip: int,
    limit: int,
    go_on: GoOn,
    step: str | None = None,
    encoding: Encoding = Encoding.UTF8,
) -> tuple[int, list[dict[str, Any]]]:
    """Returns how many lines of a host, or of one step of it, have a hit, and ``limit`` of them after the first
    ``skip``. Raises ``TimeoutError`` when ``go_on`` says no, ``NotFound`` for a step that the host did not come to."""
    said = results.transcript(session, run, step=step, encoding=encoding)
    found: list[Hit] = []
    total = 0
    for line in wanted.lines(readable(said), go_on):
        if skip <= total < skip + limit:
            found.append(wanted.hit(*line))
        total += 1
    return total, [_told(hit) for hit in found]


def first_hits(session: Session, run: HostRun, wanted: Wanted, limit: int, go_on: GoOn) -> list[dict[str, Any]]:
    """Returns the first lines of a host with a hit. Raises ``TimeoutError`` when ``go_on`` says no."""
    lines = wanted.lines(readable(results.transcript(session, run)), go_on)
    return [_told(wanted.hit(*line)) for line in islice(lines, limit)]


def matching(
    session: Session, job: Job, totals: Totals, *, states: str = "", q: str = ""
) -> tuple[int, dict[int, int]]:
    """Returns how many of the hosts that were searched are in ``states`` and have names like ``q``, as
    ``queries.filters`` takes them, and those of them with a hit, in the order of the roster."""
    query = select(HostRun.i).where(HostRun.i < totals.place, *queries.filters(session, job, states=states, q=q))
    searched = session.scalars(query.order_by(HostRun.i)).all()
    return len(searched), {i: totals.found[i] for i in searched if i in totals.found}


def runs_at(session: Session, job: Job, places: Sequence[int]) -> list[HostRun]:
    """Returns the host runs at these places of the roster, in its order."""
    query = select(HostRun).where(HostRun.job_id == job.id, HostRun.i.in_(places))
    return list(session.scalars(query.order_by(HostRun.i)))


def _told(hit: Hit) -> dict[str, Any]:
    told = asdict(hit)
    return {"n": told.pop("number"), **told, "spans": [list(span) for span in hit.spans]}


def _count(run: Any, chunks: list[Chunk], wanted: Wanted, totals: Totals, go_on: GoOn) -> int:
    if not run.kept:
        return 0
    said = _said(run)
    if said in totals.said:
        return totals.said[said]
    finished = RunState(run.state) not in ACTIVE
    transcript = Transcript(chunks, gap=(run.gap_from or 0, run.gap_bytes), total_lines=run.lines, finished=finished)
    count = sum(1 for _ in wanted.lines(readable(transcript), go_on))
    if said:
        totals.said[said] = count
    return count


def _said(run: Any) -> tuple[object, ...]:
    """Returns what stands for the very lines that a host wrote; nothing where another may have written others."""
    if run.output_digest is None or run.gap_bytes or (run.stdout_bytes and run.stderr_bytes):
        return ()
    return (run.output_digest, run.stdout_bytes, run.stderr_bytes)


def _parts(runs: list[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for run in runs:
        if part and (size + run.kept > _TOGETHER_BYTES or len(part) >= _TOGETHER_RUNS):
            yield part
            part, size = [], 0
        part.append(run)
        size += run.kept
    if part:
        yield part


def _chunks(session: Session, run_ids: list[int]) -> dict[int, list[Chunk]]:
    """Returns what is kept of each run."""
    columns = (OutputChunk.host_run_id, OutputChunk.offset, OutputChunk.fd, OutputChunk.at_ms, OutputChunk.data)
    query = select(*columns).where(OutputChunk.host_run_id.in_(run_ids))
    found: dict[int, list[Chunk]] = {}
    if run_ids:
        ordered = query.order_by(OutputChunk.host_run_id, OutputChunk.offset)
        for run_id, offset, fd, at_ms, data in session.execute(ordered):
            found.setdefault(run_id, []).append(Chunk(offset, fd, at_ms, data))
    return found
