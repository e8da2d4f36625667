"""Which host key is spoken to, as a table, and which kinds are asked for first."""

import base64

import pytest

from opsconsole.jobs.ports import HostKeyPolicy, KnownKey, Target
from opsconsole.jobs.states import Reason
from opsconsole.ssh.hostkeys import check
from opsconsole.ssh.transport import host_key_order


def _key(algorithm: str, seed: int) -> KnownKey:
    name = algorithm.encode()
    return KnownKey(algorithm, base64.b64encode(len(name).to_bytes(4, "big") + name + bytes([seed] * 32)).decode())


_A, _B, _RSA = _key("ssh-ed25519", 1), _key("ssh-ed25519", 2), _key("ssh-rsa", 3)


@pytest.mark.parametrize(
    ("known", "policy", "reason"),
    [
        ((_A,), HostKeyPolicy.STRICT, None),
        ((_B, _A), HostKeyPolicy.ACCEPT_NEW, None),
        ((), HostKeyPolicy.ACCEPT_NEW, None),
        ((), HostKeyPolicy.STRICT, Reason.HOST_KEY_UNKNOWN),
        ((_B,), HostKeyPolicy.STRICT, Reason.HOST_KEY_CHANGED),
        ((_B,), HostKeyPolicy.ACCEPT_NEW, Reason.HOST_KEY_CHANGED),
        ((_RSA,), HostKeyPolicy.ACCEPT_NEW, Reason.HOST_KEY_CHANGED),
    ],
)
def test_a_shown_key(known: tuple[KnownKey, ...], policy: HostKeyPolicy, reason: Reason | None) -> None:
    answer = check(Target("web", "10.0.0.1", 22, "ops", known, policy), _A)
    assert (answer.reason if answer else None) == reason
    if answer:
        assert answer.offered == _A
        assert not answer.retryable


def test_known_kinds_are_asked_for_first() -> None:
    assert host_key_order([])[0] == "ssh-ed25519"
    assert host_key_order(["ssh-rsa"])[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert host_key_order(["ecdsa-sha2-nistp384", "ssh-ed25519"])[:2] == ("ssh-ed25519", "ecdsa-sha2-nistp384")
    assert sorted(host_key_order(["ssh-rsa"])) == sorted(host_key_order([]))
