"""What earlier jobs tell of an order: how long its command usually takes."""

from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.jobs.models import HostRun, Job

_RUNS = 5
# So many hosts of each tell its median well enough; an order is looked at with every key that is pressed.
_HOSTS_OF_EACH = 500


def usual(session: Session, command: str, count: int, concurrency: int, executor: str) -> dict[str, int | None]:
    """Returns how long ``command`` takes by its last runs with the same executor: ``eta_host_ms``, the median of their
    median hosts, ``eta_ms`` for ``count`` hosts of which ``concurrency`` go at once, and ``eta_runs``, how many runs
    say so. Times are in milliseconds, ``None`` where no run succeeded anywhere."""
    told = [_median_ms(session, job_id) for job_id in _runs(session, command, executor)]
    medians = [one for one in told if one is not None]
    if not medians:
        return {"eta_ms": None, "eta_host_ms": None, "eta_runs": 0}
    host_ms = int(median(medians))
    return {"eta_ms": host_ms * -(-count // concurrency), "eta_host_ms": host_ms, "eta_runs": len(medians)}


def _runs(session: Session, command: str, executor: str) -> list[int]:
    if not command:
        return []
    query = (
        select(Job.id)
        .where(Job.command == command.replace("\r\n", "\n"), Job.executor == executor)
        .where(Job.finished_at.is_not(None), Job.n_o > 0)
        .order_by(Job.id.desc())
        .limit(_RUNS)
    )
    return list(session.scalars(query))


def _median_ms(session: Session, job_id: int) -> float | None:
    query = select(HostRun.duration_ms).where(HostRun.job_id == job_id, HostRun.duration_ms.is_not(None))
    durations = [value for value in session.scalars(query.limit(_HOSTS_OF_EACH)) if value is not None]
    return median(durations) if durations else None
