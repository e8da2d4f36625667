"""The algorithms of the profile ``legacy``, for devices that speak nothing newer. Never offered to any other host.

What paramiko still has is added by name. Of what it has dropped, the 2048-bit key exchange and RSA host keys with SHA-1
come back here, as they are what such devices have in common. What has been broken in practice stays away: 1024-bit
groups, DSA, RC4 and MD5.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from paramiko import RSAKey
from paramiko.kex_group14 import KexGroup14SHA256
from paramiko.message import Message

from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Wire

SHA1_RSA = "ssh-rsa"


class KexGroup14SHA1(KexGroup14SHA256):
    """RFC 4253, 8.2: the same group of 2048 bits with SHA-1."""

    name = "diffie-hellman-group14-sha1"
    hash_algo = sha1


class Sha1RSAKey(RSAKey):
    """An RSA host key that may sign with SHA-1 as well."""

    def verify_ssh_sig(self, data: bytes, msg: Message) -> bool:
        """Returns whether ``msg`` holds this key's signature of ``data``."""
        reading = Message(msg.asbytes())
        if reading.get_text() != SHA1_RSA:
            return super().verify_ssh_sig(data, msg)
        signature = reading.get_binary()
        public = self.key.public_key() if isinstance(self.key, RSAPrivateKey) else self.key
        if public is None:
            return False
        try:
            public.verify(signature, data, PKCS1v15(), SHA1())  # noqa: S303 - asked for by the profile alone.
        except InvalidSignature:
            return False
        return True


class LegacyTransport(ClientTransport):
    """A connection that takes the old algorithms where the server has no modern one."""

    _kex_info: ClassVar[dict[str, Any]] = {**ClientTransport._kex_info, KexGroup14SHA1.name: KexGroup14SHA1}
    _key_info: ClassVar[dict[str, Any]] = {**ClientTransport._key_info, SHA1_RSA: Sha1RSAKey}
    _preferred_kex = (*ClientTransport._preferred_kex, KexGroup14SHA1.name)
    _preferred_ciphers = (*ClientTransport._preferred_ciphers, "aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
    _preferred_macs = (*ClientTransport._preferred_macs, "hmac-sha1")

    def __init__(self, wire: Wire, known_algorithms: Sequence[str], *, certified: bool = False) -> None:
        super().__init__(wire, known_algorithms, certified=certified)
        modern = tuple(self._preferred_keys)
        # A key of RSA that is known is asked for in its new form first; the old form comes before other kinds of key,
        # which nobody trusted yet.
        at = max((place + 1 for place, name in enumerate(modern) if name.startswith("rsa-")), default=len(modern))
        self._preferred_keys = (*modern[:at], SHA1_RSA, *modern[at:])
