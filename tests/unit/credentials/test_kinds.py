"""What people give of each kind is checked, told with its field, and kept in one form."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from opsconsole.credentials.kinds import Kind, material
from opsconsole.errors import Invalid
from opsconsole.secret import Secret

_PEM = serialization.Encoding.PEM
_FORMATS = serialization.PrivateFormat
_OPEN = serialization.NoEncryption()
_LOCKED = serialization.BestAvailableEncryption(b"open sesame")
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
ECDSA = ec.generate_private_key(ec.SECP256R1())


def text(key: Any, form: serialization.PrivateFormat, lock: Any = _OPEN) -> str:
    return str(key.private_bytes(_PEM, form, lock).decode())


def given(**fields: str) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("key", "form", "kind", "algorithm"),
    [
        (RSA, _FORMATS.OpenSSH, paramiko.RSAKey, "ssh-rsa"),
        (RSA, _FORMATS.PKCS8, paramiko.RSAKey, "ssh-rsa"),
        (RSA, _FORMATS.TraditionalOpenSSL, paramiko.RSAKey, "ssh-rsa"),
        (ECDSA, _FORMATS.OpenSSH, paramiko.ECDSAKey, "ecdsa-sha2-nistp256"),
        (ECDSA, _FORMATS.PKCS8, paramiko.ECDSAKey, "ecdsa-sha2-nistp256"),
        (ECDSA, _FORMATS.TraditionalOpenSSL, paramiko.ECDSAKey, "ecdsa-sha2-nistp256"),
        (ED25519, _FORMATS.OpenSSH, paramiko.Ed25519Key, "ssh-ed25519"),
        (ED25519, _FORMATS.PKCS8, paramiko.Ed25519Key, "ssh-ed25519"),
    ],
)
@pytest.mark.parametrize("lock", [None, "open sesame"])
def test_every_usual_key_is_kept_in_one_format(
    key: Any, form: serialization.PrivateFormat, kind: Callable[..., Any], algorithm: str, lock: str | None
) -> None:
    pem = text(key, form, _LOCKED if lock else _OPEN)
    # People paste with spaces around, and from files of other systems.
    fields = given(private_key="\n  " + pem.replace("\n", "\r\n"), **({"passphrase": lock} if lock else {}))
    kept = material(Kind.PRIVATE_KEY, fields)
    assert set(kept.secrets) == {"private_key"}
    stored = kept.secrets["private_key"].reveal()
    assert stored.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    loaded = kind.from_private_key(StringIO(stored))  # type: ignore[attr-defined]
    assert kept.public["key_type"] == algorithm
    assert kept.public["fingerprint"] == loaded.fingerprint
    assert kept.public["public_key"] == f"{loaded.get_name()} {loaded.get_base64()}"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({}, "private_key", "Paste"),
        ({"private_key": "hello"}, "private_key", "not a private key"),
        ({"private_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"}, "private_key", "public key"),
        ({"private_key": text(ED25519, _FORMATS.OpenSSH, _LOCKED)}, "passphrase", "protected by a passphrase"),
        ({"private_key": text(RSA, _FORMATS.PKCS8, _LOCKED)}, "passphrase", "protected by a passphrase"),
        (
            {"private_key": text(ED25519, _FORMATS.OpenSSH, _LOCKED), "passphrase": "wrong"},
            "passphrase",
            "does not open",
        ),
        ({"private_key": text(RSA, _FORMATS.PKCS8, _LOCKED), "passphrase": "wrong"}, "passphrase", "does not open"),
        ({"private_key": text(ED25519, _FORMATS.PKCS8), "passphrase": "x"}, "passphrase", "leave it empty"),
        (
            {"private_key": text(rsa.generate_private_key(65537, 1024), _FORMATS.PKCS8)},
            "private_key",
            "1024 bits",
        ),
        ({"private_key": text(ed448.Ed448PrivateKey.generate(), _FORMATS.PKCS8)}, "private_key", "cannot be used"),
        ({"private_key": "x" * 70_000}, "private_key", "too long"),
        ({"password": "x"}, "password", "has no password"),
    ],
)
def test_a_key_that_cannot_be_used_says_why_and_never_itself(fields: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        material(Kind.PRIVATE_KEY, given(**fields))
    assert [fault.field for fault in caught.value.errors] == [field]
    assert words in caught.value.detail
    assert "PRIVATE KEY" not in caught.value.detail
    assert caught.value.__cause__ is None


def test_a_password_is_kept_as_it_is_typed() -> None:
    assert material(Kind.PASSWORD, given(password=" a b ")).secrets["password"].reveal() == " a b "
    for bad in ({}, {"password": "  "}, {"password": "x" * 1025}, {"password": "a\0b"}, {"private_key": "x"}):
        with pytest.raises(Invalid):
            material(Kind.PASSWORD, given(**bad))
