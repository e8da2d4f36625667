"""Which addresses may be dialled, as a table."""

from ipaddress import ip_address

import pytest

from opsconsole.ssh.networks import NetworkPolicy

_OPEN = NetworkPolicy.of(allow_loopback=True, networks=())
_CLOSED = NetworkPolicy.of(allow_loopback=False, networks=())
_LISTED = NetworkPolicy.of(allow_loopback=False, networks=["10.0.0.0/8", "2001:db8::/32"])
_NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
_LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
_ORDINARY = ["10.1.2.3", "192.168.1.1", "172.16.0.1", "8.8.8.8", "2001:db8::1", "fd00::1", "100.64.0.1"]


@pytest.mark.parametrize("text", _NEVER)
@pytest.mark.parametrize("policy", [_OPEN, _CLOSED, NetworkPolicy.of(True, ["0.0.0.0/0", "::/0"])])
def test_never(policy: NetworkPolicy, text: str) -> None:
    refusal = policy.refusal(ip_address(text))
    assert refusal is not None
    assert "never" in refusal


@pytest.mark.parametrize("text", _LOOPBACK)
def test_loopback_only_when_allowed(text: str) -> None:
    assert _OPEN.refusal(ip_address(text)) is None
    assert _CLOSED.refusal(ip_address(text)) is not None


@pytest.mark.parametrize("text", _ORDINARY)
def test_ordinary_addresses(text: str) -> None:
    assert _CLOSED.refusal(ip_address(text)) is None
    inside = text.startswith(("10.", "2001:db8"))
    assert (_LISTED.refusal(ip_address(text)) is None) == inside


def test_a_mapped_address_is_judged_by_both_its_forms() -> None:
    policy = NetworkPolicy.of(False, ["::/0"])
    assert policy.refusal(ip_address("::ffff:10.0.0.1")) is not None
    assert NetworkPolicy.of(False, ["::/0", "10.0.0.0/8"]).refusal(ip_address("::ffff:10.0.0.1")) is None


def test_a_wrong_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="host bits"):
        NetworkPolicy.of(False, ["10.0.0.1/8"])
