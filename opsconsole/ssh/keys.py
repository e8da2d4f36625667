"""What to show a server for a login: keys as text and in files, the agent's, passwords; and what is of no use."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import paramiko

from opsconsole.jobs.ports import Auth, PrivateKey, Secret
from opsconsole.sentences import Sentence
from opsconsole.ssh.agent import HeldKey, held_keys
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.keyformats import UnusableKey, certificate, certified, private_key, public_key_of, require_valid

_DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
_LISTING_SECONDS = 2.0
_TEXTS_REMEMBERED = 256
_NOT_HELD = "The ssh-agent holds no key for the certificate {name!r}."

Offload = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing to show the server, and its ``name`` for people: a key, a password, or the answers to its prompts."""

    name: str
    key: paramiko.PKey | None = None
    password: Secret | None = None
    answers: tuple[Secret, ...] = ()

    @property
    def method(self) -> str:
        """The SSH name of the method."""
        if self.key is not None:
            return "publickey"
        return "password" if self.password is not None else "keyboard-interactive"

    def parts(self) -> Iterator[bytes]:
        """Yields all that makes it this proof and no other."""
        if self.key is not None:
            yield self.key.asbytes()
            yield self.key.public_blob.key_blob if self.key.public_blob is not None else b""
        for secret in (self.password, *self.answers):
            yield secret.reveal().encode() if secret is not None else b""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What to try, in order, and sentences about what was passed over. Without any proof there is nothing to try."""

    proofs: tuple[Proof, ...]
    passed_over: tuple[str, ...] = ()


class KeyRing:
    """Finds the keys an ``Auth`` stands for. One per process; safe to share between threads."""

    def __init__(self, home: Path, offload: Offload = lambda call: call()) -> None:
        """``offload`` runs a callable where a second of computing stops nobody else."""
        self._folder = home / ".ssh"
        self._offload = offload
        self._lock = threading.Lock()
        self._agent: tuple[Deadline, tuple[HeldKey, ...]] = (Deadline(0), ())
        self._files: dict[Path, tuple[int, paramiko.PKey | UnusableKey]] = {}
        self._texts: dict[bytes, paramiko.PKey | UnusableKey] = {}

    def proofs(self, auth: Auth) -> Proofs:
        """Returns what to try for ``auth``. Reads changed files and asks the agent; never raises for their faults."""
        if auth.password is not None:
            return Proofs((Proof(auth.identity, password=auth.password),))
        if auth.answers:
            return Proofs((Proof(auth.identity, answers=auth.answers),))
        found = _Found()
        for key in auth.private_keys:
            found.add(f"key {key.name}", f"The key {key.name}", partial(self._given, key))
        for path in map(Path, auth.key_files):
            self._add_file(path, found)
        for line in auth.certificates:
            self._add_certificate(line, found)
        if auth.ambient or auth.agent:
            found.proofs += [Proof(key.label, key=key) for key in self._agent_keys()]
        if auth.ambient:
            for path in (self._folder / name for name in _DEFAULT_NAMES):
                if path.exists():
                    self._add_file(path, found)
        return Proofs(_without_repeats(found.proofs), tuple(found.passed_over))

    def load(self, path: Path) -> paramiko.PKey:
        """Returns the private key in ``path``, parsed once until the file changes. Raises ``UnusableKey``."""
        try:
            changed_at = path.stat().st_mtime_ns
        except OSError as error:
            raise UnusableKey("does not exist" if isinstance(error, FileNotFoundError) else "cannot be read") from None
        with self._lock:
            known = self._files.get(path)
            if known is None or known[0] != changed_at:
                known = self._files[path] = (changed_at, _attempt(lambda: private_key(_read(path))))
        return _usable(known[1])

    def _given(self, key: PrivateKey) -> paramiko.PKey:
        """Returns a key that came as text, parsed once: a fleet's hosts come at once. Raises ``UnusableKey``."""
        passphrase = key.passphrase.reveal() if key.passphrase is not None else None
        parts = (key.pem.reveal(), passphrase or "", key.certificate or "")
        name = hashlib.sha256("\0".join(parts).encode()).digest()
        with self._lock:
            known = self._texts.get(name)
            if known is None:
                known = self._offload(lambda: _attempt(lambda: _parsed(key, passphrase)))
                while len(self._texts) >= _TEXTS_REMEMBERED:
                    self._texts.pop(next(iter(self._texts)))
                self._texts[name] = known
        return _usable(known)

    def _agent_keys(self) -> tuple[HeldKey, ...]:
        """Returns the agent's keys, asked again when the last answer is old: a fleet's hosts come at once."""
        with self._lock:
            if self._agent[0].passed:
                self._agent = (Deadline(_LISTING_SECONDS), held_keys())
            return self._agent[1]

    def _add_file(self, path: Path, found: "_Found") -> None:
        beside = path.with_name(path.name + "-cert.pub")
        if beside.exists():
            line = _attempt_text(beside)
            found.add(f"certificate {beside.name}", str(beside), lambda: certified(self.load(path), line))
        found.add(f"key {path.name}", str(path), lambda: self.load(path))

    def _add_certificate(self, line: str, found: "_Found") -> None:
        try:
            blob = certificate(line)
            require_valid(blob)
            wanted = public_key_of(blob)
        except UnusableKey as problem:
            found.passed_over.append(Sentence("The credential {problem}.", problem=problem.problem))
            return
        held = [key.certified(blob) for key in self._agent_keys() if key.blob == wanted]
        found.proofs += [Proof(key.label, key=key) for key in held[:1]]
        if not held:
            found.passed_over.append(Sentence(_NOT_HELD, name=blob.comment or "without a comment"))


class _Found:
    """What is collected for one ``Auth``."""

    def __init__(self) -> None:
        self.proofs: list[Proof] = []
        self.passed_over: list[str] = []

    def add(self, name: str, place: str, load: Callable[[], paramiko.PKey]) -> None:
        """Adds what ``load`` returns, or the sentence why it is of no use."""
        try:
            key = load()
            require_valid(key.public_blob)
            self.proofs.append(Proof(name, key=key))
        except UnusableKey as problem:
            self.passed_over.append(Sentence("{place} {problem}.", place=place, problem=problem.problem))


def _parsed(key: PrivateKey, passphrase: str | None) -> paramiko.PKey:
    loaded = private_key(key.pem.reveal().encode(errors="replace"), passphrase)
    return loaded if key.certificate is None else certified(loaded, key.certificate)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise UnusableKey("cannot be read") from None


def _attempt_text(path: Path) -> str:
    """Returns the text of a certificate's file; one that cannot be read is an empty, and so an unusable, one."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _attempt(load: Callable[[], paramiko.PKey]) -> paramiko.PKey | UnusableKey:
    """A fault is remembered as well as a key: a fleet's hosts would meet it at once."""
    try:
        return load()
    except UnusableKey as problem:
        return problem


def _usable(known: paramiko.PKey | UnusableKey) -> paramiko.PKey:
    if isinstance(known, UnusableKey):
        raise UnusableKey(known.problem)
    return known


def _without_repeats(proofs: list[Proof]) -> tuple[Proof, ...]:
    by_parts: dict[tuple[bytes, ...], Proof] = {}
    for proof in proofs:
        by_parts.setdefault(tuple(proof.parts()), proof)
    return tuple(by_parts.values())
