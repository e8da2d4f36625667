"""The kinds of credentials: what a person gives for each, what is sealed of it and what may be shown. Pure."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    SSHCertPublicKeyTypes,
)

from opsconsole.credentials.places import place_of
from opsconsole.errors import FieldError, Invalid
from opsconsole.secret import Secret
from opsconsole.sentences import Sentence

_MAX_PASSWORD = 1024
_MAX_ANSWERS = 8
_MAX_KEY = 64 * 1024
_LEAST_RSA_BITS = 2048
_END_OF_TIME = 2**40
_EXTERNAL = ("source", "path", "field", "holds", "role")
_LINE_END = re.compile(r"\r\n|\n|\r")
Usable = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
_SOON = timedelta(days=1)
Given = Mapping[str, Secret]


class Kind(StrEnum):
    """What a credential consists of."""

    PASSWORD = "password"  # noqa: S105 - the word for a kind, not a secret.
    PRIVATE_KEY = "private_key"
    CERTIFICATE = "certificate"
    AGENT = "agent"
    KEYBOARD_INTERACTIVE = "keyboard_interactive"
    EXTERNAL = "external"


class Validity(StrEnum):
    """Why a certificate needs a look: servers refuse it, or will within a day."""

    EXPIRED = "expired"
    NOT_YET = "not_yet"
    ENDS_SOON = "ends_soon"


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
            raise _invalid(
                name, Sentence("A credential of the kind {kind} has no {name}.", kind=kind, name=name.replace("_", " "))
            )
    return reader(given)


def _password(given: Given) -> Material:
    password = _needed(given, "password", "Give the password.")
    if len(password.reveal()) > _MAX_PASSWORD or "\0" in password.reveal():
        raise _invalid(
            "password",
            Sentence("Use at most {limit:,} characters, and no NUL byte.", limit=_MAX_PASSWORD),
        )
    return Material({"password": password})


def _private_key(given: Given) -> Material:
    key = _given_key(given)
    return Material({"private_key": _sealable(key)}, _public_facts(key.public_key()))


def _certificate(given: Given) -> Material:
    """The key is left away when the workers' ssh-agent holds it."""
    line = _needed(given, "certificate", "Paste the certificate, the file that ends in -cert.pub.").reveal().strip()
    certificate = _read_certificate(line)
    public = _public_facts(certificate.public_key()) | _certificate_facts(line, certificate)
    if not given.get("private_key") or not given["private_key"].reveal().strip():
        if given.get("passphrase") and given["passphrase"].reveal():
            raise _invalid("passphrase", "A passphrase goes with a private key.")
        return Material({}, public)
    key = _given_key(given)
    if _public_facts(key.public_key())["fingerprint"] != public["fingerprint"]:
        raise _invalid("certificate", "This certificate was made for another key.")
    return Material({"private_key": _sealable(key)}, public)


def _agent(_given: Given) -> Material:
    return Material({})


def _keyboard_interactive(given: Given) -> Material:
    """Kept as they were typed: one answer a line, in the order of the prompts."""
    text = (
        _needed(given, "answers", "Give the answers, one a line, in the order of the prompts.").reveal().strip("\r\n")
    )
    lines = answers(Secret(text))
    if not 1 <= len(lines) <= _MAX_ANSWERS or any(not line.reveal() for line in lines):
        raise _invalid(
            "answers",
            Sentence("Give 1 to {limit} answers, one a line, none of them empty.", limit=_MAX_ANSWERS),
        )
    if any(len(line.reveal()) > _MAX_PASSWORD or "\0" in line.reveal() for line in lines):
        raise _invalid(
            "answers",
            Sentence("Use at most {limit:,} characters for an answer, and no NUL byte.", limit=_MAX_PASSWORD),
        )
    return Material({"answers": Secret(text)})


def answers(kept: Secret) -> tuple[Secret, ...]:
    """Returns the answers of a ``keyboard_interactive`` credential from the form in which they are kept."""
    return tuple(Secret(line) for line in _LINE_END.split(kept.reveal()))


def _external(given: Given) -> Material:
    said = {name: given[name].reveal().strip() for name in _EXTERNAL if name in given and given[name].reveal().strip()}
    return Material({}, asdict(place_of(said)))


def fingerprint(blob: str) -> str:
    """Returns the fingerprint of a public key in base64 as OpenSSH writes it."""
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _given_key(given: Given) -> Usable:
    text = _needed(given, "private_key", "Paste the private key.").reveal().strip() + "\n"
    if len(text) > _MAX_KEY:
        raise _invalid("private_key", "This is too long for a private key.")
    passphrase = given.get("passphrase")
    key = _load(text, passphrase.reveal() if passphrase is not None and passphrase.reveal() else None)
    if isinstance(key, RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise _invalid(
            "private_key",
            Sentence(
                "This RSA key has {key_size} bits; {least_rsa_bits} are the least.",
                key_size=key.key_size,
                least_rsa_bits=_LEAST_RSA_BITS,
            ),
        )
    return key


def _sealable(key: Usable) -> Secret:
    # Opened once, here: the vault seals it better than a passphrase that would have to lie beside it, and a
    # worker would derive the same key from the passphrase for every host.
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return Secret(pem.decode())


def _public_facts(key: SSHCertPublicKeyTypes) -> dict[str, Any]:
    public = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    algorithm, blob = public.split()[:2]
    return {"key_type": algorithm, "fingerprint": fingerprint(blob), "public_key": public}


def _read_certificate(line: str) -> SSHCertificate:
    message = "This is not an OpenSSH user certificate: one line, as ssh-keygen -s writes it."
    if len(line) > _MAX_KEY or len(line.splitlines()) != 1:
        raise _invalid("certificate", message)
    try:
        found = serialization.load_ssh_public_identity(line.encode(errors="replace"))
        if not isinstance(found, SSHCertificate) or found.type is not SSHCertificateType.USER:
            raise _invalid("certificate", message)
        found.verify_cert_signature()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise _invalid("certificate", message) from None
    return found


def _certificate_facts(line: str, certificate: SSHCertificate) -> dict[str, Any]:
    return {
        "certificate": line,
        "certificate_id": certificate.key_id.decode(errors="replace"),
        "serial": str(certificate.serial),
        "principals": [name.decode(errors="replace") for name in certificate.valid_principals],
        "valid_after": _moment(certificate.valid_after),
        "valid_before": _moment(certificate.valid_before),
        "authority": _public_facts(certificate.signature_key())["fingerprint"],
        "options": sorted(name.decode(errors="replace") for name in certificate.critical_options),
    }


def _moment(seconds: int) -> str | None:
    """Returns a certificate's time in ISO 8601, ``None`` for its beginning or end of all times."""
    if not 0 < seconds < _END_OF_TIME:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def validity(public: Mapping[str, Any], now: datetime) -> Validity | None:
    """Returns what is wrong, or soon will be, with the time for which a certificate is valid; ``None`` when nothing is,
    and for other kinds."""
    begins, ends = public.get("valid_after"), public.get("valid_before")
    if ends is not None and datetime.fromisoformat(ends) <= now:
        return Validity.EXPIRED
    if begins is not None and datetime.fromisoformat(begins) > now:
        return Validity.NOT_YET
    if ends is not None and datetime.fromisoformat(ends) <= now + _SOON:
        return Validity.ENDS_SOON
    return None


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
    Kind.CERTIFICATE: (_certificate, frozenset({"certificate", "private_key", "passphrase"})),
    Kind.AGENT: (_agent, frozenset()),
    Kind.KEYBOARD_INTERACTIVE: (_keyboard_interactive, frozenset({"answers"})),
    Kind.EXTERNAL: (_external, frozenset(_EXTERNAL)),
}
# What of it is no secret: it may be an argument of a command, and is shown again.
PLAIN_FIELDS = frozenset(_EXTERNAL)
# The fields of secrets that people can give, over all kinds.
SECRET_FIELDS = tuple(dict.fromkeys(name for _reader, takes in _READERS.values() for name in sorted(takes)))


def fields_of(kind: Kind) -> frozenset[str]:
    """Returns the fields of secrets that a kind takes."""
    return _READERS[kind][1]
