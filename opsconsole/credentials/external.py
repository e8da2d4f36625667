"""Fetches the secret part of an external credential, when a worker is about to log in: from a file, or from Vault.

Called with no transaction open. What was fetched is remembered for some seconds, as a fleet's hosts come at once, and
so is that it could not be: one question that runs into its time limit is enough.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate

from opsconsole.credentials.hashicorp import Access, HashiCorpVault
from opsconsole.credentials.places import Holds, Place, Source
from opsconsole.errors import Unavailable
from opsconsole.secret import Secret
from opsconsole.settings import Settings

_REMEMBER_SECONDS = 10.0
_MAX_BYTES = 64 * 1024
# A certificate is renewed when less than this share of its life is left.
_RENEW_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Fetched:
    """What to log in with: a password, or a private key with what goes with it."""

    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    certificate: str | None = None


class Fetcher(Protocol):
    """Knows where external credentials are."""

    def fetch(self, place: Place, user: str) -> Fetched:
        """Returns what is at ``place`` to log in with as ``user``. Raises ``Unavailable`` with a sentence."""


def sources_of(settings: Settings) -> "ExternalSources":
    """Returns where a worker with ``settings`` finds external credentials. Connects to nothing."""
    vault = None
    if settings.vault_url is not None:
        access = Access(settings.vault_token_file, settings.vault_role_id, settings.vault_secret_id_file)
        vault = HashiCorpVault(
            settings.vault_url, access, namespace=settings.vault_namespace, ca_file=settings.vault_ca_file
        )
    return ExternalSources(settings.credential_files_dir, vault)


class ExternalSources:
    """See ``Fetcher``. One per worker process; safe to share between threads."""

    def __init__(self, folder: Path | None, vault: HashiCorpVault | None) -> None:
        """``folder`` is where files are, ``vault`` the server to ask; ``None`` means that there is none."""
        self._folder = folder
        self._vault = vault
        self._lock = threading.Lock()
        self._turns: dict[tuple[Place, str], threading.Lock] = {}
        self._known: dict[tuple[Place, str], tuple[float, Fetched | Unavailable]] = {}

    def fetch(self, place: Place, user: str) -> Fetched:
        """Returns what is at ``place``; see ``Fetcher``."""
        # Only a signature depends on whom it is for.
        key = (place, user if place.source is Source.VAULT_SSH else "")
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            until, known = self._known.get(key, (0.0, None))
            if known is None or time.monotonic() >= until:
                until, known = self._ask(place, user)
                self._known[key] = (until, known)
        if isinstance(known, Unavailable):
            raise Unavailable(known.detail, code=known.code)
        return known

    def _ask(self, place: Place, user: str) -> tuple[float, Fetched | Unavailable]:
        """Returns what was found and until when (monotonic) it holds."""
        soon = time.monotonic() + _REMEMBER_SECONDS
        try:
            if place.source is Source.FILE:
                return soon, self._from_file(place)
            if self._vault is None:
                raise Unavailable("This worker knows no Vault (setting vault_url).", code="vault")
            if place.source is Source.VAULT:
                return soon, _from_kv(self._vault, place)
            return _signed(self._vault, place, user)
        except Unavailable as error:
            return time.monotonic() + _REMEMBER_SECONDS, error

    def _from_file(self, place: Place) -> Fetched:
        if self._folder is None:
            raise Unavailable(
                "This worker reads no credentials from files (setting credential_files_dir).", code="file"
            )
        text = _read(self._folder, place.path)
        if place.holds is Holds.PASSWORD:
            return Fetched(password=Secret(text.rstrip("\r\n")))
        beside = f"{place.path}-cert.pub"
        line = _read(self._folder, beside).strip() if (self._folder / beside).is_file() else None
        return Fetched(private_key=Secret(text), certificate=line)


def _read(folder: Path, name: str) -> str:
    """Returns a file's text. What leads out of ``folder``, by a link for example, is refused: whoever may describe a
    credential in the console need not be somebody who may read every file of its worker."""
    try:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve(strict=True)):
            raise Unavailable("The file {name} leads out of the folder for credentials.", name=name, code="file")
        with path.open("rb") as handle:
            data = handle.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Unavailable(
            "The file {name} cannot be read on this worker ({reason}).",
            name=name,
            reason=error.strerror,
            code="file",
        ) from None
    if len(data) > _MAX_BYTES or not data.strip():
        raise Unavailable(
            "The file {name} on this worker is empty or too long for a credential.", name=name, code="file"
        )
    return data.decode(errors="replace")


def _from_kv(vault: HashiCorpVault, place: Place) -> Fetched:
    fields = vault.read_secret(place.path)
    value = fields.get(place.field or "")
    if value is None:
        raise Unavailable(
            "The secret {path} in Vault has no field {name!r}.", path=place.path, name=place.field, code="vault"
        )
    if place.holds is Holds.PASSWORD:
        return Fetched(password=value)
    certificate = fields.get("certificate")
    line = certificate.reveal().strip() if certificate is not None else None
    return Fetched(private_key=value, passphrase=fields.get("passphrase"), certificate=line)


def _signed(vault: HashiCorpVault, place: Place, user: str) -> tuple[float, Fetched]:
    """Returns a new key with Vault's signature for ``user``: no key is kept anywhere, and none outlives its time."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = vault.sign_key(place.path, place.role or "", public.decode("ascii"), user)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return _renew_at(line), Fetched(private_key=Secret(pem.decode("ascii")), certificate=line)


def _renew_at(line: str, now: Callable[[], float] = time.time) -> float:
    """Returns when (monotonic) the certificate in ``line`` is to be replaced."""
    try:
        found = serialization.load_ssh_public_identity(line.encode())
    except ValueError:
        found = None
    if not isinstance(found, SSHCertificate):
        raise Unavailable("Vault answered with what is no SSH certificate.", code="vault")
    life = found.valid_before - found.valid_after
    left = found.valid_before - now() - life * _RENEW_SHARE
    return time.monotonic() + max(0.0, min(left, 3600.0))
