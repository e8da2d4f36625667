"""How hosts have answered, as API and pages tell it. Whose job a contact was is told to those who may see the job."""

from typing import Any

from flask_babel import gettext
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.inventory import health
from opsconsole.inventory.health import Health, KeyState, Past, Verdict
from opsconsole.jobs.queries import by_host
from opsconsole.web.reasons import reason_name

# How many of the last contacts a list shows.
DOTS = 10


def summary(found: Health | None) -> dict[str, Any] | None:
    """Returns what is known of a host in short, ``None`` when it was never met."""
    if found is None:
        return None
    return {
        "state": found.verdict.value,
        "reachable": found.verdict is not Verdict.UNREACHED,
        "login": _login(found),
        "host_key": found.host_key.value if found.host_key is not None else None,
        "connect_ms": found.connect_ms,
        "last_at": found.last_at.isoformat(),
        "seen_at": found.seen_at.isoformat() if found.seen_at else None,
        "ok_at": found.ok_at.isoformat() if found.ok_at else None,
        "failed_at": found.failed_at.isoformat() if found.failed_at else None,
        "reason": found.reason,
        "recent": found.letters[-DOTS:],
    }


def whole(session: Session, actor: Actor, name: str) -> dict[str, Any]:
    """Returns all that is known of a host: the short form, why it failed last, and its contacts, newest first."""
    found = health.of_hosts(session, [name]).get(name.lower())
    history = found.history if found is not None else ()
    seen = by_host.visible_jobs(session, actor, {past.job for past in history if past.job is not None})
    failed = next((past for past in history if past.verdict is not Verdict.OK), None)
    may_tell = failed is not None and (failed.job is None or failed.job in seen)
    return {
        "health": summary(found),
        "detail": found.detail if found is not None and may_tell else None,
        "history": [_past(past, seen) for past in history],
    }


def add(session: Session, hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the hosts, each with its ``health`` in short."""
    known = health.of_hosts(session, [str(host["name"]) for host in hosts])
    for host in hosts:
        host["health"] = summary(known.get(str(host["name"]).lower()))
    return hosts


def words(state: str, reason: str | None = None) -> str:
    """Returns what became of a contact, for people."""
    told = {
        Verdict.OK.value: gettext("it let us in"),
        Verdict.LOST.value: gettext("it let us in, and the connection broke"),
        Verdict.REFUSED.value: gettext("it answered and did not let us in"),
        Verdict.UNREACHED.value: gettext("it could not be reached"),
    }
    return f"{told[state]}: {reason_name(reason)}" if reason else str(told[state])


def key_words(state: str | None) -> str:
    """Returns what the last host key was worth; empty when none was seen."""
    told = {
        KeyState.TRUSTED.value: gettext("trusted"),
        KeyState.UNKNOWN.value: gettext("not known yet"),
        KeyState.CHANGED.value: gettext("CHANGED"),
        KeyState.REVOKED.value: gettext("revoked"),
        KeyState.CERTIFICATE.value: gettext("its certificate proves nothing"),
    }
    return str(told.get(state or "", ""))


def _login(found: Health) -> str | None:
    """Returns whether the last contact was logged in: ``ok``, ``refused``, or ``None`` when it did not come to that."""
    if found.verdict in {Verdict.OK, Verdict.LOST}:
        return "ok"
    return "refused" if found.verdict is Verdict.REFUSED and found.host_key is KeyState.TRUSTED else None


def _past(past: Past, seen: set[int]) -> dict[str, Any]:
    return {
        "at": past.at.isoformat(),
        "state": past.verdict.value,
        "letter": past.verdict.letter,
        "reason": past.reason,
        "connect_ms": past.connect_ms,
        "job": past.job if past.job in seen else None,
    }
