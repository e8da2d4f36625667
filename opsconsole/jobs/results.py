"""What hosts said: lines, bytes and live pieces of their output."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.errors import NotFound
from opsconsole.jobs.models import HostRun, OutputChunk, RunStep
from opsconsole.jobs.output import Chunk
from opsconsole.jobs.queries import get_step, invalid_query
from opsconsole.jobs.states import ACTIVE, RunState
from opsconsole.jobs.transcript import Encoding, Transcript


def _chunks(session: Session, run_id: int, stream: str = "both", step: RunStep | None = None) -> Iterator[Chunk]:
    columns = (OutputChunk.offset, OutputChunk.fd, OutputChunk.at_ms, OutputChunk.data)
    query = select(*columns).where(OutputChunk.host_run_id == run_id).order_by(OutputChunk.offset)
    if (number := _fd_of(stream)) is not None:
        query = query.where(OutputChunk.fd == number)
    if step is not None:
        query = query.where(OutputChunk.offset >= step.from_byte)
        query = query.where(OutputChunk.offset < step.to_byte) if step.to_byte is not None else query
    for offset, fd, at_ms, data in session.execute(query):
        yield Chunk(offset, fd, at_ms, data)


def _fd_of(stream: str) -> int | None:
    numbers = {"both": None, "stdout": 1, "stderr": 2}
    if stream not in numbers:
        raise invalid_query("stream", "Choose stdout, stderr or both.")
    return numbers[stream]


def transcript(
    session: Session,
    run: HostRun,
    step: str | None = None,
    encoding: Encoding = Encoding.UTF8,
) -> Transcript:
    """Returns what is kept of a run's output, or of one step of it, as ``encoding``.

    Raises ``NotFound`` for a step that the host did not come to.
    """
    if step is None:
        return transcript_of(run, _chunks(session, run.id), encoding)
    part = _part(session, run, step)
    chunks = _chunks(session, run.id, step=part)
    finished = RunState(run.state) not in ACTIVE or part.ended_at is not None
    gap = _within((run.gap_from or 0, run.gap_bytes), part)
    return Transcript(chunks, gap=gap, total_lines=part.lines, finished=finished, encoding=encoding)


def transcript_of(run: HostRun, chunks: Iterable[Chunk], encoding: Encoding = Encoding.UTF8) -> Transcript:
    """Returns the run's output of which ``chunks`` are what is kept."""
    gap, finished = (run.gap_from or 0, run.gap_bytes), RunState(run.state) not in ACTIVE
    return Transcript(chunks, gap=gap, total_lines=run.lines, finished=finished, encoding=encoding)


def output(
    session: Session,
    run: HostRun,
    *,
    stream: str = "both",
    from_line: int = 1,
    before: int | None = None,
    limit: int = 1000,
    step: str | None = None,
    encoding: Encoding = Encoding.UTF8,
) -> dict[str, Any]:
    """Returns ``limit`` lines of a run's output from line ``from_line``, which counts from 1; a negative one counts
    from the end. With ``before`` they are those next to that line. With ``step`` they are that step's alone, and so are
    their numbers; with ``stream`` they keep those that they have among both."""
    finished = RunState(run.state) not in ACTIVE
    gap, total = (run.gap_from or 0, run.gap_bytes), run.lines
    part = None if step is None else _part(session, run, step)
    if part is not None:
        finished, total = finished or part.ended_at is not None, part.lines
        gap = _within(gap, part)
    chunks = _chunks(session, run.id, step=part)
    said = Transcript(chunks, gap=gap, total_lines=total, finished=finished, encoding=encoding)
    most, fd = min(max(limit, 1), 10_000), _fd_of(stream)
    lines = said.page(from_line, most, fd=fd) if before is None else said.before(before, most, fd=fd)
    return {
        "i": run.i,
        "host": run.host,
        "state": run.state,
        "attempt": run.attempt,
        "lines": [[line.number, line.at_ms, line.fd, line.text] for line in lines],
        "total_lines": total if finished else said.last,
        "total_bytes": run.stdout_bytes + run.stderr_bytes,
        "stderr_bytes": run.stderr_bytes,
        "truncated": {"from": gap[0], "bytes": gap[1]} if gap[1] else None,
        "eof": finished and (not lines or lines[-1].number >= said.last),
    }


def raw(session: Session, run: HostRun, stream: str = "both", step: str | None = None) -> Iterator[bytes]:
    """Yields the kept bytes of a run's output, or of one step of it, in the order they arrived; where some were not
    kept a line of ours says how many, of both streams. Halves of two lines put together would be one nobody wrote."""
    part = None if step is None else _part(session, run, step)
    begin, missing = (run.gap_from or 0, run.gap_bytes)
    if part is not None:
        begin, missing = _within((begin, missing), part)
    left_out = b"\n[opsconsole: %d bytes were not kept here]\n" % missing if missing else b""
    for chunk in _chunks(session, run.id, stream, part):
        if chunk.offset > begin:
            yield left_out
            left_out = b""
        yield chunk.data
    yield left_out


def _part(session: Session, run: HostRun, step: str) -> RunStep:
    found = get_step(session, run, step)
    if found is None:
        raise NotFound("{host} did not come to the step {step}.", host=run.host, step=step)
    return found


def _within(gap: tuple[int, int], part: RunStep) -> tuple[int, int]:
    """Returns where the bytes that were not kept begin in ``part`` of the output, and how many they are there."""
    begin = max(gap[0], part.from_byte)
    end = gap[0] + gap[1] if part.to_byte is None else min(gap[0] + gap[1], part.to_byte)
    return (begin, end - begin) if end > begin else (0, 0)


def output_since(session: Session, run: HostRun, offset: int, limit_bytes: int) -> tuple[list[dict[str, Any]], int]:
    """Returns the ``out`` events from byte ``offset`` on, at most ``limit_bytes`` of them, and the offset after.

    What is missing because it was not kept, or because there is more than the limit, is said as ``gap`` bytes.
    """
    events: list[dict[str, Any]] = []
    sent = 0
    query = select(OutputChunk).where(OutputChunk.host_run_id == run.id, OutputChunk.offset >= offset)
    for chunk in session.scalars(query.order_by(OutputChunk.offset)):
        if sent >= limit_bytes:
            break
        if chunk.offset > offset:
            events.append({"i": run.i, "off": offset, "gap": chunk.offset - offset})
        events.append(_out_event(run.i, chunk))
        sent += len(chunk.data)
        offset = chunk.offset + len(chunk.data)
    return events, offset


def _out_event(i: int, chunk: OutputChunk) -> dict[str, Any]:
    event: dict[str, Any] = {"i": i, "at": chunk.at_ms, "off": chunk.offset, "fd": chunk.fd, "n": len(chunk.data)}
    try:
        event["s"] = chunk.data.decode()
    except UnicodeDecodeError:
        event["s"] = base64.b64encode(chunk.data).decode()
        event["b64"] = True
    return event
