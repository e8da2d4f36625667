"""The kinds of credentials: what a person gives for each, what is sealed of it and what may be shown. Pure."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from opsconsole.errors import FieldError, Invalid
from opsconsole.secret import Secret

_MAX_PASSWORD = 1024
_MAX_KEY = 64 * 1024
_LEAST_RSA_BITS = 2048
Usable = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
Given = Mapping[str, Secret]


class Kind(StrEnum):
    """What a credential consists of."""

    PASSWORD = "password"  # noqa: S105 - the word for a kind, not a secret.
    PRIVATE_KEY = "private_key"


@dataclass(frozen=True, slots=True)
class Material:
    """What is kept of what a person gave: ``secrets`` are sealed, ``public`` may be shown."""

    secrets: dict[str, Secret]
    public: dict[str, Any] = field(default_factory=dict)


def material(kind: Kind, given: Given) -> Material:
    """Returns what to keep of ``given``, by its fields' names. Raises ``Invalid`` naming the faulty field."""
    reader, takes = _READERS[kind]
    for name in given:
        if name not in takes:
            raise _invalid(name, f"A credential of the kind {kind} has no {name.replace('_', ' ')}.")
    return reader(given)


def _password(given: Given) -> Material:
    password = _needed(given, "password", "Give the password.")
    if len(password.reveal()) > _MAX_PASSWORD or "\0" in password.reveal():
        raise _invalid("password", f"Use at most {_MAX_PASSWORD:,} characters, and no NUL byte.")
    return Material({"password": password})


def _private_key(given: Given) -> Material:
    text = _needed(given, "private_key", "Paste the private key.").reveal().strip() + "\n"
    if len(text) > _MAX_KEY:
        raise _invalid("private_key", "This is too long for a private key.")
    passphrase = given.get("passphrase")
    key = _load(text, passphrase.reveal() if passphrase is not None and passphrase.reveal() else None)
    if isinstance(key, RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise _invalid("private_key", f"This RSA key has {key.key_size} bits; {_LEAST_RSA_BITS} are the least.")
    # Opened once, here: the vault seals it better than a passphrase that would have to lie beside it, and a
    # worker would derive the same key from the passphrase for every host.
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    algorithm, blob = public.split()[:2]
    shown = {"key_type": algorithm, "fingerprint": fingerprint(blob), "public_key": public}
    return Material({"private_key": Secret(pem.decode())}, shown)


def fingerprint(blob: str) -> str:
    """Returns the fingerprint of a public key in base64 as OpenSSH writes it."""
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _load(text: str, passphrase: str | None) -> Usable:
    data, password = text.encode(errors="replace"), passphrase.encode() if passphrase is not None else None
    load = (
        serialization.load_ssh_private_key
        if "BEGIN OPENSSH PRIVATE KEY" in text
        else serialization.load_pem_private_key
    )
    try:
        key = load(data, password=password)
    except TypeError:
        if passphrase is None:
            raise _invalid(
                "passphrase", "This key is protected by a passphrase. Give it; it is used once, to open the key."
            ) from None
        raise _invalid("passphrase", "This key is not protected by a passphrase: leave it empty.") from None
    except UnsupportedAlgorithm:
        raise _invalid(
            "private_key", "This key is of a kind that cannot be used; ed25519, ecdsa and rsa can."
        ) from None
    except ValueError:
        raise _unreadable(text, passphrase) from None
    if not isinstance(key, Usable):
        raise _invalid("private_key", "This key is of a kind that cannot be used; ed25519, ecdsa and rsa can.")
    return key


def _unreadable(text: str, passphrase: str | None) -> Invalid:
    if passphrase is not None and "PRIVATE KEY-----" in text:
        return _invalid("passphrase", "The key does not open with this passphrase.")
    if text.startswith(("ssh-", "ecdsa-")):
        return _invalid("private_key", "This is the public key. Paste the private one, the file without .pub.")
    return _invalid("private_key", "This is not a private key in a format that can be read (OpenSSH, PEM or PKCS#8).")


def _needed(given: Given, name: str, message: str) -> Secret:
    secret = given.get(name)
    if secret is None or not secret.reveal().strip():
        raise _invalid(name, message, "missing")
    return secret


def _invalid(name: str, message: str, code: str = "invalid") -> Invalid:
    return Invalid(message, errors=[FieldError(name, message, code=code)])


# Which fields each kind takes, and who reads them.
_READERS: dict[Kind, tuple[Callable[[Given], Material], frozenset[str]]] = {
    Kind.PASSWORD: (_password, frozenset({"password"})),
    Kind.PRIVATE_KEY: (_private_key, frozenset({"private_key", "passphrase"})),
}
# The fields of secrets that people can give, over all kinds.
SECRET_FIELDS = tuple(dict.fromkeys(name for _reader, takes in _READERS.values() for name in sorted(takes)))
