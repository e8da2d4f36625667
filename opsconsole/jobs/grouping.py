"""The output groups of a job: which there are, who is in one, how it departs from others, how its hosts vary."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.errors import NotFound
from opsconsole.hostset import STATES_HINT, fold, state_letters
from opsconsole.inventory.service import in_parts
from opsconsole.jobs.differing import Difference, difference
from opsconsole.jobs.gather import Finished, Group, gather, name_of
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.output import Chunk, display
from opsconsole.jobs.queries import invalid_query, iso
from opsconsole.jobs.results import transcript, transcript_of
from opsconsole.jobs.similarity import Mode, Own, masked, normalised
from opsconsole.jobs.spread import spread
from opsconsole.jobs.states import TERMINAL, Reason, RunState
from opsconsole.jobs.targets import may_see
from opsconsole.jobs.transcript import Line

_HEAD_CHARS = 200
_GROUP_HOSTS = 50
# Groups beyond these are told without their first line: nobody reads so many, and each costs a look at the output.
_HEADS = 200
_DIFFERENCES = 20
_DIFFERENCE_LINES = 4
# Lines of an output that are compared, and bytes of all outputs that are read for what varies.
_COMPARED_LINES = 20_000
_SPREAD_BYTES = 4 * 1024 * 1024
# Nothing of the command ran there, and what was said is the host's own.
_NOT_LET_IN = frozenset({Reason.RUN_AS, Reason.EXEC_REFUSED})
# What ended hosts said does not change, and a live job's groups are asked for every second.
Shorts = dict[tuple[object, ...], dict[str, Any]]
_SHORTS_KEPT = 2000
_ALIKE = {
    Mode.EXACT: func.coalesce(HostRun.output_digest, HostRun.detail),
    Mode.CLEAN: func.coalesce(HostRun.digest_clean, HostRun.output_digest, HostRun.detail),
    Mode.SIMILAR: func.coalesce(HostRun.digest_similar, HostRun.output_digest, HostRun.detail),
}


def alike_column(mode: Mode) -> Any:
    """Returns what two runs of one job have in common that said the same in ``mode``."""
    return _ALIKE[mode]


def gathered(session: Session, job: Job, mode: Mode, places: Collection[int] | None = None) -> list[Group]:
    """Returns the groups of the job's hosts that have ended; with ``places`` only of hosts of these."""
    exact = _ALIKE[Mode.EXACT]
    query = select(
        HostRun.i,
        HostRun.host,
        HostRun.state,
        HostRun.reason,
        HostRun.exit_status,
        HostRun.exit_signal,
        HostRun.output_digest.is_not(None),
        exact,
        _ALIKE[mode],
    ).where(HostRun.job_id == job.id, HostRun.state.in_([state.value for state in TERMINAL]))
    rows = session.execute(query.order_by(HostRun.i))
    return gather(
        (
            Finished(i, host, RunState(state), reason, status, signal, ran, said, alike)
            for i, host, state, reason, status, signal, ran, said, alike in rows
            if places is None or i in places
        ),
        mode,
    )


def groups(
    session: Session,
    job: Job,
    mode: Mode = Mode.SIMILAR,
    *,
    states: str = "",
    limit: int = 1000,
    shorts: Shorts | None = None,
    places: Collection[int] | None = None,
) -> dict[str, Any]:
    """Returns the first ``limit`` groups of the hosts that have ended in ``states`` (letters or names), of ``places``
    alone where they are given, and how many there are. Raises ``Invalid`` for a state that there is not.

    ``shorts`` holds the short differences found so far, for who asks again and again.
    """
    try:
        wanted = state_letters(states)
    except ValueError:
        raise invalid_query("state", f"Name states by letters or names: {STATES_HINT}.") from None
    everything = gathered(session, job, mode, places)
    reference = next((group for group in everything if group.reference), None)
    found = [group for group in everything if not wanted or group.state.letter in wanted]
    shown = found[:limit]
    heads = _heads(session, job, mode, shown[:_HEADS])
    told = [_told(group, heads.get(group.g, "")) for group in shown]
    for entry, group in zip(told[:_DIFFERENCES], shown, strict=False):
        if reference is not None and group is not reference and group.state is reference.state:
            entry["difference"] = _short(session, job, mode, {} if shorts is None else shorts, reference, group)
    hosts = sum(len(group.members) for group in found)
    return {"ver": job.ver, "mode": mode.value, "n": len(found), "hosts": hosts, "groups": told}


def _told(group: Group, head: str) -> dict[str, Any]:
    first = group.members[0]
    return {
        "g": group.g,
        "count": len(group.members),
        "variants": group.variants,
        "reference": group.reference,
        "state": group.state.letter,
        "reason": group.reason,
        "exit": group.exit_status,
        "signal": group.exit_signal,
        "folded": fold(member.host for member in group.members),
        "hosts": [member.host for member in group.members[:_GROUP_HOSTS]],
        "i": first.i,
        "head": head,
        "difference": None,
    }


def _heads(session: Session, job: Job, mode: Mode, shown: Sequence[Group]) -> dict[str, str]:
    """Returns the line that stands for each group: of those that failed the first error, else the first of all."""
    of_place = {group.members[0].i: group for group in shown}
    first = func.min(OutputChunk.offset)
    errors = first.filter(OutputChunk.fd == 2)
    offsets = (
        select(HostRun.id, HostRun.i, HostRun.host, HostRun.address, HostRun.detail)
        .add_columns(first.label("first"), errors.label("errors"))
        .outerjoin(OutputChunk, OutputChunk.host_run_id == HostRun.id)
        .where(HostRun.job_id == job.id, HostRun.i.in_(of_place))
        .group_by(HostRun.id, HostRun.i, HostRun.host, HostRun.address, HostRun.detail)
    )
    rows = session.execute(offsets).all()
    wanted: dict[int, int] = {}
    for row in rows:
        trouble = of_place[row.i].state is RunState.FAILED and row.errors is not None
        if row.first is not None:
            wanted[row.id] = row.errors if trouble else row.first
    data = _chunks_at(session, wanted)
    heads: dict[str, str] = {}
    for row in rows:
        group = of_place[row.i]
        lines = map(display, data.get(row.id, b"")[:4096].splitlines())
        said = next((line for line in lines if line.strip()), "")
        # Where nobody let the command in, our words name the cause and theirs may be an advice to try again.
        head = (row.detail or said) if of_place[row.i].reason in _NOT_LET_IN else said or row.detail or ""
        if mode is Mode.SIMILAR and group.variants > 1:
            head = masked(head, Own((row.host, row.address)))
        heads[group.g] = head[:_HEAD_CHARS]
    return heads


def _chunks_at(session: Session, places: dict[int, int]) -> dict[int, bytes]:
    if not places:
        return {}
    either = [and_(OutputChunk.host_run_id == run, OutputChunk.offset == at) for run, at in places.items()]
    query = select(OutputChunk.host_run_id, OutputChunk.data).where(or_(*either))
    rows = session.execute(query)
    return {row.host_run_id: row.data for row in rows}


def company(session: Session, run: HostRun, mode: Mode) -> tuple[str, int]:
    """Returns the name of the group of a host that has ended, and how many hosts are in it; counted by the database,
    as a page asks for it with every host that is looked at."""
    column = _ALIKE[mode]
    exact, alike = session.execute(select(_ALIKE[Mode.EXACT], column).where(HostRun.id == run.id)).one()
    state, ran = RunState(run.state), run.output_digest is not None
    one = Finished(run.i, run.host, state, run.reason, run.exit_status, run.exit_signal, ran, exact, alike)
    query = select(func.count()).where(
        HostRun.job_id == run.job_id,
        HostRun.state == run.state,
        HostRun.reason.is_not_distinct_from(run.reason),
        HostRun.exit_status.is_not_distinct_from(run.exit_status),
        HostRun.exit_signal.is_not_distinct_from(run.exit_signal),
        column.is_not_distinct_from(alike),
    )
    return name_of(one, mode), session.scalar(query) or 0


def find(session: Session, job: Job, g: str, mode: Mode) -> Group:
    """Returns the group ``g`` of the job. Raises ``NotFound``, also for a group of another mode."""
    for group in gathered(session, job, mode):
        if group.g == g:
            return group
    raise NotFound("Job {job} has no group {g!r} in mode {mode}.", job=job.id, g=g, mode=mode.value, code="group")


def _reference(session: Session, job: Job, mode: Mode) -> Group:
    for group in gathered(session, job, mode):
        if group.reference:
            return group
    raise NotFound("No host of job {job} has said anything yet.", job=job.id, code="group")


def _run_of(session: Session, job: Job, group: Group) -> HostRun:
    return session.scalars(select(HostRun).where(HostRun.job_id == job.id, HostRun.i == group.members[0].i)).one()


def group(session: Session, job: Job, g: str, mode: Mode, *, from_line: int = 1, limit: int = 1000) -> dict[str, Any]:
    """Returns the group ``g`` with all its members, and lines of what they said, once: masked where they vary."""
    found = find(session, job, g, mode)
    run = _run_of(session, job, found)
    own = Own((run.host, run.address))
    said = transcript(session, run)
    varies = mode is not Mode.EXACT and found.variants > 1
    lines = said.page(from_line, min(max(limit, 1), 10_000))
    shown = [(line.number, line.fd, normalised(line.text, mode, own) if varies else line.text) for line in lines]
    return {
        "ver": job.ver,
        "mode": mode.value,
        **_told(found, _heads(session, job, mode, [found]).get(g, "")),
        "members": [[member.i, member.host] for member in found.members],
        "lines": shown,
        "total_lines": said.last,
        "gap": {"from": run.gap_from, "bytes": run.gap_bytes} if run.gap_bytes else None,
    }


def _compared(session: Session, run: HostRun, mode: Mode) -> tuple[list[str], bool]:
    """Returns the lines of a run as ``mode`` compares them, stdout before stderr, and whether there are more."""
    own = Own((run.host, run.address))
    lines = transcript(session, run).page(1, _COMPARED_LINES + 1)
    cut = len(lines) > _COMPARED_LINES or run.gap_bytes > 0
    return [normalised(text, mode, own) for text in _by_stream(lines[:_COMPARED_LINES])], cut


def _short(session: Session, job: Job, mode: Mode, shorts: Shorts, reference: Group, group: Group) -> dict[str, Any]:
    """Returns the first lines by which a group departs from the reference, and how many there are."""
    key = (job.id, mode, *((one.members[0].i, one.members[0].exact) for one in (reference, group)))
    known = shorts.get(key)
    if known is None:
        ours, theirs = (_compared(session, _run_of(session, job, one), mode)[0] for one in (reference, group))
        found = difference(ours, theirs, seconds=0.2, lines_at_most=200)
        lines = [[sign, text[:_HEAD_CHARS]] for hunk in found.hunks for sign, text in hunk.lines if sign != " "]
        known = {"lines": _of_both(lines), "added": found.added, "removed": found.removed}
        if len(shorts) >= _SHORTS_KEPT:
            shorts.clear()
        shorts[key] = known
    return known


def _of_both(lines: list[list[str]]) -> list[list[str]]:
    """Returns the first lines by turns, one removed and one added: what became of a line is read beside the line."""
    removed, added = ([line for line in lines if line[0] == sign] for sign in "-+")
    turns = [line for pair in zip_longest(removed, added) for line in pair if line]
    return turns[:_DIFFERENCE_LINES]


def compare(session: Session, job: Job, g: str, against: str, mode: Mode, actor: Actor) -> dict[str, Any]:
    """Returns how the group ``g`` departs from ``against``: ``majority`` (the reference), another group by its ``g``,
    or ``previous``, what its first host said the last time it was given the same command."""
    ours = find(session, job, g, mode)
    run = _run_of(session, job, ours)
    if against == "previous":
        other = _previous(session, job, run, actor)
        other_job = session.get_one(Job, other.job_id)
        side: dict[str, Any] = {"g": None, "job": other.job_id, "folded": other.host, "count": 1}
        side |= {"state": RunState(other.state).letter, "exit": other.exit_status, "at": iso(other_job.created_at)}
    else:
        everything = gathered(session, job, mode)
        theirs = next(
            (one for one in everything if (one.reference if against == "majority" else one.g == against)), None
        )
        if theirs is None:
            raise NotFound(
                "Job {job} has no group {against!r} to compare with.", job=job.id, against=against, code="group"
            )
        other = _run_of(session, job, theirs)
        told = _told(theirs, "")
        side = {name: told[name] for name in ("g", "folded", "count", "state", "exit")} | {"job": job.id}
    before, cut = _compared(session, other, mode)
    after, also_cut = _compared(session, run, mode)
    return {
        "g": g,
        "mode": mode.value,
        "against": side,
        "host": run.host,
        **_difference(difference(before, after)),
        "part": cut or also_cut,
    }


def _within_budget(session: Session, job: Job, places: Sequence[int]) -> list[HostRun]:
    """Returns the runs at ``places`` that wrote something, as many as are read at once."""
    runs: list[HostRun] = []
    left = _SPREAD_BYTES
    for part in in_parts(places):
        query = select(HostRun).where(HostRun.job_id == job.id, HostRun.i.in_(part), HostRun.output_digest.is_not(None))
        for run in session.scalars(query.order_by(HostRun.i)):
            left -= run.stdout_bytes + run.stderr_bytes - run.gap_bytes
            if left < 0 and runs:
                return runs
            runs.append(run)
    return runs


def _said(session: Session, runs: Sequence[HostRun]) -> Iterator[tuple[HostRun, list[str]]]:
    """Yields the lines of each run, stdout before stderr."""
    for part in in_parts(runs):
        query = select(OutputChunk).where(OutputChunk.host_run_id.in_([run.id for run in part]))
        chunks: dict[int, list[Chunk]] = {}
        for row in session.scalars(query.order_by(OutputChunk.host_run_id, OutputChunk.offset)):
            chunks.setdefault(row.host_run_id, []).append(Chunk(row.offset, row.fd, row.at_ms, row.data))
        for run in part:
            yield run, _by_stream(transcript_of(run, chunks.get(run.id, ())).page(1, _COMPARED_LINES))


def _by_stream(lines: Sequence[Line]) -> list[str]:
    # The streams of two hosts never mix in the same way.
    return [line.text for line in sorted(lines, key=lambda line: line.fd)]


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "same": found.same,
        "added": found.added,
        "removed": found.removed,
        "coarse": found.coarse,
        "cut": found.cut,
        "hunks": [{"at": hunk.at, "lines": [list(line) for line in hunk.lines]} for hunk in found.hunks],
    }


def _previous(session: Session, job: Job, run: HostRun, actor: Actor) -> HostRun:
    query = (
        select(HostRun, Job)
        .join(Job, Job.id == HostRun.job_id)
        .where(HostRun.host == run.host, Job.command == job.command, Job.id < job.id)
        .where(HostRun.output_digest.is_not(None))
        .order_by(Job.id.desc())
        .limit(50)
    )
    for earlier, of_job in session.execute(query):
        if may_see(of_job, actor) and of_job.what == job.what:
            return earlier
    raise NotFound("{host} was not given this command before.", host=run.host, code="previous")


def varying(session: Session, job: Job, g: str, mode: Mode) -> dict[str, Any]:
    """Returns the readings of the group ``g`` that are not the same on all its hosts, with their values."""
    found = find(session, job, g, mode)
    counts = Counter(member.exact for member in found.members)
    first: dict[str | None, int] = {}
    for member in found.members:
        first.setdefault(member.exact, member.i)
    runs = _within_budget(session, job, list(first.values()))
    said = _said(session, runs)
    fields = spread((counts[run.output_digest], lines, Own((run.host, run.address))) for run, lines in said)
    return {
        "g": g,
        "mode": mode.value,
        "count": len(found.members),
        "read": sum(counts[run.output_digest] for run in runs),
        "variants": len(counts),
        "fields": [
            {
                "line": one.line[:_HEAD_CHARS],
                "kind": one.kind,
                "distinct": one.distinct,
                "values": [{"value": text[:_HEAD_CHARS], "count": count} for text, count in one.values],
                "min": one.least,
                "median": one.median,
                "max": one.most,
            }
            for one in fields
        ],
    }
