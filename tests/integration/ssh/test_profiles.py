"""Algorithms: an old device is reached with the profile ``legacy`` alone, and nobody else is ever offered it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from opsconsole.jobs.ports import Exited, Hop, Profile
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from opsconsole.ssh.legacy import LegacyTransport
from opsconsole.ssh.transport import ClientTransport
from tests.support.runs import connect, refused, run
from tests.support.sshd import Sshd, running_sshd

_OLD = {
    "KexAlgorithms": "diffie-hellman-group14-sha1",
    "HostKeyAlgorithms": "ssh-rsa",
    "Ciphers": "aes128-cbc,3des-cbc",
    "MACs": "hmac-sha1",
}


@pytest.fixture(scope="module")
def device() -> Iterator[Sshd]:
    """A server that speaks what devices of 2010 speak."""
    with running_sshd(host_key_types=("rsa",), options=_OLD) as server:
        yield server


def test_an_old_device_is_told_as_one_and_reached_with_its_profile(
    connector: ParamikoConnector, device: Sshd, sshd: Sshd
) -> None:
    answer = refused(connector, device.target(), device.auth())
    assert answer.reason is Reason.PROTOCOL
    assert "profile legacy" in answer.detail
    old = device.target(profile=Profile.LEGACY)
    result = run(connector, old, device.auth(), "head -c 300000 /dev/zero", keep=True)
    assert (len(result.stdout), result.end) == (300_000, Exited(0))
    # What was made with the profile serves nobody who does not ask for it.
    assert refused(connector, device.target(), device.auth()).reason is Reason.PROTOCOL
    assert refused(connector, replace(old, known_keys=(sshd.known_key("rsa"),)), device.auth()).reason is (
        Reason.HOST_KEY_CHANGED
    )


@pytest.mark.parametrize("option", ["KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "MACs"])
def test_each_kind_of_what_is_missing_is_named(connector: ParamikoConnector, option: str) -> None:
    words = {
        "KexAlgorithms": "no key exchange in common",
        "HostKeyAlgorithms": "no host key type in common",
        "Ciphers": "no cipher in common",
        "MACs": "no message authentication code in common",
    }
    # A cipher with its own authentication needs no other.
    more = {"Ciphers": "aes128-ctr"} if option == "MACs" else {}
    with running_sshd(host_key_types=("rsa",), options={option: _OLD[option], **more}) as server:
        assert words[option] in refused(connector, server.target(), server.auth()).detail


def test_an_old_device_behind_a_jump_host_and_an_old_jump_host(
    connector: ParamikoConnector, device: Sshd, sshd: Sshd
) -> None:
    at = sshd.target("127.0.9.1")
    modern = Hop("bastion", at.address, at.port, at.user, sshd.auth(), known_keys=at.known_keys)
    connect(connector, device.target(profile=Profile.LEGACY, via=(modern,)), device.auth()).close(keep=False)
    old = device.target("127.0.9.2")
    legacy = Hop("old", old.address, old.port, old.user, device.auth(), old.known_keys, profile=Profile.LEGACY)
    connect(connector, sshd.target(via=(legacy,)), sshd.auth()).close(keep=False)


def test_the_modern_profile_is_tried_first_by_both() -> None:
    for name in ("_preferred_kex", "_preferred_ciphers", "_preferred_macs"):
        modern = getattr(ClientTransport, name)
        assert getattr(LegacyTransport, name)[: len(modern)] == modern
    offered = {*LegacyTransport._preferred_kex, *LegacyTransport._preferred_ciphers, *LegacyTransport._preferred_macs}
    assert not [name for name in offered if any(broken in name for broken in ("group1-", "md5", "arcfour", "dss"))]
