"""One host of a job at a time: pages of rows, one row by its name, the host keys they showed."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid, NotFound
from opsconsole.hostset import STATES_HINT, state_letters
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.jobs import naming
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.states import BAR_ORDER, Reason, states_of_letters
from opsconsole.sentences import Sentence

_IN_ORDER = case(
    {state.value: place for place, letter in enumerate(BAR_ORDER) for state in states_of_letters(letter)},
    value=HostRun.state,
)
SORTABLE = {
    "i": HostRun.i,
    "host": HostRun.host,
    "state": _IN_ORDER,
    "exit": HostRun.exit_status,
    "ms": HostRun.duration_ms,
    "bytes": HostRun.stdout_bytes + HostRun.stderr_bytes,
    "attempt": HostRun.attempt,
}
_NAMED_AT_MOST = 5
_REFUSALS_TOLD = 3
_SEVERAL = frozenset("[*?")


def hosts(
    session: Session,
    job: Job,
    *,
    states: str = "",
    sort: str = "i",
    q: str = "",
    limit: int = 200,
    cursor: str | None = None,
    places: Collection[int] | None = None,
    order: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Returns a page of host rows of those that ``filters`` describes. ``sort`` is a column with ``-`` for descending,
    ``cursor`` what the page before gave. With ``order`` they are the hosts at these places, in this order. Raises
    ``Invalid`` for a value out of its list."""
    query = select(HostRun).where(*filters(session, job, states=states, q=q, places=places))
    ordered = _ordered(sort)
    offset = _offset(cursor)
    limit = min(max(limit, 1), 1000)
    if order is None:
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        rows = session.scalars(query.order_by(ordered, HostRun.i).offset(offset).limit(limit)).all()
    else:
        total, shown = len(order), order[offset : offset + limit]
        there = session.scalars(select(HostRun).where(HostRun.job_id == job.id, HostRun.i.in_(shown)))
        by_place = {run.i: run for run in there}
        rows = [by_place[i] for i in shown]
    following = offset + len(rows)
    return {
        "ver": job.ver,
        "total": total,
        "rows": [run_row(run) for run in rows],
        "next": str(following) if following < total else None,
    }


def places_of(
    session: Session, job: Job, *, states: str = "", q: str = "", places: Collection[int] | None = None, sort: str = "i"
) -> list[int]:
    """Returns the places in the roster of the hosts that ``filters`` describes, ordered as ``hosts`` does. Raises
    ``Invalid`` for a value out of its list."""
    conditions = filters(session, job, states=states, q=q, places=places)
    return list(session.scalars(select(HostRun.i).where(*conditions).order_by(_ordered(sort), HostRun.i)))


def _ordered(sort: str) -> ColumnElement[Any]:
    column = SORTABLE.get(sort.removeprefix("-"))
    if column is None:
        raise invalid_query(
            "sort",
            Sentence("Sort by one of {sortable}, with - before it to turn it round.", sortable=", ".join(SORTABLE)),
        )
    return column.desc().nulls_last() if sort.startswith("-") else column.asc().nulls_last()


def filters(
    session: Session, job: Job, *, states: str = "", q: str = "", places: Collection[int] | None = None
) -> list[ColumnElement[bool]]:
    """Returns the conditions for the host runs of a job in ``states`` (letters or names; empty means all) whose name
    has ``q`` in it, or is of a range or pattern of names (``web[18-20]``, ``web*``), and that stand at ``places`` of
    the roster, where those are given. Raises ``Invalid`` for a state that there is not."""
    conditions = [HostRun.job_id == job.id]
    try:
        wanted = state_letters(states)
    except ValueError:
        raise invalid_query(
            "state", Sentence("Name states by letters or names: {states}.", states=STATES_HINT)
        ) from None
    if wanted:
        conditions.append(HostRun.state.in_([state.value for state in states_of_letters(wanted)]))
    if _SEVERAL.intersection(q):
        conditions.append(HostRun.i.in_(_places_or_none(session, job, q)))
    elif q:
        conditions.append(HostRun.host.icontains(q, autoescape=True))
    if places is not None:
        conditions.append(HostRun.i.in_(places))
    return conditions


def _places_or_none(session: Session, job: Job, q: str) -> list[int]:
    """Returns the places of the hosts that an expression means; none while it is still being typed."""
    try:
        return naming.those_of(session, job, q)
    except Invalid:
        return []


def _offset(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 8):
        raise invalid_query("cursor", "Use the cursor of the page before.")
    return int(cursor)


def invalid_query(field: str, message: str) -> Invalid:
    """Returns the error for a query parameter out of its list."""
    return Invalid(message, errors=[FieldError(field, message)])


def run_row(run: HostRun) -> dict[str, Any]:
    """Returns one host's row of the contract."""
    return {
        "i": run.i,
        "host": run.host,
        "address": run.address,
        "port": run.port,
        "user": run.user,
        "jump": run.jump,
        "executor": run.executor,
        "state": run.state,
        "reason": run.reason,
        "detail": run.detail,
        "exit": run.exit_status,
        "signal": run.exit_signal,
        "ms": run.duration_ms,
        "connect_ms": run.connect_ms,
        "reused": run.reused,
        "attempt": run.attempt,
        "worker": run.worker,
        "pid": run.pid,
        "bytes": run.stdout_bytes + run.stderr_bytes,
        "stderr_bytes": run.stderr_bytes,
        "lines": run.lines,
        "done_bytes": run.done_bytes,
        "total_bytes": run.total_bytes,
        "last_line": run.last_line,
        "group": (run.digest_similar or run.output_digest or "")[:12] or None,
        "wave": run.wave,
        "step": run.step,
        "held": run.held,
        "look": _look(run),
        "variables": run.variables,
        "late": run.late,
        "left_children": run.left_children,
        "host_key": run.host_key,
        "queued_at": iso(run.queued_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
    }


def _look(run: HostRun) -> dict[str, Any] | None:
    if run.look is None:
        return None
    return {"state": run.look, "detail": run.look_detail, "at": iso(run.looked_at)}


def get_run(session: Session, job: Job, host: str | int) -> HostRun:
    """Returns the run of a host, named by its place in the roster, by its name, or by its bare name or address where
    only one host has it (``web1`` for ``root@web1:2222``). Raises ``NotFound``, or ``Invalid`` for one of several."""
    query = select(HostRun).where(HostRun.job_id == job.id)
    if isinstance(host, int) or (host.isascii() and host.isdigit() and len(host) < 8):
        run = session.scalars(query.where(HostRun.i == int(host))).one_or_none()
    else:
        run = session.scalars(query.where(func.lower(HostRun.host) == host.lower())).first()
        run = run or _by_bare_name(session, job, host.lower())
    if run is None:
        raise NotFound("Job {job} has no such host.", job=job.id)
    return run


def _by_bare_name(session: Session, job: Job, name: str) -> HostRun | None:
    label = func.lower(HostRun.host)
    parts = (
        label.endswith(f"@{name}", autoescape=True),
        label.startswith(f"{name}:", autoescape=True),
        label.contains(f"@{name}:", autoescape=True),
        func.lower(HostRun.address) == name,
    )
    query = select(HostRun).where(HostRun.job_id == job.id, or_(*parts)).order_by(HostRun.i)
    found = session.scalars(query.limit(_NAMED_AT_MOST + 1)).all()
    if len(found) > 1:
        raise naming.ambiguous(job, name, [run.host for run in found])
    return found[0] if found else None


def offered_keys(session: Session, job: Job) -> list[dict[str, Any]]:
    """Returns the host keys that hosts of this job offered and nobody has decided on: what trusting them would mean.

    A jump host's key stands there once, under the way that leads through it and the place of the first host behind.
    """
    waiting = [KeyStatus.OFFERED.value, KeyStatus.ALARM.value]
    refused = [Reason.HOST_KEY_UNKNOWN.value, Reason.HOST_KEY_CHANGED.value]
    query = (
        select(HostRun.i, HostRun.host, HostRun.reason, HostKey)
        .join(HostKey, and_(HostKey.address == HostRun.address, HostKey.port == HostRun.port))
        .where(HostRun.job_id == job.id, HostRun.reason.in_(refused), HostKey.status.in_(waiting))
        .order_by(HostRun.i)
    )
    on_the_way = (
        select(func.min(HostRun.i), func.min(HostRun.jump), HostKey)
        .join(HostKey, HostKey.fingerprint == HostRun.host_key)
        .where(HostRun.job_id == job.id, HostRun.reason == Reason.JUMP.value, HostKey.status.in_(waiting))
        .group_by(HostKey.id)
    )
    unknown, changed = refused
    found: list[tuple[int, str | None, str | None, HostKey]] = []
    found += ((i, host, reason, key) for i, host, reason, key in session.execute(query))
    for i, way, key in session.execute(on_the_way):
        found.append((i, way, changed if key.status == KeyStatus.ALARM else unknown, key))
    return [
        {
            "i": i,
            "host": host,
            "reason": reason,
            "address": key.address,
            "port": key.port,
            "algorithm": key.algorithm,
            "fingerprint": key.fingerprint,
        }
        for i, host, reason, key in sorted(found, key=lambda row: row[0])
    ]


def refused_logins(session: Session, job: Job) -> list[dict[str, Any]]:
    """Returns what more than one host of the job answered alike to the login (``detail``: what was shown, why it was
    refused and what is offered instead), with the ``count`` of these hosts; the three of most hosts at most."""
    count = func.count()
    query = select(HostRun.detail, count).where(HostRun.job_id == job.id, HostRun.reason == Reason.AUTH.value)
    query = query.where(HostRun.detail.is_not(None)).group_by(HostRun.detail).having(count > 1)
    found = session.execute(query.order_by(count.desc(), HostRun.detail).limit(_REFUSALS_TOLD))
    return [{"detail": detail, "count": hosts} for detail, hosts in found]


def refused_by_key(session: Session, run: HostRun) -> list[str]:
    """Returns the hosts of the job that were not reached for the same key as ``run``: itself, and when it was a jump
    host's key, all that lie behind that one."""
    if run.reason != Reason.JUMP or run.host_key is None:
        return [run.host]
    query = select(HostRun.host).where(HostRun.job_id == run.job_id, HostRun.reason == Reason.JUMP.value)
    return list(session.scalars(query.where(HostRun.host_key == run.host_key).order_by(HostRun.i)))
