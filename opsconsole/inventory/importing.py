"""An import from end to end: a dry run first, then exactly what it showed. Host keys of a known_hosts file too."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, Forbidden, Invalid
from opsconsole.inventory import apply, host_authorities, hostkeys
from opsconsole.inventory.draft import Fault
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importers.reading import read
from opsconsole.inventory.known_hosts import (
    CERT_AUTHORITY,
    REVOKED,
    Entry,
    KnownHosts,
    KnownKey,
    dialled_name,
    entries,
    faulty_lines,
    fingerprint,
)
from opsconsole.inventory.plan import ADDED, REMOVED, Change, FieldChange, Plan, compare
from opsconsole.inventory.snapshot import Snapshot, snapshot
from opsconsole.sentences import Sentence

_SSH_PORT = 22
_MOST_FAULTS = 100
_Stored = Mapping[hostkeys.Address, hostkeys.Known]


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
        plan = compare(draft, before, prune=self.prune, key_files=self.key_files)
        if not draft.hosts and not draft.groups and not draft.faults:
            plan.notices[Sentence("No host and no group is named here.")] = 1
        return plan


def look(session: Session, wanted: Import, actor: Actor) -> Plan:
    """Returns what ``wanted`` would change now. Raises ``Forbidden``, ``Invalid``, ``TooLarge``."""
    apply.require_editor(actor)
    if wanted.format is Format.KNOWN_HOSTS:
        return _look_at_keys(session, wanted, actor).plan
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
    if skip_faulty and wanted.prune:
        raise Invalid(
            "What faulty lines mean to name would be removed: prune needs a file without faults.", code="prune"
        )
    if wanted.format is Format.KNOWN_HOSTS:
        return _take_keys(session, wanted, expect=expect, skip_faulty=skip_faulty, actor=actor, now=now, detail=detail)
    return apply.import_hosts(
        session,
        wanted.look,
        actor=actor,
        expect=expect,
        skip_faulty=skip_faulty,
        now=now,
        detail=detail,
    )


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a known_hosts file would change; ``against`` are its keys that another trusted one speaks against."""

    plan: Plan
    text: str
    against: frozenset[tuple[hostkeys.Address, KnownKey]]


def _look_at_keys(session: Session, wanted: Import, actor: Actor) -> _Keys:
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
    stored = hostkeys.known(session, places)
    plan.faults += [Fault(*found) for found in islice(faulty_lines(text), _MOST_FAULTS)]
    against = _add_new_keys(plan, text, places, stored)
    _add_revoked_keys(plan, text, places, stored)
    _add_authorities(session, plan, text)
    unnamed = [entry for entry in entries(text) if not entry.marker and not entry.plain_names()]
    unknown = sum(1 for entry in unnamed if not any(entry.matches(*place) for place in places))
    if unknown:
        message = Sentence("Lines with a hashed name or a pattern that fits no host of the inventory are passed over.")
        plan.notices[message] = unknown
    return _Keys(plan, text, against)


def _add_new_keys(
    plan: Plan, text: str, places: Sequence[hostkeys.Address], stored: _Stored
) -> frozenset[tuple[hostkeys.Address, KnownKey]]:
    """Adds the keys that are new. Returns those that are not: the host has another trusted key of the same kind.

    Such a key is what an attacker's host would show; a file does not decide about it, an administrator does.
    """
    known = KnownHosts(text)
    against = set()
    stay_revoked = further = 0
    for place in places:
        here = stored.get(place, hostkeys.Known())
        for key in known.keys(*place):
            if key in here.revoked:
                stay_revoked += 1
            elif key in here.trusted:
                continue
            elif other := next((one for one in here.trusted if one.algorithm == key.algorithm), None):
                against.add((place, key))
                plan.faults.append(_conflict(text, place, key, other))
            else:
                plan.changes.append(_key_change(ADDED, place, key, beside=here.trusted))
                further += bool(here.trusted)
    if further:
        plan.notices[Sentence("Hosts that have a trusted key are given one of another kind beside it.")] = further
    if stay_revoked:
        plan.notices[Sentence("Keys that are revoked here stay revoked.")] = stay_revoked
    return frozenset(against)


def _conflict(text: str, place: hostkeys.Address, key: KnownKey, other: KnownKey) -> Fault:
    line = next((one.line for one in entries(text) if one.key == key and one.matches(*place)), None)
    return Fault(
        line,
        Sentence(
            "{host} has another trusted {algorithm} key, {other}; this one, {key}, is not taken "
            "over. If the host's key was changed, revoke or remove the old one first.",
            host=dialled_name(*place),
            algorithm=key.algorithm,
            other=fingerprint(other),
            key=fingerprint(key),
        ),
    )


def _add_revoked_keys(plan: Plan, text: str, places: Sequence[hostkeys.Address], stored: _Stored) -> None:
    for entry in entries(text):
        named = set(entry.plain_names()) if entry.marker == REVOKED else set()
        for place in places if entry.marker == REVOKED else ():
            here = stored.get(place, hostkeys.Known())
            # A pattern revokes what is stored; a plain name also what has never been seen there.
            stored_key = entry.key in (*here.trusted, *here.alarms)
            if entry.matches(*place) and (stored_key or (place in named and entry.key not in here.revoked)):
                plan.changes.append(_key_change(REMOVED, place, entry.key, entry.line))


def _add_authorities(session: Session, plan: Plan, text: str) -> None:
    """Adds what the lines that speak of many hosts would add: authorities, and keys revoked by a pattern."""
    stored = {(line.marker, line.patterns, line.key) for line in host_authorities.lines(session)}
    for line in _for_many(text):
        revoked = (REVOKED, line.patterns, line.key) in stored
        if not revoked and (line.marker, line.patterns, line.key) not in stored:
            parts = (FieldChange(line.key.algorithm, "", fingerprint(line.key)),)
            name = f"@{line.marker} {','.join(line.patterns)}"
            plan.changes.append(Change("host_key", ADDED, name, line.line, parts))


def _for_many(text: str) -> list[Entry]:
    """Returns the lines that no single host's keys can stand for."""
    marked = [line for line in entries(text) if line.marker]
    return [line for line in marked if line.marker == CERT_AUTHORITY or len(line.plain_names()) < len(line.patterns)]


def _key_change(
    action: str, place: tuple[str, int], key: KnownKey, line: int | None = None, beside: Sequence[KnownKey] = ()
) -> Change:
    parts = [FieldChange(key.algorithm, "", fingerprint(key))]
    if beside:
        # No change of a key, but no first key either: who looks through the list has to see which it is.
        trusted = ", ".join(f"{one.algorithm} {fingerprint(one)}" for one in beside)
        parts.append(FieldChange("beside the trusted", trusted, trusted))
    return Change("host_key", action, dialled_name(*place), line, tuple(parts))


def _take_keys(
    session: Session,
    wanted: Import,
    *,
    expect: str,
    skip_faulty: bool,
    actor: Actor,
    now: datetime,
    detail: Mapping[str, Any],
) -> Plan:
    apply.lock(session)
    keys = _look_at_keys(session, wanted, actor)
    plan, text = keys.plan, keys.text
    if plan.digest != expect:
        message = "The known host keys changed since this was shown. Look again. Nothing was changed."
        raise Conflict(message, code="inventory_changed", extra={"digest": plan.digest})
    apply.require_usable(plan, skip_faulty=skip_faulty)
    source = hostkeys.Source.IMPORT
    hostkeys.seed_known_hosts(session, text, now=now, source=source, without=keys.against)
    known = KnownHosts(text)
    for change in plan.changes:
        if change.action != ADDED or change.name.startswith("@"):
            continue
        for place in _places(change.name):
            for key in known.keys(*place):
                if (place, key) in keys.against:
                    continue
                hostkeys.remember(session, *place, key, source=source, now=now)
    for line in _for_many(text):
        host_authorities.take(session, line, source=source, actor=actor, now=now)
    counts = {"trusted": plan.count("host_key", ADDED), "revoked": plan.count("host_key", REMOVED)}
    record(session, actor, "host_key.import", now=now, object="host_keys", detail={**detail, **counts})
    return plan


def _places(name: str) -> list[tuple[str, int]]:
    if name.startswith("["):
        address, _, port = name[1:].rpartition("]:")
        return [(address, int(port))]
    return [(name, _SSH_PORT)]
