"""Reads OpenSSH's ``known_hosts`` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Pure: text in, keys out."""

import base64
import binascii
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate

DEFAULT_PORT = 22
_HASHED = "|1|"
CERT_AUTHORITY, REVOKED = "cert-authority", "revoked"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A public host key: ``algorithm`` as in ``ssh-ed25519``, ``key`` the base64 blob of an authorized_keys line."""

    algorithm: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A key whose signature on a host certificate counts for a host, under those ``names`` of it that it may vouch
    for."""

    key: KnownKey
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable line: its number, its ``marker`` (``""``, ``"revoked"`` or ``"cert-authority"``), names and key."""

    line: int
    marker: str
    patterns: tuple[str, ...]
    key: KnownKey

    def matches(self, address: str, port: int) -> bool:
        """Returns whether the line speaks of ``address`` and ``port``. A negated pattern that matches excludes it."""
        name = dialled_name(address, port)
        found = False
        for pattern in self.patterns:
            if _pattern_matches(pattern.removeprefix("!"), name):
                if pattern.startswith("!"):
                    return False
                found = True
        return found

    def plain_names(self) -> tuple[tuple[str, int], ...]:
        """Returns the (address, port) pairs the line spells out; hashed names and wildcards have none to tell."""
        if any(pattern.startswith("!") for pattern in self.patterns):
            return ()
        return tuple(_split(pattern) for pattern in self.patterns if not _needs_matching(pattern))


class KnownHosts:
    """A parsed file, for looking up many hosts: plain names by dictionary, hashed ones and wildcards one by one.

    ``marked`` are its lines with a marker.
    """

    def __init__(self, text: str) -> None:
        self._plain: dict[str, list[Entry]] = defaultdict(list)
        self._others: list[Entry] = []
        self.marked: list[Entry] = []
        for entry in entries(text):
            if entry.marker:
                self.marked.append(entry)
            if any(pattern.startswith("!") or _needs_matching(pattern) for pattern in entry.patterns):
                self._others.append(entry)
            else:
                for pattern in entry.patterns:
                    self._plain[pattern].append(entry)

    def keys(self, address: str, port: int) -> tuple[KnownKey, ...]:
        """Returns the keys trusted for ``address`` and ``port``, without those the file revokes for it."""
        found = self._plain.get(dialled_name(address, port), [])
        found = [*found, *(entry for entry in self._others if entry.matches(address, port))]
        revoked = {entry.key for entry in found if entry.marker == "revoked"}
        trusted = (entry.key for entry in found if not entry.marker and entry.key not in revoked)
        return tuple(dict.fromkeys(trusted))


def lookup(text: str, address: str, port: int) -> tuple[KnownKey, ...]:
    """Returns the keys ``text`` trusts for one host; for many hosts make a ``KnownHosts`` once."""
    return KnownHosts(text).keys(address, port)


def entries(text: str) -> Iterator[Entry]:
    """Yields the usable lines. As OpenSSH does, passes over comments and lines that make no sense."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = ""
        if fields[0].startswith("@"):
            marker = fields.pop(0)[1:]
            if marker not in {REVOKED, CERT_AUTHORITY}:
                continue
        if len(fields) < 3 or not _is_key(fields[1], fields[2]):
            continue
        # Hashed names are base64 and keep their case.
        patterns = [name if name.startswith(_HASHED) else name.lower() for name in fields[0].split(",") if name]
        yield Entry(number, marker, tuple(patterns), KnownKey(fields[1], fields[2]))


def faulty_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields the numbers of the lines that ``entries`` passes over though they are no comments, and what is wrong."""
    usable = {entry.line for entry in entries(text)}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if number in usable or not fields or fields[0].startswith("#"):
            continue
        if fields[0].startswith("@") and fields[0][1:] not in {REVOKED, CERT_AUTHORITY}:
            yield number, "The only markers are @cert-authority and @revoked."
        elif len(fields) < (4 if fields[0].startswith("@") else 3):
            yield number, "A line has the names of the host, the kind of key and the key."
        else:
            yield number, "This is no public key of the kind that the line names."


def fingerprint(key: KnownKey) -> str:
    """Returns the fingerprint as ``ssh-keygen -l`` shows it: ``SHA256:`` and unpadded base64."""
    digest = hashlib.sha256(base64.b64decode(key.key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def dialled_name(address: str, port: int) -> str:
    """Returns how known_hosts writes a host: ``address``, or ``[address]:port`` beyond port 22; in lower case."""
    name = address.lower()
    return name if port == DEFAULT_PORT else f"[{name}]:{port}"


def _split(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"\[(.+)\]:([0-9]{1,5})", name)
    return (found[1], int(found[2])) if found else (name, DEFAULT_PORT)


def _needs_matching(pattern: str) -> bool:
    return pattern.startswith(_HASHED) or "*" in pattern or "?" in pattern


def _pattern_matches(pattern: str, name: str) -> bool:
    if pattern.startswith(_HASHED):
        return _hash_matches(pattern, name)
    if "*" in pattern or "?" in pattern:
        # Here a bracket is no character class but the one of "[host]:port".
        return re.match(translate(pattern.replace("[", "[[]")), name) is not None
    return pattern == name


def _hash_matches(pattern: str, name: str) -> bool:
    salt, _, expected = pattern.removeprefix(_HASHED).partition("|")
    try:
        digest = hmac.digest(base64.b64decode(salt, validate=True), name.encode(), "sha1")
        return hmac.compare_digest(digest, base64.b64decode(expected, validate=True))
    except (binascii.Error, ValueError):
        return False


def _is_key(algorithm: str, key: str) -> bool:
    """Returns whether the blob is base64 and names ``algorithm`` inside, as SSH key blobs do (RFC 4253 6.6)."""
    try:
        blob = base64.b64decode(key, validate=True)
        inner = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii")
    except (binascii.Error, ValueError):
        return False
    return inner == algorithm
