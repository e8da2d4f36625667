"""Plays the workers' part for a job: moves its runs along and writes their output, as the real ones would."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from opsconsole.db.database import Database
from opsconsole.jobs import contacts, transitions
from opsconsole.jobs.models import HostRun, OutputChunk
from opsconsole.jobs.outcomes import Outcome
from opsconsole.jobs.output import CHUNK_BYTES
from opsconsole.jobs.states import JobState, Reason, RunState
from tests.support.clock import FakeClock


@dataclass
class Play:
    """One job's workers. Hosts are named by their place in the roster."""

    database: Database
    clock: FakeClock
    job_id: int

    def start(self, *places: int) -> None:
        """Takes hosts from pending to running."""
        with self.database.transaction() as session:
            transitions.move_job(session, self.job_id, JobState.RUNNING, {"started_at": self.clock.now()})
            for state in (RunState.QUEUED, RunState.CONNECTING, RunState.RUNNING):
                values = self._times(state)
                transitions.apply(session, self._changes(session, places, state, values), self.clock.now())

    def refuse(self, place: int, *, reason: str, host_key: str | None = None, detail: str | None = None) -> None:
        """Lets a pending host turn out to be unreachable; ``host_key`` is the fingerprint it showed, ``detail`` what
        the worker says of it."""
        with self.database.transaction() as session:
            for state in (RunState.QUEUED, RunState.CONNECTING, RunState.UNREACHABLE):
                values = self._times(state)
                if state is RunState.UNREACHABLE:
                    values = {"reason": reason, "host_key": host_key, "detail": detail, "finished_at": self.clock.now()}
                transitions.apply(session, self._changes(session, [place], state, values), self.clock.now())
            outcome = Outcome(RunState.UNREACHABLE, Reason(reason))
            contacts.note(session, {self._run(session, place).id: contacts.Ending(outcome, self.clock.now())})

    def leave(self, place: int, state: RunState) -> None:
        """Ends a pending host that is not to start."""
        with self.database.transaction() as session:
            transitions.apply(session, self._changes(session, [place], state, {}), self.clock.now())

    def write(self, place: int, data: bytes, *, fd: int = 1, offset: int | None = None) -> None:
        """Stores output of a running host, after what it wrote before or at ``offset``."""
        with self.database.transaction() as session:
            run = self._run(session, place)
            at = run.stdout_bytes + run.stderr_bytes if offset is None else offset
            session.add(OutputChunk(host_run_id=run.id, offset=at, fd=fd, at_ms=5, data=data))
            column = HostRun.stdout_bytes if fd == 1 else HostRun.stderr_bytes
            values: dict[Any, Any] = {column: column + len(data), HostRun.lines: HostRun.lines + data.count(b"\n")}
            session.execute(update(HostRun).where(HostRun.id == run.id).values(values))

    def flood(self, place: int, data: bytes) -> None:
        """Stores much output of a running host that has written nothing yet, in pieces as a worker stores them."""
        with self.database.transaction() as session:
            run = self._run(session, place)
            pieces = [
                {"host_run_id": run.id, "offset": at, "fd": 1, "at_ms": 5, "data": data[at : at + CHUNK_BYTES]}
                for at in range(0, len(data), CHUNK_BYTES)
            ]
            session.execute(insert(OutputChunk), pieces)
            run.stdout_bytes, run.lines = len(data), data.count(b"\n")

    def end(self, *places: int, state: RunState = RunState.SUCCEEDED, **values: Any) -> None:
        """Ends running hosts."""
        facts = {"finished_at": self.clock.now(), "duration_ms": 12, "output_digest": "d" * 64, **values}
        if state is RunState.SUCCEEDED:
            facts["exit_status"] = 0
        with self.database.transaction() as session:
            transitions.apply(session, self._changes(session, places, state, facts), self.clock.now())

    def _times(self, state: RunState) -> dict[str, Any]:
        stamps = {RunState.QUEUED: "queued_at", RunState.CONNECTING: "claimed_at", RunState.RUNNING: "started_at"}
        column = stamps.get(state)
        return {column: self.clock.now()} if column else {}

    def _changes(self, session: Any, places: Any, state: RunState, values: dict[str, Any]) -> list[transitions.Change]:
        claim = state is RunState.CONNECTING
        query = select(HostRun.i, HostRun.id).where(HostRun.job_id == self.job_id, HostRun.i.in_(places))
        ids = {row.i: row.id for row in session.execute(query)}
        return [transitions.Change(ids[place], self.job_id, state, claim=claim, values=values) for place in places]

    def _run(self, session: Any, place: int) -> HostRun:
        query = select(HostRun).where(HostRun.job_id == self.job_id, HostRun.i == place)
        found: HostRun = session.scalars(query.execution_options(populate_existing=True)).one()
        return found
