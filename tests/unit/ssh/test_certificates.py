"""What a host certificate is worth: each flaw by itself, with certificates made for the purpose."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)

from opsconsole.inventory.known_hosts import Authority, KnownKey
from opsconsole.jobs.ports import HostKeyPolicy, Target
from opsconsole.jobs.states import Reason
from opsconsole.ssh.certificates import read_certificate
from opsconsole.ssh.hostkeys import check, is_new, plain_key
from tests.support.factories import make_key

NOW = datetime.now(UTC)
CA, HOST = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OTHER = make_key()


def known(key: Ed25519PrivateKey) -> KnownKey:
    algorithm, blob = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode().split()
    return KnownKey(algorithm, blob)


def certificate(
    *,
    principals: tuple[str, ...] = ("web1", "10.0.0.1"),
    kind: SSHCertificateType = SSHCertificateType.HOST,
    begins: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(hours=1),
    option: bytes | None = None,
    signer: Ed25519PrivateKey = CA,
) -> KnownKey:
    builder = SSHCertificateBuilder().public_key(HOST.public_key()).serial(1).type(kind).key_id(b"x")
    builder = builder.valid_principals([name.encode() for name in principals])
    builder = builder.valid_after(int((NOW + begins).timestamp())).valid_before(int((NOW + ends).timestamp()))
    if option is not None:
        builder = builder.add_critical_option(option, b"")
    algorithm, blob = builder.sign(signer).public_bytes().decode().split()[:2]
    return KnownKey(algorithm, blob)


def target(**changes: Any) -> Target:
    fields = {"authorities": (Authority(known(CA), ("10.0.0.1", "web1")),), **changes}
    return Target("web1", "10.0.0.1", 22, "ops", **fields)


def tampered() -> KnownKey:
    shown = certificate()
    blob = bytearray(base64.b64decode(shown.key))
    blob[-1] ^= 1
    return KnownKey(shown.algorithm, base64.b64encode(blob).decode())


def test_a_good_one_stands_for_the_key() -> None:
    shown = certificate()
    for trusted in ((), (OTHER,), (known(HOST),)):
        assert check(target(known_keys=trusted), shown) is None
        assert not is_new(target(known_keys=trusted), shown)
    assert plain_key(shown) == known(HOST)
    assert check(target(), certificate(principals=("WEB1",))) is None


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (certificate(ends=timedelta(minutes=-1)), "expired on"),
        (certificate(begins=timedelta(minutes=30)), "is not valid before"),
        (certificate(principals=("web2", "10.0.0.2")), "is for web2, 10.0.0.2, not for 10.0.0.1, web1"),
        (certificate(principals=("*",)), "is for *, not for"),
        (certificate(kind=SSHCertificateType.USER), "is one for users"),
        (certificate(option=b"force-command"), "critical option"),
    ],
)
def test_one_that_does_not_count_here_and_now(shown: KnownKey, words: str) -> None:
    for policy in HostKeyPolicy:
        answer = check(target(host_key_policy=policy), shown)
        assert answer is not None
        assert answer.reason is Reason.HOST_CERTIFICATE
        assert words in answer.detail
    # Then it is worth what its key is worth: that may be trusted. Another trusted key makes it no change.
    assert check(target(known_keys=(known(HOST),)), shown) is None
    changed = check(target(known_keys=(OTHER,)), shown)
    assert changed is not None
    assert changed.reason is Reason.HOST_CERTIFICATE


@pytest.mark.parametrize("shown", [tampered(), certificate(signer=Ed25519PrivateKey.generate())])
def test_one_that_no_authority_signed_is_a_plain_key(shown: KnownKey) -> None:
    unknown = check(target(), shown)
    assert unknown is not None
    assert (unknown.reason, unknown.offered) == (Reason.HOST_KEY_UNKNOWN, known(HOST))
    changed = check(target(known_keys=(OTHER,)), shown)
    assert changed is not None
    assert (changed.reason, changed.offered) == (Reason.HOST_KEY_CHANGED, known(HOST))
    assert check(target(host_key_policy=HostKeyPolicy.ACCEPT_NEW), shown) is None
    assert is_new(target(host_key_policy=HostKeyPolicy.ACCEPT_NEW), shown)


@pytest.mark.parametrize("revoked", [CA, HOST])
def test_what_is_revoked_counts_for_nothing(revoked: Ed25519PrivateKey) -> None:
    trusting = target(known_keys=(known(HOST),), revoked_keys=(known(revoked),))
    answer = check(trusting, certificate())
    assert answer is not None
    assert (answer.reason, answer.retryable, answer.offered) == (Reason.HOST_KEY_REVOKED, False, None)
    plain = check(trusting, known(HOST))
    assert (plain is None) == (revoked is CA)


def test_garbage_is_no_certificate() -> None:
    shown = KnownKey("ssh-ed25519-cert-v01@openssh.com", "AAAA")
    assert read_certificate(shown) is None
    answer = check(target(), shown)
    assert answer is not None
    assert answer.reason is Reason.HOST_KEY_UNKNOWN


def test_an_expired_one_is_refused_whatever_the_clock_said_when_it_was_read() -> None:
    read = read_certificate(certificate())
    assert read is not None
    assert read.problem(["web1"], NOW) is None
    assert "expired" in (read.problem(["web1"], NOW + timedelta(hours=2)) or "")
