"""Tests of connections: a person asks, a worker goes the way that a run would take and tells each step of it.

The rows keep the question until a worker has answered it, so that a lost message only costs time.
"""

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.credentials.choice import AMBIENT, PASSWORD, Choice
from opsconsole.credentials.external import Fetcher
from opsconsole.db.database import Database
from opsconsole.errors import Forbidden, NotFound, TooLarge, Unavailable
from opsconsole.inventory import hostkeys
from opsconsole.inventory.executor import Executor
from opsconsole.jobs import asking, contacts
from opsconsole.jobs.answering import Answerer
from opsconsole.jobs.claims import ClaimReader
from opsconsole.jobs.fetching import usable
from opsconsole.jobs.models import ConnectionTest
from opsconsole.jobs.order import Order
from opsconsole.jobs.ports import Auth, Become, Limits, Target, Unreached
from opsconsole.jobs.probe import Finding, Prober, Stage, Verdict, advised, stage_of
from opsconsole.jobs.queries.console import iso
from opsconsole.jobs.survey import Survey, fault
from opsconsole.jobs.trust import Place
from opsconsole.jobs.what import RunAs, What

MOST_HOSTS = 5000
# A question that nobody has answered after this long is given to another worker.
_ASK_AGAIN_SECONDS = 180
_KEPT = timedelta(days=30)
_ROWS = 1000
_COLUMNS = ("host", "address", "port", "user", "credential", "jump", "host_key_policy", "executor")
_NOT_DIALLED = {
    Executor.LOCAL: "Nothing is connected to: its commands run on the worker's own machine.",
    Executor.SIMULATE: "Nothing is connected to: the host is simulated.",
}

# Runs what uses the database where a blocking call stops nobody else.
Offload = Callable[[Callable[[], Any]], Any]


class ConnectionTests(Survey):
    """Takes what people ask for. Takes sessions and never commits."""

    def ask(self, session: Session, order: Order, actor: Actor, *, now: datetime) -> str:
        """Returns the name of a new test of the hosts that ``order`` means, with its login and the account to become.

        Its command counts for nothing, and nothing connects here. Raises ``Forbidden``, ``Invalid`` naming the field
        of each fault, ``TooLarge``.
        """
        if not actor.may(Permission.RUN):
            raise Forbidden("Your role or token may look at hosts but not have connections tested.")
        if order.password is not None or order.credential == PASSWORD:
            raise fault("credential", "A password that is typed is not kept for a test: store it as a credential.")
        if order.run_as_password is not None or order.run_as_credential == RunAs.TYPED:
            raise fault("run_as_credential", "A password that is typed is not kept for a test: store it.")
        found = self.prepare(session, replace(order, command="true"), actor)
        if found.refusals:
            raise found.refusals[0]
        if len(found.rows) > MOST_HOSTS:
            raise TooLarge("At most {limit:,} hosts are tested at once.", limit=MOST_HOSTS)
        batch = secrets.token_hex(8)
        asked = {
            "batch": batch,
            "run_as": found.what.to_json(),
            "connect_ms": round(found.options.connect_timeout * 1000),
            "requested_by": actor.name,
            "requested_at": now,
            "next_publish_at": now,
        }
        session.execute(delete(ConnectionTest).where(ConnectionTest.requested_at < now - _KEPT))
        rows = [{name: row[name] for name in _COLUMNS} | asked for row in found.rows]
        for start in range(0, len(rows), _ROWS):
            session.execute(insert(ConnectionTest), rows[start : start + _ROWS])
        detail = {"targets": order.targets, "hosts": len(rows)}
        record(session, actor, "connection.test", now=now, object=f"connection_test:{batch}", detail=detail)
        return batch


def told(session: Session, batch: str) -> dict[str, Any]:
    """Returns how far a test is and what it found, as the JSON of ``GET /tests/{test}``. Raises ``NotFound``."""
    query = select(ConnectionTest).where(ConnectionTest.batch == batch).order_by(ConnectionTest.id)
    rows = session.scalars(query.execution_options(populate_existing=True)).all()
    if not rows:
        raise NotFound("There is no such test; they are kept for 30 days.", code="test_not_found")
    hosts = [_told(row) for row in rows]
    return {
        "test": batch,
        "requested_by": rows[0].requested_by,
        "requested_at": iso(rows[0].requested_at),
        "count": len(hosts),
        "done": sum(1 for host in hosts if host["done"]),
        "failed": sum(1 for host in hosts if host["ok"] is False),
        "hosts": hosts,
    }


def last(session: Session, host: str) -> dict[str, Any] | None:
    """Returns the newest test of a host, ``None`` when there is none."""
    query = select(ConnectionTest).where(ConnectionTest.host == host).order_by(ConnectionTest.id.desc()).limit(1)
    row = session.scalars(query).first()
    return _told(row) | {"test": row.batch} if row is not None else None


def _told(row: ConnectionTest) -> dict[str, Any]:
    return {
        "host": row.host,
        "address": row.address,
        "port": row.port,
        "user": row.user,
        "done": row.done_at is not None,
        "done_at": iso(row.done_at),
        "ok": row.ok,
        "steps": row.findings or [],
    }


def due(session: Session, now: datetime) -> list[int]:
    """Returns the tests whose question should be sent to a worker now, and notes that it was."""
    return asking.due(session, ConnectionTest, now, again_seconds=_ASK_AGAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class _Question:
    target: Target
    auth: Auth
    become: Become | None
    limits: Limits
    problem: Unreached | None


class ConnectionTester(Answerer):
    """Answers questions in the threads (or greenlets) that call it. One for each worker process."""

    def __init__(
        self,
        database: Database,
        reader: ClaimReader,
        prober: Prober,
        *,
        now: Callable[[], datetime],
        kick: Callable[[], None],
        offload: Offload,
        sources: Fetcher | None = None,
    ) -> None:
        """``kick`` is called when an answer made room for another question."""
        super().__init__()
        self._database = database
        self._reader = reader
        self._prober = prober
        self._now = now
        self._kick = kick
        self._offload = offload
        self._sources = sources

    def test(self, test_id: int) -> None:
        """Tests one connection. A repeated message, or one that nobody asked, does nothing.

        While the database does not answer nothing is written, and the question is put again later.
        """
        with self.taken(test_id) as mine, contextlib.suppress(Unavailable):
            asked = self._offload(lambda: self._question(test_id)) if mine else None
            if asked is not None:
                findings = self._findings(asked)
                self._offload(lambda: self._answer(test_id, findings))
                self._kick()

    def _findings(self, asked: _Question) -> list[Finding]:
        executor = asked.target.executor
        if executor is not Executor.SSH:
            return [Finding(Stage.SHELL, Verdict.OK, 0, _NOT_DIALLED[executor])]
        if asked.problem is None:
            target, auth, problem = usable(asked.target, asked.auth, self._sources)
            if problem is None:
                return self._prober.probe(target, auth, asked.limits, asked.become)
        else:
            problem = asked.problem
        text = advised(problem.reason, problem.detail)
        return [Finding(stage_of(problem.reason), Verdict.FAILED, 0, text, reason=problem.reason)]

    def _question(self, test_id: int) -> _Question | None:
        with self._database.transaction() as session:
            row = session.get(ConnectionTest, test_id)
            if row is None or row.done_at is not None:
                return None
            now = self._now()
            place = Place(row.host, row.address, row.port, row.host_key_policy)
            target, problem = self._reader.target(session, place, row.jump, now)
            target = replace(target, user=row.user, executor=Executor(row.executor))
            choice = Choice.of_host(row.credential) if row.credential is not None else Choice(AMBIENT)
            what = What.from_json(row.run_as)
            auth, become, no_login = self._reader.login(session, choice, row.host, row.user, what, now)
            return _Question(target, auth, become, Limits(connect=row.connect_ms / 1000), problem or no_login)

    def _answer(self, test_id: int, findings: Sequence[Finding]) -> None:
        with self._database.transaction() as session:
            row = session.get(ConnectionTest, test_id, with_for_update=True)
            if row is None or row.done_at is not None:
                return
            row.done_at = now = self._now()
            row.findings = [finding.to_json() for finding in findings]
            row.ok = bool(findings) and findings[-1].verdict is not Verdict.FAILED
            if row.executor == Executor.SSH:
                contacts.note_test(session, row.host, findings, now)
            for finding in findings:
                if finding.offered is not None:
                    hostkeys.offer(session, *finding.offered, now=now)
