"""What hosts said: lines, bytes and live pieces of their output, and the groups of those that said the same."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.errors import NotFound
from opsconsole.hostset import fold
from opsconsole.jobs.gather import Finished, gather
from opsconsole.jobs.models import HostRun, Job, OutputChunk, RunStep
from opsconsole.jobs.output import Chunk, Transcript, display
from opsconsole.jobs.queries import get_step, invalid_query
from opsconsole.jobs.states import ACTIVE, TERMINAL, RunState

_HEAD_CHARS = 200
_GROUP_HOSTS = 50
_FD_NAMES = {1: "stdout", 2: "stderr"}


def _chunks(session: Session, run_id: int, stream: str, step: RunStep | None = None) -> Iterator[Chunk]:
    columns = (OutputChunk.offset, OutputChunk.fd, OutputChunk.at_ms, OutputChunk.data)
    query = select(*columns).where(OutputChunk.host_run_id == run_id).order_by(OutputChunk.offset)
    if stream in _FD_NAMES.values():
        query = query.where(OutputChunk.fd == (1 if stream == "stdout" else 2))
    elif stream != "both":
        raise invalid_query("stream", "Choose stdout, stderr or both.")
    if step is not None:
        query = query.where(OutputChunk.offset >= step.from_byte)
        query = query.where(OutputChunk.offset < step.to_byte) if step.to_byte is not None else query
    for offset, fd, at_ms, data in session.execute(query):
        yield Chunk(offset, fd, at_ms, data)


def output(
    session: Session,
    run: HostRun,
    *,
    stream: str = "both",
    from_line: int = 1,
    limit: int = 1000,
    step: str | None = None,
) -> dict[str, Any]:
    """Returns ``limit`` lines of a run's output from line ``from_line``, which counts from 1; a negative one counts
    from the end. With ``step`` they are that step's alone, and so are their numbers."""
    finished = RunState(run.state) not in ACTIVE
    gap, total = (run.gap_from or 0, run.gap_bytes), run.lines
    part = None if step is None else _part(session, run, step)
    if part is not None:
        finished, total = finished or part.ended_at is not None, part.lines
        gap = _within(gap, part)
    said = Transcript(_chunks(session, run.id, stream, part), gap=gap, total_lines=total, finished=finished)
    lines = said.page(from_line, min(max(limit, 1), 10_000))
    return {
        "i": run.i,
        "host": run.host,
        "state": run.state,
        "attempt": run.attempt,
        "lines": [[line.number, line.at_ms, line.fd, line.text] for line in lines],
        "total_lines": total if finished and stream == "both" else said.last,
        "total_bytes": run.stdout_bytes + run.stderr_bytes,
        "stderr_bytes": run.stderr_bytes,
        "truncated": {"from": gap[0], "bytes": gap[1]} if gap[1] else None,
        "eof": finished and (not lines or lines[-1].number >= said.last),
    }


def raw(session: Session, run: HostRun, stream: str = "both", step: str | None = None) -> Iterator[bytes]:
    """Yields the kept bytes of a run's output, or of one step of it, in the order they arrived."""
    for chunk in _chunks(session, run.id, stream, None if step is None else _part(session, run, step)):
        yield chunk.data


def _part(session: Session, run: HostRun, step: str) -> RunStep:
    found = get_step(session, run, step)
    if found is None:
        raise NotFound(f"{run.host} did not come to the step {step}.")
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


def groups(session: Session, job: Job) -> dict[str, Any]:
    """Returns the finished hosts grouped by identical outcome and output, trouble first."""
    columns = (
        HostRun.i,
        HostRun.host,
        HostRun.state,
        HostRun.reason,
        HostRun.detail,
        HostRun.exit_status,
        HostRun.exit_signal,
        HostRun.output_digest,
    )
    ended = [state.value for state in TERMINAL]
    rows = session.execute(
        select(*columns).where(HostRun.job_id == job.id, HostRun.state.in_(ended)).order_by(HostRun.i)
    )
    found = gather(
        Finished(i, host, RunState(state), reason, detail, exit_status, signal, digest)
        for i, host, state, reason, detail, exit_status, signal, digest in rows
    )
    heads = _first_lines(session, job, [group.members[0].i for group in found[:200]])
    return {
        "ver": job.ver,
        "mode": "exact",
        "n": len(found),
        "groups": [
            {
                "g": number,
                "count": len(group.members),
                "state": group.state.letter,
                "reason": group.reason,
                "exit": group.exit_status,
                "signal": group.exit_signal,
                "folded": fold(member.host for member in group.members),
                "hosts": [member.host for member in group.members[:_GROUP_HOSTS]],
                "i": group.members[0].i,
                "head": heads.get(group.members[0].i) or group.members[0].detail or "",
            }
            for number, group in enumerate(found, start=1)
        ],
    }


def _first_lines(session: Session, job: Job, indices: Sequence[int]) -> dict[int, str]:
    query = (
        select(HostRun.i, OutputChunk.data)
        .join(OutputChunk, OutputChunk.host_run_id == HostRun.id)
        .where(HostRun.job_id == job.id, HostRun.i.in_(indices), OutputChunk.offset == 0)
    )
    heads: dict[int, str] = {}
    for i, data in session.execute(query):
        heads[i] = next((line for line in map(display, data[:4096].splitlines()) if line.strip()), "")[:_HEAD_CHARS]
    return heads
