"""Host keys collected before anything is run, as ssh-keyscan does: by the workers, on the way that runs would take.

A person asks; the rows keep the question until a worker has answered it, so that a lost message only costs time. What
the hosts show waits for a decision like any other key.
"""

import contextlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.db.database import Database
from opsconsole.errors import Forbidden, NotFound, Unavailable
from opsconsole.hostset import fold
from opsconsole.inventory import hostkeys
from opsconsole.inventory.models import HostKeyScan
from opsconsole.jobs import asking
from opsconsole.jobs.answering import Answerer
from opsconsole.jobs.claims import ClaimReader
from opsconsole.jobs.order import Order
from opsconsole.jobs.ports import Connector, KnownKey, Limits, Target, Unreached
from opsconsole.jobs.survey import Survey, fault
from opsconsole.jobs.trust import Place
from opsconsole.sentences import Sentence

# A question that nobody has answered after this long is given to another worker.
_ASK_AGAIN_SECONDS = 90
_SCAN_SECONDS = 20.0
_KEPT = timedelta(days=1)
_ROWS = 1000

# Runs what uses the database where a blocking call stops nobody else.
Offload = Callable[[Callable[[], Any]], Any]


class KeyScans(Survey):
    """Takes what people ask for. Takes sessions and never commits."""

    def ask(self, session: Session, targets: str, actor: Actor, *, now: datetime) -> str:
        """Returns the name of a new scan of the hosts of an expression, unless it is empty. Nothing connects here.

        Raises ``Forbidden``, ``Invalid`` with the column of each fault, ``TooLarge``.
        """
        if not actor.may(Permission.RUN):
            raise Forbidden("Your role or token may look at host keys but not have them collected.")
        rows = self._rows(session, targets, actor)
        batch = secrets.token_hex(8)
        asked = {"batch": batch, "requested_by": actor.name, "requested_at": now, "next_publish_at": now}
        session.execute(delete(HostKeyScan).where(HostKeyScan.requested_at < now - _KEPT))
        for start in range(0, len(rows), _ROWS):
            session.execute(insert(HostKeyScan), [row | asked for row in rows[start : start + _ROWS]])
        detail = {"targets": targets, "hosts": len(rows)}
        record(session, actor, "host_key.scan", now=now, object=f"host_key_scan:{batch}", detail=detail)
        return batch

    def _rows(self, session: Session, targets: str, actor: Actor) -> list[dict[str, Any]]:
        found = self._find(session, actor, Order(targets=targets, command="true"))
        if found.blocked(allowed=self._settings.allow_unlisted_hosts):
            unlisted = fold(spec.label for spec in found.unlisted)
            raise fault(
                "targets", Sentence("Not in the inventory: {hosts}", hosts=unlisted[:300]), code="unknown_hosts"
            )
        ways = self._ways(session, found.located, self._options())
        policies = self._policies(session, found.located)
        return [
            {name: value for name, value in self._place(i, item).items() if name != "i"} | {"jump": way.text} | policy
            for i, (item, way, policy) in enumerate(zip(found.located, ways, policies, strict=True))
        ]


def told(session: Session, batch: str) -> dict[str, Any]:
    """Returns how far a scan is, as the JSON of ``GET /host-keys/scans/{scan}``. Raises ``NotFound``."""
    rows = session.scalars(select(HostKeyScan).where(HostKeyScan.batch == batch).order_by(HostKeyScan.id)).all()
    if not rows:
        raise NotFound("There is no such scan; they are kept for a day.", code="scan_not_found")
    hosts = [
        {
            "host": row.host,
            "address": row.address,
            "port": row.port,
            "done": row.done_at is not None,
            "found": row.found,
            "detail": row.detail,
        }
        for row in rows
    ]
    return {"scan": batch, "count": len(hosts), "done": sum(1 for host in hosts if host["done"]), "hosts": hosts}


def due(session: Session, now: datetime) -> list[int]:
    """Returns the hosts whose question should be sent to a worker now, and notes that it was."""
    return asking.due(session, HostKeyScan, now, again_seconds=_ASK_AGAIN_SECONDS)


class KeyScanner(Answerer):
    """Answers questions in the threads (or greenlets) that call it. One for each worker process."""

    def __init__(
        self,
        database: Database,
        reader: ClaimReader,
        connector: Connector,
        *,
        now: Callable[[], datetime],
        kick: Callable[[], None],
        offload: Offload,
    ) -> None:
        """``kick`` is called when an answer made room for another question."""
        super().__init__()
        self._database = database
        self._reader = reader
        self._connector = connector
        self._now = now
        self._kick = kick
        self._offload = offload

    def scan(self, scan_id: int) -> None:
        """Collects the keys of one host. A repeated message, or one that nobody asked, does nothing.

        While the database does not answer nothing is written, and the question is put again later.
        """
        with self.taken(scan_id) as mine, contextlib.suppress(Unavailable):
            asked = self._offload(lambda: self._question(scan_id)) if mine else None
            if asked is not None:
                target, problem = asked
                shown = problem or self._connector.scan(target, Limits(connect=_SCAN_SECONDS))
                self._offload(lambda: self._answer(scan_id, shown))
                self._kick()

    def _question(self, scan_id: int) -> tuple[Target, Unreached | None] | None:
        with self._database.transaction() as session:
            row = session.get(HostKeyScan, scan_id)
            if row is None or row.done_at is not None:
                return None
            place = Place(row.host, row.address, row.port, row.host_key_policy)
            return self._reader.target(session, place, row.jump, self._now())

    def _answer(self, scan_id: int, shown: tuple[KnownKey, ...] | Unreached) -> None:
        with self._database.transaction() as session:
            now = self._now()
            row = session.get(HostKeyScan, scan_id, with_for_update=True)
            if row is None or row.done_at is not None:
                return
            row.done_at = now
            if isinstance(shown, Unreached):
                row.found, row.detail = 0, shown.detail[:500]
                if shown.hop is not None and shown.offered is not None:
                    hostkeys.offer(session, shown.hop.address, shown.hop.port, shown.offered, now=now)
            else:
                row.found = len(shown)
                hostkeys.collect(session, row.address, row.port, shown, now=now)
