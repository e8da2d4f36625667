"""Which host keys count where a worker is about to connect, and whether it may connect there at all."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from opsconsole.hostset import parse_host
from opsconsole.inventory import host_authorities, hostkeys
from opsconsole.inventory.host_authorities import Vouchers
from opsconsole.inventory.known_hosts import KnownHosts
from opsconsole.jobs.ports import Authority, HostKeyPolicy, KnownKey, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

_NO_KNOWN_HOSTS = KnownHosts("")


class Place(NamedTuple):
    """Where a connection is to lead: the name people use, the dialled address and port, and the policy that the
    inventory had for it; ``None`` leaves it to the console's setting."""

    host: str
    address: str
    port: int
    policy: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the host may be called in a certificate: its dialled address and its name."""
        return tuple(dict.fromkeys((self.address, parse_host(self.host).name)))


@dataclass(frozen=True, slots=True)
class Trust:
    """What counts at a place, as the fields of a ``Target``; with ``blocked`` nothing may connect there."""

    known_keys: tuple[KnownKey, ...]
    host_key_policy: HostKeyPolicy
    authorities: tuple[Authority, ...] = ()
    revoked_keys: tuple[KnownKey, ...] = ()
    blocked: Unreached | None = None


# Where nothing is connected to.
NO_TRUST = Trust((), HostKeyPolicy.STRICT)


class TrustReader:
    """Reads what counts for one worker process, whose own user's known_hosts is under ``home``."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings = settings
        self._known_hosts_path = home / ".ssh" / "known_hosts"
        self._known_hosts: tuple[float, KnownHosts] = (0.0, KnownHosts(""))

    def read(self, session: Session, places: Collection[Place], now: datetime) -> dict[Place, Trust]:
        """Returns what counts at each place. Takes keys over from the worker's known_hosts where none is trusted."""
        stored = host_authorities.lines(session)
        own = self._own_known_hosts().marked if self._settings.use_ambient_keys else []
        vouchers = Vouchers([*stored, *own])
        known = hostkeys.known(session, {(place.address, place.port) for place in places})
        nothing = hostkeys.Known()
        return {
            place: self._trust(session, place, known.get((place.address, place.port), nothing), vouchers, now)
            for place in dict.fromkeys(places)
        }

    def _trust(self, session: Session, place: Place, known: hostkeys.Known, vouchers: Vouchers, now: datetime) -> Trust:
        policy = HostKeyPolicy(place.policy or self._settings.host_key_policy)
        keys, names = known.trusted, place.names
        authorities: tuple[Authority, ...] = ()
        if policy is HostKeyPolicy.PINNED:
            keys = known.pinned
        else:
            authorities = vouchers.authorities(names, place.port)
            if not keys and self._settings.use_ambient_keys:
                keys = self._seed_from_known_hosts(session, place.address, place.port, now)
        revoked = (*known.revoked, *vouchers.revoked(names, place.port))
        if policy is HostKeyPolicy.ACCEPT_NEW and (revoked or authorities):
            # Where a key was revoked an unseen one is no first meeting: it may be the revoked one. And where hosts have
            # certificates, one without is not taken at its word.
            policy = HostKeyPolicy.STRICT
        return Trust(keys, policy, authorities, revoked, _blocked(known))

    def _own_known_hosts(self) -> KnownHosts:
        """Returns what the worker's own user has, read anew when it changed."""
        try:
            changed = self._known_hosts_path.stat().st_mtime
            if changed != self._known_hosts[0]:
                self._known_hosts = (changed, KnownHosts(self._known_hosts_path.read_text(errors="replace")))
        except OSError:
            return _NO_KNOWN_HOSTS
        return self._known_hosts[1]

    def _seed_from_known_hosts(self, session: Session, address: str, port: int, now: datetime) -> tuple[KnownKey, ...]:
        """Takes over what the worker's own user already trusts, once it is needed."""
        keys = self._own_known_hosts().keys(address, port)
        source = hostkeys.Source.KNOWN_HOSTS
        # A key that the console has revoked stays revoked, whatever the file says.
        return tuple(key for key in keys if hostkeys.remember(session, address, port, key, source=source, now=now))


def _blocked(known: hostkeys.Known) -> Unreached | None:
    """Returns why nothing may connect there at all: the alarm over a changed key stands until a person decides."""
    if not known.alarms:
        return None
    shown = f"{known.alarms[-1].algorithm} {hostkeys.fingerprint(known.alarms[-1])}"
    # The way out comes first: lists show the beginning.
    detail = Sentence(
        "Nothing connects here until an administrator decides: another host key than the trusted one was shown before, "
        "{shown}.",
        shown=shown,
    )
    return Unreached(Reason.HOST_KEY_CHANGED, detail)
