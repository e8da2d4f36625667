"""Answers what a target expression asks of the inventory and of earlier jobs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from sqlalchemy import Row, func, or_, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.errors import Invalid
from opsconsole.hostset import TooMuchOutput
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.inventory.service import in_parts
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.naming import places
from opsconsole.jobs.states import TERMINAL, states_of_letters

_ENDED = [state.value for state in TERMINAL]
# ``last:`` looks through so many of the newest jobs, whosever they are: jobs are not sorted by their targets.
_LAST_LOOKS_AT = 50_000
# So many bytes of output are searched while somebody types; equal outputs are read once.
_SEARCHED_BYTES = 32 * 1024 * 1024


class TargetResolver(InventoryResolver):
    """The inventory, and the results of the jobs that ``actor`` may see: ``failed:#1041``, ``last:@web``,
    ``matched(/x/):#1041``, ``same(web1):#1041``."""

    def __init__(self, session: Session, actor: Actor) -> None:
        super().__init__(session)
        self._jobs_session = session
        self._actor = actor

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        """Returns the job's hosts in the states ``letters``; ``None`` for a job that is unknown or another person's."""
        if self._visible(job_id) is None:
            return None
        states = [state.value for state in states_of_letters(letters)]
        query = select(HostRun.host).where(HostRun.job_id == job_id, HostRun.state.in_(states))
        return list(self._jobs_session.scalars(query.order_by(HostRun.i)))

    def last_job(self, targets: str) -> int | None:
        """Returns the newest ended job whose targets were written just so, but for white space around them."""
        newest = self._jobs_session.scalar(select(func.max(Job.id))) or 0
        query = select(Job.id).where(Job.id > newest - _LAST_LOOKS_AT, Job.finished_at.is_not(None))
        query = query.where(func.trim(Job.expression, " \t\r\n") == targets.strip())
        # A job that was only played is not the last one that hosts had, unless they are simulated anyway.
        query = query.where(or_(Job.executor != "simulate", Job.options["executor"].as_string().is_(None)))
        if not self._actor.may(Permission.VIEW_ALL_JOBS):
            query = query.where(Job.created_by_id == self._actor.user_id)
        return self._jobs_session.scalar(query.order_by(Job.id.desc()).limit(1))

    def job_hosts_where(self, job_id: int, found_in: Callable[[bytes], bool]) -> Sequence[str] | None:
        """Returns the job's hosts whose kept output ``found_in`` says yes to; raises ``TooMuchOutput``."""
        if self._visible(job_id) is None:
            return None
        size = HostRun.stdout_bytes + HostRun.stderr_bytes - HostRun.gap_bytes
        query = select(HostRun.id, HostRun.host, HostRun.output_digest, size.label("size"))
        runs = self._jobs_session.execute(query.where(HostRun.job_id == job_id).order_by(HostRun.i)).all()
        # What ended alike wrote the same, so one of them is read for all.
        first: dict[str | int, Row[int, str, str | None, int]] = {}
        for run in runs:
            first.setdefault(run.output_digest or run.id, run)
        if sum(run.size for run in first.values()) > _SEARCHED_BYTES:
            raise TooMuchOutput
        matching = self._matching([run.id for run in first.values() if run.size], found_in)
        return [run.host for run in runs if first[run.output_digest or run.id].id in matching]

    def job_hosts_like(self, job_id: int, host: str) -> Sequence[str] | None:
        """Returns the job's hosts in one output group with ``host``; none when it is not in the job or goes on."""
        job = self._visible(job_id)
        if job is None:
            return None
        columns = (HostRun.state, HostRun.reason, HostRun.exit_status, HostRun.exit_signal)
        said = func.coalesce(HostRun.output_digest, HostRun.detail, "")
        try:
            (place,) = places(self._jobs_session, job, [host])
        except (Invalid, ValueError):
            return []
        mine = self._jobs_session.execute(
            select(*columns, said).where(HostRun.job_id == job_id, HostRun.i == place, HostRun.state.in_(_ENDED))
        ).one_or_none()
        if mine is None:
            return []
        alike = [column.is_not_distinct_from(value) for column, value in zip((*columns, said), mine, strict=True)]
        query = select(HostRun.host).where(HostRun.job_id == job_id, *alike)
        return list(self._jobs_session.scalars(query.order_by(HostRun.i)))

    def _visible(self, job_id: int) -> Job | None:
        job = self._jobs_session.get(Job, job_id)
        return job if job is not None and may_see(job, self._actor) else None

    def _matching(self, run_ids: Sequence[int], found_in: Callable[[bytes], bool]) -> set[int]:
        matching: set[int] = set()
        for ids in in_parts(run_ids):
            query = select(OutputChunk.host_run_id, OutputChunk.offset, OutputChunk.fd, OutputChunk.data)
            query = query.where(OutputChunk.host_run_id.in_(ids)).order_by(OutputChunk.host_run_id, OutputChunk.offset)
            rows = self._jobs_session.execute(query.execution_options(yield_per=1000))
            matching.update(run_id for run_id, stream in _streams(rows) if found_in(stream))
        return matching


def _streams(chunks: Iterable[Row[int, int, int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yields the streams of each run whole; where something was not kept a line ends."""
    for run_id, own in groupby(chunks, key=lambda chunk: chunk.host_run_id):
        streams: dict[int, list[bytes]] = {}
        end = 0
        for _, offset, fd, data in own:
            if offset > end:
                for pieces in streams.values():
                    pieces.append(b"\n")
            end = offset + len(data)
            streams.setdefault(fd, []).append(data)
        for pieces in streams.values():
            yield run_id, b"".join(pieces)


def may_see(job: Job, actor: Actor) -> bool:
    """Returns whether ``actor`` may know of ``job``: one's own, or anybody's with the right to see all."""
    return job.created_by_id == actor.user_id or actor.may(Permission.VIEW_ALL_JOBS)
