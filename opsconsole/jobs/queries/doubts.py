"""Hosts of a job on which the command may still be running, and what looks at them have found."""

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from opsconsole.hostset import fold
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.what import What


def doubts(session: Session, job: Job) -> dict[str, Any] | None:
    """Returns the hosts whose command's end is not known, ``None`` when there are none.

    ``open`` are those not looked at, or in vain (``failed`` of them), ``alive`` those where it was found; both also
    ``_folded``. ``asked`` and ``gone`` are how many are being looked at and how many were found without it; with
    ``raw`` none of them can be looked at.
    """
    unknown = or_(HostRun.state == RunState.LOST.value, HostRun.reason == Reason.KILL_UNCONFIRMED.value)
    query = select(HostRun.host, HostRun.look).where(HostRun.job_id == job.id, or_(unknown, HostRun.look.is_not(None)))
    rows = session.execute(query.order_by(HostRun.i)).all()
    if not rows:
        return None
    found: dict[str | None, list[str]] = {}
    for host, look in rows:
        found.setdefault(look, []).append(host)
    waiting = found.get(None, []) + found.get("unknown", [])
    alive = found.get("running", [])
    return {
        "raw": What.from_json(job.what).raw,
        "open": waiting,
        "open_folded": fold(waiting) if waiting else "",
        "failed": len(found.get("unknown", [])),
        "alive": alive,
        "alive_folded": fold(alive) if alive else "",
        "asked": len(found.get("asked", [])),
        "gone": len(found.get("gone", [])),
    }
