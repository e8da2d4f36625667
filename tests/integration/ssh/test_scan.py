"""Host keys collected from real servers: all kinds, through a jump host, and nothing of a login."""

from dataclasses import replace

from opsconsole.jobs.ports import Hop, Limits, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.sshd import Sshd, free_port, running_sshd


def test_every_kind_of_key_is_collected(connector: ParamikoConnector, sshd: Sshd) -> None:
    before = len(sshd.log_text())
    target = sshd.target("127.0.0.9", known_keys=(), user="nobody-at-all")
    assert connector.scan(target, Limits()) == tuple(sshd.known_key(kind) for kind in ("ed25519", "ecdsa", "rsa"))
    assert "nobody-at-all" not in sshd.log_text()[before:]


def test_through_a_jump_host(connector: ParamikoConnector, sshd: Sshd) -> None:
    known = tuple(sshd.known_key(kind) for kind in ("ed25519", "ecdsa", "rsa"))
    with running_sshd(host_key_types=("rsa",)) as inner:
        hop = Hop("127.0.0.1", "127.0.0.1", sshd.port, sshd.user, sshd.auth(), known)
        assert connector.scan(inner.target(known_keys=(), via=(hop,)), Limits()) == (inner.known_key("rsa"),)
        unknown = Hop("127.0.0.1", "127.0.0.1", sshd.port, sshd.user, sshd.auth())
        answer = connector.scan(inner.target(known_keys=(), via=(unknown,)), Limits())
        assert isinstance(answer, Unreached)
        assert (answer.reason, answer.offered, answer.hop) == (Reason.JUMP, known[0], unknown)


def test_where_nobody_answers(connector: ParamikoConnector, sshd: Sshd) -> None:
    answer = connector.scan(replace(sshd.target(), port=free_port()), Limits())
    assert isinstance(answer, Unreached)
    assert answer.reason is Reason.REFUSED
    strict = ParamikoConnector(allow_loopback=False)
    denied = strict.scan(sshd.target(known_keys=()), Limits())
    assert isinstance(denied, Unreached)
    assert denied.reason is Reason.DENIED_NETWORK
