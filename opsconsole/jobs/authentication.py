"""From what a run's row says to what a connector logs in with, looked up when the run is claimed."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from opsconsole.credentials import scope, service
from opsconsole.credentials.choice import AMBIENT, KEY, STORED, Choice
from opsconsole.credentials.kinds import Kind, answers
from opsconsole.credentials.places import place_of
from opsconsole.credentials.service import Opened
from opsconsole.credentials.vault import Vault
from opsconsole.errors import Invalid, Unavailable
from opsconsole.hostset import parse_host
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs.ports import Auth, PrivateKey, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.settings import Settings

# For so long a worker takes the hosts of a scope from memory; what the scope itself says is read at every claim.
_SCOPE_SECONDS = 2.0
_SCOPES_REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class _Usable:
    """A stored credential that opened, and the hosts it is for."""

    opened: Opened
    hosts: frozenset[str]


Stored = Mapping[str, "_Usable | Unavailable"]
Login = tuple[Auth, Unreached | None]


class Authenticator:
    """Makes an ``Auth`` for each claimed run. One per worker process."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault
        self._hosts: dict[tuple[int, int], tuple[float, frozenset[str]]] = {}

    def stored(self, session: Session, choices: Iterable[Choice], *, now: datetime) -> Stored:
        """Returns the stored credentials among ``choices``, opened, and notes that they are used."""
        names = {choice.name for choice in choices if choice.kind == STORED and choice.name}
        if not names:
            return {}
        found = service.opened(session, self._vault, names)
        service.used(session, names, now=now)
        return {
            name: item if isinstance(item, Unavailable) else _Usable(item, self._covered(session, item))
            for name, item in found.items()
        }

    def login(self, choice: Choice, host: str, user: str, stored: Stored) -> Login:
        """Returns what to log in to ``host`` (the label of a target) with as ``user``, and the problem if there is
        one: what allowed it at launch may be gone."""
        if choice.kind == STORED:
            return _stored_login(choice.name or "", host, user, stored)
        if choice.kind == KEY:
            path = self._settings.key_files.get(choice.name or "")
            if path is None:
                return _none(f"key {choice.name}", f"This worker has no key file named {choice.name!r} (key_files).")
            return Auth(identity=f"key {choice.name}", key_files=(str(path),)), None
        if choice.kind == AMBIENT and self._settings.use_ambient_keys:
            return Auth(identity="own keys", ambient=True), None
        return _none(
            "none",
            "No credential: choose a stored one, a key file or a password, or set OPSCONSOLE_USE_AMBIENT_KEYS=1 on "
            "the worker.",
        )

    def user_of(self, choice: Choice, stored: Stored) -> str | None:
        """Returns the remote user whom a stored credential is for, ``None`` when it is for any or there is none."""
        found = stored.get(choice.name or "") if choice.kind == STORED else None
        return found.opened.user if isinstance(found, _Usable) else None

    def _covered(self, session: Session, item: Opened) -> frozenset[str]:
        key = (item.id, item.version)
        known = self._hosts.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        hosts = scope.hosts_in(item.scope, InventoryResolver(session))
        while len(self._hosts) >= _SCOPES_REMEMBERED:
            self._hosts.pop(next(iter(self._hosts)))
        self._hosts[key] = (time.monotonic() + _SCOPE_SECONDS, hosts)
        return hosts


def _stored_login(name: str, host: str, user: str, stored: Stored) -> Login:
    identity = f"credential {name}"
    found = stored.get(name)
    if found is None:
        return _none(identity, f"The credential {name!r} is no longer there.")
    if isinstance(found, Unavailable):
        return _none(identity, f"The credential {name!r} cannot be used. {found.detail}")
    if _name_of(host) not in found.hosts:
        return _none(identity, f"The credential {name!r} is no longer for this host.")
    if found.opened.user not in {None, user}:
        return _none(identity, f"The credential {name!r} is for the user {found.opened.user} alone.")
    return _auth(identity, found.opened), None


def _auth(identity: str, opened: Opened) -> Auth:
    match opened.kind:
        case Kind.PASSWORD:
            return Auth(identity=identity, password=opened.secrets["password"])
        case Kind.PRIVATE_KEY:
            key = PrivateKey(opened.name, opened.secrets["private_key"])
            return Auth(identity=identity, private_keys=(key,))
        case Kind.CERTIFICATE:
            line = str(opened.public["certificate"])
            if "private_key" not in opened.secrets:
                return Auth(identity=identity, certificates=(line,))
            key = PrivateKey(opened.name, opened.secrets["private_key"], certificate=line)
            return Auth(identity=identity, private_keys=(key,))
        case Kind.AGENT:
            return Auth(identity=identity, agent=True)
        case Kind.KEYBOARD_INTERACTIVE:
            return Auth(identity=identity, answers=answers(opened.secrets["answers"]))
        case Kind.EXTERNAL:
            return Auth(identity=identity, external=place_of(opened.public))


def _name_of(label: str) -> str:
    try:
        return parse_host(label).name.lower()
    except Invalid:
        return ""


def _none(identity: str, sentence: str) -> Login:
    return Auth(identity=identity), Unreached(Reason.CREDENTIAL, sentence)
