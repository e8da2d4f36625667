"""The person's keys: files parsed once per process, the ssh-agent, default keys; and what cannot be used, in words."""

import threading
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from paramiko.agent import AgentKey, get_agent_connection
from paramiko.message import Message
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import PasswordRequiredException, SSHException

from opsconsole.jobs.ports import Auth, Secret
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.seams import AgentSSH

_DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
# A signature may wait for a person's touch; a listing never does.
_AGENT_SECONDS = 15.0
_LISTING_SECONDS = 2.0
_IS_LOCKED = "is protected by a passphrase; load it into the ssh-agent with ssh-add"


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing to show the server: a key or a password, and its ``name`` for people."""

    name: str
    key: paramiko.PKey | None = None
    password: Secret | None = None

    @property
    def method(self) -> str:
        """The SSH name of the method."""
        return "publickey" if self.key is not None else "password"


@dataclass(frozen=True, slots=True)
class Proofs:
    """What to try, in order, and sentences about what was passed over. Without any proof there is nothing to try."""

    proofs: tuple[Proof, ...]
    passed_over: tuple[str, ...] = ()


class UnusableKey(Exception):
    """A key file that cannot be used; the text ends a sentence that begins with the file's name."""


class KeyRing:
    """Finds the keys an ``Auth`` stands for. One per process; safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._folder = home / ".ssh"
        self._lock = threading.Lock()
        self._agent: tuple[Deadline, tuple[AgentKey, ...]] = (Deadline(0), ())
        self._files: dict[Path, tuple[int, paramiko.PKey | UnusableKey]] = {}

    def proofs(self, auth: Auth) -> Proofs:
        """Returns what to try for ``auth``. Reads changed files and asks the agent; never raises for their faults."""
        if auth.password is not None:
            return Proofs((Proof(auth.identity, password=auth.password),))
        proofs: list[Proof] = []
        passed_over: list[str] = []
        for path in map(Path, auth.key_files):
            self._add(path, proofs, passed_over)
        if auth.ambient:
            proofs += [Proof(f"agent key {_label(key)}", key=key) for key in self._agent_keys()]
            for path in (self._folder / name for name in _DEFAULT_NAMES):
                if path.exists():
                    self._add(path, proofs, passed_over)
        return Proofs(_without_repeats(proofs), tuple(passed_over))

    def load(self, path: Path) -> paramiko.PKey:
        """Returns the private key in ``path``, parsed once until the file changes. Raises ``UnusableKey``."""
        try:
            changed_at = path.stat().st_mtime_ns
        except OSError as error:
            raise UnusableKey("does not exist" if isinstance(error, FileNotFoundError) else "cannot be read") from None
        with self._lock:
            known = self._files.get(path)
            if known is None or known[0] != changed_at:
                known = self._files[path] = (changed_at, _parse(path))
        if isinstance(known[1], UnusableKey):
            raise UnusableKey(str(known[1]))
        return known[1]

    def _agent_keys(self) -> tuple[AgentKey, ...]:
        """Returns the agent's keys, asked again when the last answer is old: a fleet's hosts come at once."""
        with self._lock:
            if self._agent[0].passed:
                self._agent = (Deadline(_LISTING_SECONDS), _listed_keys())
            return self._agent[1]

    def _add(self, path: Path, proofs: list[Proof], passed_over: list[str]) -> None:
        try:
            proofs.append(Proof(f"key {path.name}", key=self.load(path)))
        except UnusableKey as problem:
            passed_over.append(f"{path} {problem}.")


class _StatelessAgent(AgentSSH):
    """The agent, asked over a connection of its own each time: keys are shared by many hosts that sign at once."""

    def _send_message(self, msg: object) -> tuple[int, Message]:
        connection = get_agent_connection()
        if connection is None:
            raise SSHException("lost ssh-agent")
        connection.settimeout(_AGENT_SECONDS)
        asking = AgentSSH()
        asking._conn = connection
        try:
            return asking._send_message(msg)
        except OSError:
            raise SSHException("lost ssh-agent") from None
        finally:
            connection.close()


def _listed_keys() -> tuple[AgentKey, ...]:
    connection = get_agent_connection()
    if connection is None:
        return ()
    connection.close()
    agent = _StatelessAgent()
    try:
        agent._connect(None)
    except (SSHException, OSError, ValueError):
        return ()
    return agent.get_keys()


def _label(key: AgentKey) -> str:
    return repr(key.comment[:60]) if key.comment else key.get_name()


def _without_repeats(proofs: list[Proof]) -> tuple[Proof, ...]:
    by_blob: dict[bytes, Proof] = {}
    for proof in proofs:
        by_blob.setdefault(proof.key.asbytes() if proof.key else b"", proof)
    return tuple(by_blob.values())


def _parse(path: Path) -> paramiko.PKey | UnusableKey:
    try:
        return _pkcs8(path) or paramiko.PKey.from_path(path)
    except (PasswordRequiredException, TypeError):
        # cryptography raises TypeError for an encrypted key without a password.
        return UnusableKey(_IS_LOCKED)
    except (UnknownKeyType, UnsupportedAlgorithm):
        return UnusableKey("is of a kind that cannot be used; ed25519, ecdsa and rsa can")
    except OSError:
        return UnusableKey("cannot be read")
    except (ValueError, SSHException, IndexError):
        return UnusableKey("is not a private key in a format that can be read")


def _pkcs8(path: Path) -> paramiko.PKey | None:
    """Returns the key of a ``BEGIN PRIVATE KEY`` file, which paramiko itself does not read, or ``None`` for others."""
    data = path.read_bytes()
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data:
        raise TypeError
    if b"-----BEGIN PRIVATE KEY-----" not in data:
        return None
    loaded = serialization.load_pem_private_key(data, password=None)
    text = loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode("ascii")
    classes: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
    for kind in classes:
        try:
            return kind.from_private_key(StringIO(text))
        except (SSHException, ValueError):
            continue
    raise UnknownKeyType(key_type=type(loaded).__name__, key_bytes=b"")
