"""OpenSSH host certificates: whose signature they bear, and what is wrong with one for the host it was shown by.

A certificate travels as a ``KnownKey`` whose algorithm ends in ``-cert-v01@openssh.com`` (PROTOCOL.certkeys).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.sentences import Sentence

_SUFFIX = "-cert-v01@openssh.com"
# The greatest time a certificate can name stands for "for ever".
_FOR_EVER = 2**64 - 1
_NAMES_TOLD = 3


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """A certificate as it was read: the plain ``key`` it is for, and the ``signer``'s key."""

    key: KnownKey
    signer: KnownKey
    read: SSHCertificate

    def problem(self, names: Collection[str], now: datetime) -> str | None:
        """Returns why it does not prove that its holder is one of ``names``, as the end of a sentence, or ``None``."""
        read = self.read
        if not self.signed:
            return Sentence("does not bear a valid signature")
        if read.type is not SSHCertificateType.HOST:
            return Sentence("is one for users, not for hosts")
        begins, ends = read.valid_after, read.valid_before
        if now.timestamp() < begins:
            return Sentence("is not valid before {when}", when=_when(begins))
        if ends != _FOR_EVER and now.timestamp() >= ends:
            return Sentence("expired on {when}", when=_when(ends))
        if read.critical_options:
            return Sentence("has a critical option, and none is defined for hosts")
        # A certificate without names would be one for every host there is, so it is one for none.
        principals = [principal.decode("ascii", "replace").lower() for principal in read.valid_principals]
        if not {name.lower() for name in names}.intersection(principals):
            return Sentence(
                "is for {principals}, not for {names}", principals=_told(principals), names=_told(list(names))
            )
        return None

    @property
    def signed(self) -> bool:
        """Returns whether the signer did sign it."""
        try:
            self.read.verify_cert_signature()
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def is_certificate(shown: KnownKey) -> bool:
    """Returns whether a server showed a certificate instead of a plain key."""
    return shown.algorithm.endswith(_SUFFIX)


def read_certificate(shown: KnownKey) -> HostCertificate | None:
    """Returns the certificate that a server showed, or ``None`` when it cannot be read."""
    try:
        read = load_ssh_public_identity(f"{shown.algorithm} {shown.key}".encode("ascii"))
        if not isinstance(read, SSHCertificate):
            return None
        signer = read.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        plain = read.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return HostCertificate(_known(plain), _known(signer), read)


def _known(line: bytes) -> KnownKey:
    algorithm, key = line.decode("ascii").split()[:2]
    return KnownKey(algorithm, key)


def _when(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time far off"


def _told(names: list[str]) -> str:
    """Returns names for a sentence; those in a certificate come from the host and may hold anything."""
    shown = ["".join(char if char.isprintable() else "?" for char in name[:60]) for name in names[:_NAMES_TOLD]]
    return ", ".join(shown) + (" and others" if len(names) > _NAMES_TOLD else "") if names else "nobody"
