"""Secrets at rest: AES-256-GCM, bound to the row they belong to."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from opsconsole.errors import Unavailable

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Cipher:
    """Seals and opens secrets with a key derived from the console's secret key (HKDF, RFC 5869)."""

    def __init__(self, secret_key: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"opsconsole secrets v1").derive(secret_key.encode())
        self._aead = AESGCM(key)

    def seal(self, clear: str, *, place: str) -> bytes:
        """Returns ``clear`` encrypted; ``place`` (table/row/column) must be given again to open it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, clear.encode(), place.encode())

    def open(self, sealed: bytes, *, place: str) -> str:
        """Returns the secret in clear. Raises ``Unavailable`` when another key or another place sealed it."""
        if sealed[:1] != _VERSION or len(sealed) <= 1 + _NONCE_BYTES:
            raise Unavailable("A stored secret has an unknown format.", code="secret_format")
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            return self._aead.decrypt(nonce, sealed[1 + _NONCE_BYTES :], place.encode()).decode()
        except InvalidTag:
            raise Unavailable(
                "A stored secret cannot be opened: this process has another secret key than the one that sealed it.",
                code="secret_key_mismatch",
            ) from None
