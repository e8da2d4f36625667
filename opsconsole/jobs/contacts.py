"""What ends of runs and tests of connections say of hosts: whether each answered, showed the right key, let us in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.hostset import parse_host
from opsconsole.inventory import health
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.health import Contact, KeyState, Verdict
from opsconsole.jobs.models import HostRun
from opsconsole.jobs.outcomes import Outcome
from opsconsole.jobs.probe import Finding, Stage
from opsconsole.jobs.probe import Verdict as Step
from opsconsole.jobs.states import Reason

_UNREACHED = frozenset(
    {
        Reason.DNS,
        Reason.REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.BANNER_TIMEOUT,
        Reason.PROTOCOL,
        Reason.JUMP,
    }
)
_KEYS = {
    Reason.HOST_KEY_UNKNOWN: KeyState.UNKNOWN,
    Reason.HOST_KEY_CHANGED: KeyState.CHANGED,
    Reason.HOST_KEY_REVOKED: KeyState.REVOKED,
    Reason.HOST_CERTIFICATE: KeyState.CERTIFICATE,
    Reason.AUTH: KeyState.TRUSTED,
}


# What a test does once it is logged in.
_AFTER_LOGIN = frozenset({Stage.SHELL, Stage.RUN_AS})


class Ending(NamedTuple):
    """How a run ended, and when."""

    outcome: Outcome
    at: datetime


def note(session: Session, endings: Mapping[int, Ending]) -> None:
    """Adds what the ends of runs, by their ids, say to the health of their hosts. Only connections over SSH count."""
    if not endings:
        return
    columns = (HostRun.id, HostRun.host, HostRun.job_id, HostRun.started_at, HostRun.connect_ms, HostRun.reused)
    query = select(*columns).where(HostRun.id.in_(endings), HostRun.executor == Executor.SSH.value)
    contacts = []
    for run_id, host, job_id, started_at, connect_ms, reused in session.execute(query):
        outcome, at = endings[run_id]
        found = judged(outcome.reason, started=started_at is not None)
        if found is not None:
            verdict, key = found
            failed = verdict is not Verdict.OK
            contacts.append(
                Contact(
                    host=parse_host(host).name,
                    at=at,
                    verdict=verdict,
                    reason=outcome.reason.value if failed and outcome.reason is not None else None,
                    detail=outcome.detail if failed else None,
                    host_key=key,
                    connect_ms=None if reused else connect_ms,
                    job=job_id,
                )
            )
    health.note(session, contacts)


def note_test(session: Session, host: str, findings: Sequence[Finding], now: datetime) -> None:
    """Adds what a test of a connection found to the health of ``host``, the label of a target."""
    if not findings:
        return
    last = findings[-1]
    # After the login nothing has a reason: then the host let us in.
    found = judged(last.reason, started=last.reason is None)
    if found is None:
        return
    verdict, key = found
    failed = verdict is not Verdict.OK
    if any(finding.stage is Stage.HOST_KEY and finding.verdict is Step.WARNED for finding in findings):
        # A run would accept it; a test trusts nothing.
        key = KeyState.UNKNOWN
    contact = Contact(
        host=parse_host(host).name,
        at=now,
        verdict=verdict,
        reason=last.reason.value if last.reason is not None else None,
        detail=last.detail if failed else None,
        host_key=key,
        connect_ms=None if failed else sum(finding.ms for finding in findings if finding.stage not in _AFTER_LOGIN),
    )
    health.note(session, [contact])


def judged(reason: Reason | None, *, started: bool) -> tuple[Verdict, KeyState | None] | None:
    """Returns what it says of a host and of its key that a connection ended for ``reason``; ``None`` when it says
    nothing, because the host was never spoken to.

    A command that had ``started`` proves that the host let us in, however it ended.
    """
    if started:
        return (Verdict.LOST if reason is Reason.CONNECTION_LOST else Verdict.OK), KeyState.TRUSTED
    if reason in _UNREACHED:
        return Verdict.UNREACHED, None
    return (Verdict.REFUSED, _KEYS[reason]) if reason in _KEYS else None
