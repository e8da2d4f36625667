"""Secrets at rest: AES-256-GCM, bound to the row they belong to.

An envelope of two layers: the console's secret key wraps data keys, and data keys seal secrets. So all secrets can be
sealed anew, or the secret key be exchanged, while the console runs.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from opsconsole.errors import Unavailable

_BY_MASTER = b"\x01"
_BY_DATA_KEY = b"\x02"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_ID_BYTES = 8


class Cipher:
    """Seals and opens with keys derived from the console's secret key (HKDF, RFC 5869)."""

    def __init__(self, secret_key: str) -> None:
        self._aead = AESGCM(_derived(secret_key, b"opsconsole secrets v1", _KEY_BYTES))
        # Tells which secret key wrapped a data key, and nothing of the key itself.
        self.master_id = _derived(secret_key, b"opsconsole secret key id v1", _ID_BYTES).hex()

    def seal(self, clear: str, *, place: str) -> bytes:
        """Returns ``clear`` encrypted; ``place`` (table/row/column) must be given again to open it."""
        return _seal(self._aead, _BY_MASTER, clear.encode(), place)

    def open(self, sealed: bytes, *, place: str) -> str:
        """Returns the secret in clear. Raises ``Unavailable`` when another key or another place sealed it."""
        return self._open(sealed, place).decode()

    def wrap(self, key: "DataKey") -> bytes:
        """Returns the data key encrypted, to be stored."""
        return _seal(self._aead, _BY_MASTER, key.material, _place_of(key.id))

    def unwrap(self, key_id: int, wrapped: bytes) -> "DataKey":
        """Returns a stored data key. Raises ``Unavailable`` when another secret key wrapped it, or as another id."""
        return DataKey(key_id, self._open(wrapped, _place_of(key_id)))

    def _open(self, sealed: bytes, place: str) -> bytes:
        try:
            return _open(self._aead, _BY_MASTER, sealed, place)
        except InvalidTag:
            raise other_secret_key() from None


class DataKey:
    """One of the keys that seal secrets. ``material`` is the key itself, random, and only ever stored wrapped."""

    __slots__ = ("_aead", "id", "material")

    def __init__(self, id: int, material: bytes) -> None:  # noqa: A002 - the column's own word
        self.id = id
        self.material = material
        self._aead = AESGCM(material)

    @classmethod
    def new(cls, id: int) -> "DataKey":  # noqa: A002 - the column's own word
        """Returns a new random key."""
        return cls(id, AESGCM.generate_key(_KEY_BYTES * 8))

    def seal(self, clear: str, *, place: str) -> bytes:
        """Returns ``clear`` encrypted; ``place`` (table/row/column) must be given again to open it."""
        return _seal(self._aead, _BY_DATA_KEY, clear.encode(), f"{self.id}:{place}")

    def open(self, sealed: bytes, *, place: str) -> str:
        """Returns the secret in clear. Raises ``Unavailable`` for what was changed, or sealed for another place."""
        try:
            return _open(self._aead, _BY_DATA_KEY, sealed, f"{self.id}:{place}").decode()
        except InvalidTag:
            raise tampered() from None


def other_secret_key() -> Unavailable:
    """Returns the error for what another secret key sealed."""
    return Unavailable(
        "A stored secret cannot be opened: this process has another secret key than the one that sealed it.",
        code="secret_key_mismatch",
    )


def tampered() -> Unavailable:
    """Returns the error for what is not as the console sealed it."""
    return Unavailable(
        "A stored secret cannot be opened: it or the row it belongs to was changed behind the console's back.",
        code="secret_tampered",
    )


def _derived(secret_key: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(secret_key.encode())


def _place_of(key_id: int) -> str:
    return f"data_keys/{key_id}/wrapped"


def _seal(aead: AESGCM, version: bytes, clear: bytes, place: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return version + nonce + aead.encrypt(nonce, clear, place.encode())


def _open(aead: AESGCM, version: bytes, sealed: bytes, place: str) -> bytes:
    if sealed[:1] != version or len(sealed) <= 1 + _NONCE_BYTES:
        raise Unavailable("A stored secret has an unknown format.", code="secret_format")
    return aead.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], place.encode())
