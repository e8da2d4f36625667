"""Private keys as text, in every usual format, and the certificates that go with them."""

import base64
import binascii
import time
from copy import copy
from io import StringIO

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate
from paramiko.pkey import PublicBlob
from paramiko.ssh_exception import SSHException

from opsconsole.sentences import Sentence

_CLASSES: tuple[tuple[type[object], type[paramiko.PKey]], ...] = (
    (Ed25519PrivateKey, paramiko.Ed25519Key),
    (EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (RSAPrivateKey, paramiko.RSAKey),
)
_UNKNOWN_KIND = "is of a kind that cannot be used; ed25519, ecdsa and rsa can"
_UNREADABLE = "is not a private key in a format that can be read"
_LOCKED = "is protected by a passphrase; load it into the ssh-agent with ssh-add"
_NOT_OPENED = "cannot be opened with its passphrase"
_NO_CERTIFICATE = "has a certificate that cannot be read"


class UnusableKey(Exception):
    """A key that cannot be used; ``problem`` ends a sentence that begins with the key's name."""

    def __init__(self, message: str, /, **values: object) -> None:
        self.problem = Sentence(message, **values)
        super().__init__(self.problem)


def private_key(data: bytes, passphrase: str | None = None) -> paramiko.PKey:
    """Returns the private key that ``data`` holds in PEM, PKCS#8 or OpenSSH's format. Raises ``UnusableKey``.

    A passphrase that is not needed is no fault. Deriving a key from a passphrase takes up to a second, by intent.
    """
    try:
        loaded = _opened(data, passphrase)
    except UnsupportedAlgorithm:
        raise UnusableKey(_UNKNOWN_KIND) from None
    except (ValueError, IndexError, OverflowError):
        wrong = passphrase is not None and b"PRIVATE KEY-----" in data
        raise UnusableKey(_NOT_OPENED if wrong else _UNREADABLE) from None
    for kind, usable in _CLASSES:
        if isinstance(loaded, kind):
            return _for_paramiko(loaded, usable)
    raise UnusableKey(_UNKNOWN_KIND)


def certificate(line: str) -> PublicBlob:
    """Returns the OpenSSH user certificate in ``line`` (a ``-cert.pub`` file's text). Raises ``UnusableKey``."""
    try:
        if not isinstance(serialization.load_ssh_public_identity(line.strip().encode()), SSHCertificate):
            raise UnusableKey("has no certificate beside it but a plain public key")
        return PublicBlob.from_string(line.strip())
    except (ValueError, UnsupportedAlgorithm, SSHException, binascii.Error):
        raise UnusableKey(_NO_CERTIFICATE) from None


def certified(key: paramiko.PKey, line: str) -> paramiko.PKey:
    """Returns ``key`` with the certificate in ``line``; raises ``UnusableKey`` when that is none of this key's."""
    blob = certificate(line)
    if public_key_of(blob) != key.asbytes():
        raise UnusableKey("has a certificate of another key")
    with_certificate = copy(key)
    with_certificate.public_blob = blob
    return with_certificate


def require_valid(blob: PublicBlob | None) -> None:
    """Raises ``UnusableKey`` when the certificate ``blob``, if there is one, has expired; servers do not say why."""
    if blob is None:
        return
    identity = _identity(blob)
    if isinstance(identity, SSHCertificate) and identity.valid_before <= time.time():
        ended = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(identity.valid_before))
        raise UnusableKey("has a certificate that expired on {ended}", ended=ended)


def public_key_of(blob: PublicBlob) -> bytes:
    """Returns the public key, as the protocol writes it, that a certificate was made for."""
    identity = _identity(blob)
    if not isinstance(identity, SSHCertificate):
        return b""
    plain = identity.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(plain.split()[1])


def _identity(blob: PublicBlob) -> object:
    line = b"%b %b" % (blob.key_type.encode(), base64.b64encode(blob.key_blob))
    return serialization.load_ssh_public_identity(line)


def _opened(data: bytes, passphrase: str | None) -> object:
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        return load(data, password=None)
    except TypeError:
        # It is encrypted.
        if passphrase is None:
            raise UnusableKey(_LOCKED) from None
        return load(data, password=passphrase.encode())


def _for_paramiko(loaded: object, usable: type[paramiko.PKey]) -> paramiko.PKey:
    try:
        text = loaded.private_bytes(  # type: ignore[attr-defined]  # One of _CLASSES.
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        return usable.from_private_key(StringIO(text.decode("ascii")))
    except (SSHException, ValueError):
        # A curve that SSH has no name for.
        raise UnusableKey(_UNKNOWN_KIND) from None
