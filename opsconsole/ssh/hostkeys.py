"""Host keys: what a server showed against what is trusted, fingerprints, and the reading of known_hosts text."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from opsconsole.jobs.ports import HostKeyPolicy, KnownKey, Target, Unreached
from opsconsole.jobs.states import Reason

_DEFAULT_PORT = 22
_HASHED = "|1|"


class Marker(StrEnum):
    """The marker at the start of a known_hosts line."""

    NONE = ""
    REVOKED = "@revoked"
    CERT_AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True)
class KnownHostsEntry:
    """One usable line: the host ``patterns`` as written, the key, and what the marker makes of it."""

    patterns: tuple[str, ...]
    key: KnownKey
    marker: Marker = Marker.NONE

    def matches(self, host: str, port: int = _DEFAULT_PORT) -> bool:
        """Returns whether the line speaks of ``host`` at ``port``, as OpenSSH would decide."""
        name = host.lower() if port == _DEFAULT_PORT else f"[{host.lower()}]:{port}"
        matched = False
        for pattern in self.patterns:
            if pattern.startswith("!"):
                if _matches(pattern[1:], name):
                    return False
            elif _matches(pattern, name):
                matched = True
        return matched


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What a known_hosts file says of one host."""

    trusted: tuple[KnownKey, ...]
    revoked: tuple[KnownKey, ...]


def entries(text: str) -> Iterator[KnownHostsEntry]:
    """Yields the usable lines of a known_hosts file; comments and lines that cannot be read are passed over."""
    for line in text.splitlines():
        entry = _entry(line.strip())
        if entry is not None:
            yield entry


def lookup(text: str, host: str, port: int = _DEFAULT_PORT) -> KnownKeys:
    """Returns the keys that the known_hosts ``text`` trusts and revokes for ``host`` at ``port``.

    Certificate authorities are left out: a host certificate is not something this product accepts. A revoked key is
    never among the trusted ones, whatever other lines say.
    """
    trusted: dict[KnownKey, None] = {}
    revoked: dict[KnownKey, None] = {}
    for entry in entries(text):
        if entry.marker is Marker.REVOKED and entry.matches(host, port):
            revoked[entry.key] = None
        elif entry.marker is Marker.NONE and entry.matches(host, port):
            trusted[entry.key] = None
    return KnownKeys(tuple(key for key in trusted if key not in revoked), tuple(revoked))


def fingerprint(key: KnownKey) -> str:
    """Returns the key's fingerprint as OpenSSH prints it, ``SHA256:...``."""
    digest = hashlib.sha256(base64.b64decode(key.key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def check(target: Target, shown: KnownKey) -> Unreached | None:
    """Returns why the server that showed ``shown`` must not be spoken to, or ``None`` when it may.

    Where any key is known for the host, only a known one will do, under either policy: a server that shows another
    type instead of the known one is not told apart from an impostor that can show no other.
    """
    if shown in target.known_keys:
        return None
    words = f"{shown.algorithm} {fingerprint(shown)}"
    if target.known_keys:
        known = ", ".join(f"{key.algorithm} {fingerprint(key)}" for key in target.known_keys)
        detail = f"The host key changed: trusted is {known}, the server shows {words}. Nothing was sent to it."
        return Unreached(Reason.HOST_KEY_CHANGED, detail, offered=shown)
    if target.host_key_policy is HostKeyPolicy.ACCEPT_NEW:
        return None
    detail = f"The host key is not known yet: {words}. Compare it with the host's own, trust it, and run again."
    return Unreached(Reason.HOST_KEY_UNKNOWN, detail, offered=shown)


def _entry(line: str) -> KnownHostsEntry | None:
    fields = line.split()
    marker = Marker.NONE
    if fields and fields[0].startswith("@"):
        try:
            marker = Marker(fields.pop(0))
        except ValueError:
            return None
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    hosts, algorithm, blob = fields[:3]
    if _algorithm_of(blob) != algorithm:
        return None
    # The blob is written back in one form, so that equal keys are equal values.
    key = KnownKey(algorithm, base64.b64encode(base64.b64decode(blob)).decode("ascii"))
    return KnownHostsEntry(tuple(hosts.split(",")), key, marker)


def _algorithm_of(blob: str) -> str | None:
    """Returns the algorithm named inside a key blob, or ``None`` when it is no key."""
    try:
        raw = base64.b64decode(blob, validate=True)
        return raw[4 : 4 + int.from_bytes(raw[:4], "big")].decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith(_HASHED):
        return _matches_hash(pattern, name)
    # Only * and ? are wildcards there; fnmatch would also read the brackets of [host]:port.
    return fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _matches_hash(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[len(_HASHED) :].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
