"""Private keys in every usual format, as OpenSSH itself writes them, and certificates that are of use or not."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from opsconsole.ssh.keyformats import UnusableKey, certificate, certified, private_key, public_key_of
from tests.support.requirements import need_ssh
from tests.support.sshd import make_key, sign_user_key

PASSPHRASE = "open ünder würfel"
_KINDS = ["ed25519", "ecdsa", "rsa"]


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE], ids=["plain", "passphrase"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [(kind, form) for kind in _KINDS for form in ("RFC4716", "PKCS8", "PEM") if (kind, form) != ("ed25519", "PEM")],
)
def test_what_ssh_keygen_writes_is_read(tmp_path: Path, kind: str, form: str, passphrase: str) -> None:
    path = tmp_path / "key"
    # Few rounds: how long a derivation takes is not what is looked at.
    size = ["-b", "2048"] if kind == "rsa" else []
    _, program = need_ssh()
    words = [str(program), "-q", "-t", kind, *size, "-m", form, "-N", passphrase, "-C", "", "-a", "1", "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    key = private_key(path.read_bytes(), passphrase or None)
    assert key.get_base64() == path.with_name("key.pub").read_text().split()[1]
    assert key.can_sign()
    if passphrase:
        with pytest.raises(UnusableKey, match="protected by a passphrase"):
            private_key(path.read_bytes())
        with pytest.raises(UnusableKey, match="cannot be opened with its passphrase"):
            private_key(path.read_bytes(), "another")
    else:
        # One that is not needed does no harm.
        assert private_key(path.read_bytes(), PASSPHRASE) == key


@pytest.mark.parametrize(
    "made",
    [
        dsa.generate_private_key(1024),
        ed448.Ed448PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["dsa", "ed448", "secp256k1"],
)
def test_a_kind_that_ssh_has_no_use_for_is_told(made: dsa.DSAPrivateKey) -> None:
    data = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnusableKey, match="of a kind that cannot be used"):
        private_key(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"ssh-ed25519 AAAA",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n\xff\xfe\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_key_is_told(data: bytes) -> None:
    with pytest.raises(UnusableKey, match="not a private key in a format that can be read"):
        private_key(data)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_certificate_goes_with_its_key_alone(tmp_path: Path, kind: str) -> None:
    make_key(tmp_path / "authority")
    for name in ("mine", "other"):
        make_key(tmp_path / name, kind)
    line = sign_user_key(tmp_path / "authority", tmp_path / "mine", principals="ops")
    mine = private_key((tmp_path / "mine").read_bytes())
    assert public_key_of(certificate(line)) == mine.asbytes()
    shown = certified(mine, line)
    assert shown.public_blob is not None
    assert mine.public_blob is None
    with pytest.raises(UnusableKey, match="certificate of another key"):
        certified(private_key((tmp_path / "other").read_bytes()), line)


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    with pytest.raises(UnusableKey, match="plain public key"):
        certificate(public)
    for line in ("", "ssh-ed25519-cert-v01@openssh.com AAAA", "nonsense", "ssh-ed25519-cert-v01@openssh.com ÄÄ"):
        with pytest.raises(UnusableKey, match="cannot be read"):
            certificate(line)


def test_an_old_encryption_that_only_cryptography_writes(tmp_path: Path) -> None:
    made = ec.generate_private_key(ec.SECP521R1())
    data = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    assert private_key(data, PASSPHRASE).get_name() == "ecdsa-sha2-nistp521"
