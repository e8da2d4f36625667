"""An import from end to end: a dry run first, then exactly what it showed. Host keys of a known_hosts file too."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, Forbidden, Invalid
from opsconsole.inventory import apply, hostkeys
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importers.reading import read
from opsconsole.inventory.known_hosts import KnownHosts, KnownKey, dialled_name, entries, fingerprint
from opsconsole.inventory.plan import ADDED, REMOVED, Change, FieldChange, Plan, compare
from opsconsole.inventory.snapshot import Snapshot, snapshot

_SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Import:
    """What a person brings: ``content`` in a ``format``, and the ``files`` that an ssh_config may include."""

    format: Format
    content: bytes
    files: Mapping[str, str] = field(default_factory=dict)
    prune: bool = False
    # The console's key files by the name of their credential.
    key_files: Mapping[str, str] = field(default_factory=dict)

    def look(self, before: Snapshot) -> Plan:
        """Returns what the import would change. Nothing is written."""
        draft = read(self.format, self.content, self.files)
        if self.prune and not draft.hosts and not draft.faults:
            raise Invalid("This names no host at all, so nothing is removed either.", code="nothing_to_import")
        return compare(draft, before, prune=self.prune, key_files=self.key_files)


def look(session: Session, wanted: Import, actor: Actor) -> Plan:
    """Returns what ``wanted`` would change now. Raises ``Forbidden``, ``Invalid``, ``TooLarge``."""
    apply.require_editor(actor)
    if wanted.format is Format.KNOWN_HOSTS:
        return _look_at_keys(session, wanted, actor)[0]
    return wanted.look(snapshot(session))


def run(session: Session, wanted: Import, *, expect: str, skip_faulty: bool, actor: Actor, now: datetime) -> Plan:
    """Writes what the dry run with the digest ``expect`` showed, and returns it.

    Lines with faults are left out only with ``skip_faulty``, and never together with ``prune``: what such a line was
    to name would be removed. Raises as ``apply.import_hosts`` does.
    """
    detail = {
        "format": wanted.format.value,
        "prune": wanted.prune,
        "sha256": hashlib.sha256(wanted.content).hexdigest(),
    }
    if wanted.format is Format.KNOWN_HOSTS:
        return _take_keys(session, wanted, expect=expect, actor=actor, now=now, detail=detail)
    return apply.import_hosts(
        session,
        wanted.look,
        actor=actor,
        expect=expect,
        skip_faulty=skip_faulty and not wanted.prune,
        now=now,
        detail=detail,
    )


def _look_at_keys(session: Session, wanted: Import, actor: Actor) -> tuple[Plan, str]:
    if not actor.may(Permission.TRUST_HOST_KEYS):
        raise Forbidden("Only an administrator may trust host keys.", code="may_not_trust")
    text = read(wanted.format, wanted.content).known_hosts or ""
    plan = Plan()
    hosts = [
        (str(host.values["address"] or host.name), int(host.values["port"] or _SSH_PORT))
        for host in snapshot(session).hosts.values()
    ]
    named = {place for entry in entries(text) for place in entry.plain_names()}
    places = sorted(named | set(hosts))
    _add_new_keys(session, plan, text, places)
    for entry in entries(text):
        if entry.marker == "revoked":
            for place in places:
                if entry.matches(*place):
                    plan.changes.append(_key_change(REMOVED, place, entry.key, entry.line))
        elif entry.marker:
            plan.notices["Certificate authorities (@cert-authority) are not taken over."] = 1
    hashed = [entry for entry in entries(text) if any(name.startswith("|1|") for name in entry.patterns)]
    unknown = sum(1 for entry in hashed if not any(entry.matches(*place) for place in places))
    if unknown:
        plan.notices["Lines with a hashed name that no host of the inventory has are passed over."] = unknown
    return plan, text


def _add_new_keys(session: Session, plan: Plan, text: str, places: Sequence[tuple[str, int]]) -> None:
    known, stored = KnownHosts(text), hostkeys.known(session, places)
    stay_revoked = 0
    for place in places:
        here = stored.get(place, hostkeys.Known())
        for key in known.keys(*place):
            if key in here.revoked:
                stay_revoked += 1
            elif key not in here.trusted:
                plan.changes.append(_key_change(ADDED, place, key))
    if stay_revoked:
        plan.notices["Keys that are revoked here stay revoked."] = stay_revoked


def _key_change(action: str, place: tuple[str, int], key: KnownKey, line: int | None = None) -> Change:
    parts = (FieldChange(key.algorithm, "", fingerprint(key)),)
    return Change("host_key", action, dialled_name(*place), line, parts)


def _take_keys(
    session: Session, wanted: Import, *, expect: str, actor: Actor, now: datetime, detail: Mapping[str, Any]
) -> Plan:
    apply.lock(session)
    plan, text = _look_at_keys(session, wanted, actor)
    if plan.digest != expect:
        message = "The known host keys changed since this was shown. Look again. Nothing was changed."
        raise Conflict(message, code="inventory_changed", extra={"digest": plan.digest})
    source = hostkeys.Source.IMPORT
    hostkeys.seed_known_hosts(session, text, now=now, source=source)
    known = KnownHosts(text)
    for change in plan.changes:
        if change.action != ADDED:
            continue
        for place in _places(change.name):
            for key in known.keys(*place):
                hostkeys.remember(session, *place, key, source=source, now=now)
    counts = {"trusted": plan.count("host_key", ADDED), "revoked": plan.count("host_key", REMOVED)}
    record(session, actor, "host_key.import", now=now, object="host_keys", detail={**detail, **counts})
    return plan


def _places(name: str) -> list[tuple[str, int]]:
    if name.startswith("["):
        address, _, port = name[1:].rpartition("]:")
        return [(address, int(port))]
    return [(name, _SSH_PORT)]
