"""Tests of connections against real servers: each step on the way, and the step at which it ends."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.jobs.ports import Auth, Become, Hop, HostKeyPolicy, KnownKey, Limits, Secret, Target
from opsconsole.jobs.probe import Finding, Stage, Verdict
from opsconsole.ssh import ParamikoConnector
from tests.support.sshd import Sshd, free_port, running_sshd

_WAY = (Stage.NAME, Stage.NETWORK, Stage.TCP, Stage.KEY_EXCHANGE, Stage.HOST_KEY, Stage.LOGIN, Stage.SHELL)
_LIMITS = Limits(connect=10.0)


def stages(found: Sequence[Finding]) -> list[Stage]:
    return [finding.stage for finding in found]


def end(found: Sequence[Finding]) -> tuple[Stage, str]:
    """Returns the step that failed, which is the last one, and what was said of it."""
    assert [finding.verdict for finding in found[:-1]].count(Verdict.FAILED) == 0
    assert found[-1].verdict is Verdict.FAILED, found
    return found[-1].stage, found[-1].detail


def test_each_step_to_a_host_that_can_be_used(connector: ParamikoConnector, sshd: Sshd) -> None:
    found = connector.probe(sshd.target("127.0.0.4"), sshd.auth(), _LIMITS)
    assert stages(found) == list(_WAY)
    assert {finding.verdict for finding in found} == {Verdict.OK}
    told = {finding.stage: finding.detail for finding in found}
    assert told[Stage.TCP] == f"127.0.0.4 port {sshd.port} takes connections."
    assert "ssh-ed25519" in told[Stage.KEY_EXCHANGE]
    assert "is trusted" in told[Stage.HOST_KEY]
    assert told[Stage.LOGIN].startswith(f"Logged in as {sshd.user} by publickey (")
    assert f"run as {sshd.user}" in told[Stage.SHELL]
    assert "Linux" in told[Stage.SHELL]


def test_a_new_key_is_told_of_and_not_kept(connector: ParamikoConnector, sshd: Sshd) -> None:
    target = sshd.target(known_keys=())
    stage, detail = end(connector.probe(target, sshd.auth(), _LIMITS))
    assert (stage, "not known yet" in detail, "page Host keys" in detail) == (Stage.HOST_KEY, True, True)
    last = connector.probe(target, sshd.auth(), _LIMITS)[-1]
    assert last.offered == (target.address, target.port, sshd.known_key("ed25519"))
    accepting = replace(target, host_key_policy=HostKeyPolicy.ACCEPT_NEW)
    found = connector.probe(accepting, sshd.auth(), _LIMITS)
    assert {finding.stage: finding.verdict for finding in found}[Stage.HOST_KEY] is Verdict.WARNED
    assert found[-1].verdict is Verdict.OK


def test_where_it_ends(connector: ParamikoConnector, sshd: Sshd) -> None:
    good = sshd.target()

    def ends(target: Target, auth: Auth | None = None, by: ParamikoConnector = connector) -> tuple[Stage, str]:
        return end(by.probe(target, auth or sshd.auth(), _LIMITS))

    assert ends(replace(good, address="no-such-host.invalid"))[0] is Stage.NAME
    assert ends(good, by=ParamikoConnector(allow_loopback=False))[0] is Stage.NETWORK
    stage, detail = ends(replace(good, port=free_port()))
    assert (stage, "Is sshd running there" in detail) == (Stage.TCP, True)
    other = KnownKey("ssh-ed25519", Path(f"{sshd.client_key}.pub").read_text().split()[1])
    stage, detail = ends(replace(good, known_keys=(other,)))
    assert (stage, "The host key changed" in detail) == (Stage.HOST_KEY, True)
    stage, detail = ends(good, Auth(identity="typed", password=Secret("wrong")))
    assert stage is Stage.LOGIN
    stage, detail = ends(good, Auth(identity="nothing"))
    assert stage is Stage.LOGIN
    assert "authorized_keys" not in detail


def test_through_jump_hosts_the_one_that_fails_is_named(connector: ParamikoConnector, sshd: Sshd) -> None:
    known = tuple(sshd.known_key(kind) for kind in ("ed25519", "ecdsa", "rsa"))
    first = Hop("edge", "127.0.0.1", sshd.port, sshd.user, sshd.auth(), known)
    second = Hop("inner", "127.0.0.2", sshd.port, sshd.user, sshd.auth(), known)
    found = connector.probe(replace(sshd.target("127.0.0.3"), via=(first, second)), sshd.auth(), _LIMITS)
    assert stages(found)[:3] == [Stage.JUMP, Stage.JUMP, Stage.TCP]
    assert found[-1].verdict is Verdict.OK
    strange = replace(second, known_keys=())
    found = connector.probe(replace(sshd.target("127.0.0.3"), via=(first, strange)), sshd.auth(), _LIMITS)
    assert [(one.stage, one.verdict) for one in found] == [(Stage.JUMP, Verdict.OK), (Stage.JUMP, Verdict.FAILED)]
    assert found[0].detail.startswith("edge: ")
    assert "inner" in found[1].detail
    assert found[1].offered is not None
    assert found[1].offered[0] == "127.0.0.2"
    nobody = replace(sshd.target("127.0.0.3"), port=free_port(), via=(first,))
    found = connector.probe(nobody, sshd.auth(), _LIMITS)
    assert [(one.stage, one.verdict) for one in found] == [(Stage.JUMP, Verdict.OK), (Stage.TCP, Verdict.FAILED)]


@pytest.mark.parametrize("options", [{"ForceCommand": "/bin/echo no"}, {"ForceCommand": "/bin/false"}])
def test_an_account_that_gives_no_shell(connector: ParamikoConnector, options: dict[str, str]) -> None:
    with running_sshd() as server:
        for name, value in options.items():
            server.set_option(name, value)
        server.restart()
        stage, _ = end(connector.probe(server.target(), server.auth(), _LIMITS))
        assert stage is Stage.SHELL


def test_another_account_that_there_is_not(connector: ParamikoConnector, sshd: Sshd) -> None:
    found = connector.probe(sshd.target(), sshd.auth(), _LIMITS, Become("opsct-nobody-of-that-name"))
    assert stages(found)[-2:] == [Stage.SHELL, Stage.RUN_AS]
    assert found[-1].verdict is Verdict.FAILED
