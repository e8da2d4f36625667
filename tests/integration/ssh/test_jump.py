"""Through jump hosts: one login for many hosts, keys checked at every step, and failures that name the step."""

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from opsconsole.jobs.ports import Auth, Dropped, Exited, Hop, HostKeyPolicy, Limits, Secret, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector, jump
from opsconsole.ssh.deadline import Deadline
from tests.support.console import until
from tests.support.runs import collect, command, connect, refused, run, until_started
from tests.support.sshd import Sshd, free_port, running_sshd


@pytest.fixture(scope="module")
def bastion() -> Iterator[Sshd]:
    with running_sshd(prefix="opsconsole-bastion-") as server:
        yield server


def hop(server: Sshd, address: str = "127.0.9.1", *, host: str = "bastion", **changes: object) -> Hop:
    at = server.target(address)
    whole = Hop(host, address, server.port, server.user, server.auth(), known_keys=at.known_keys)
    return replace(whole, **changes)  # type: ignore[arg-type]


def behind(server: Sshd, *via: Hop, address: str = "127.0.0.1", **changes: object) -> Target:
    return replace(server.target(address, **changes), via=via)


def logins(server: Sshd, since: int = 0) -> int:
    return len(re.findall(r"Accepted publickey", server.log_text()[since:]))


def test_many_hosts_behind_one_bastion_share_one_login(connector: ParamikoConnector, sshd: Sshd, bastion: Sshd) -> None:
    before = len(bastion.log_text())
    hosts = [f"127.0.{number // 30 + 1}.{number % 30 + 1}" for number in range(60)]
    start = threading.Barrier(20)

    def one(number: int) -> tuple[bytes, object]:
        if number < 20:
            start.wait(30)
        target = behind(sshd, hop(bastion), address=hosts[number])
        session = connector.connect(target, sshd.auth(), Limits(connect=30))
        assert not isinstance(session, Unreached), session
        assert session.facts.address == hosts[number]
        assert session.facts.new_hops == ()
        result = collect(session.start(command(f"echo {number}")).events(0.5))
        session.close(keep=True)
        return result.stdout, result.end

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, range(60)))
    assert results == [(b"%d\n" % number, Exited(0)) for number in range(60)]
    assert logins(bastion, before) == 1
    # The kept connections go on through the same one.
    again = connect(connector, behind(sshd, hop(bastion), address=hosts[7]), sshd.auth())
    assert again.facts.reused
    again.close(keep=False)
    assert logins(bastion, before) == 1


def test_a_chain_of_two_carries_much_output(connector: ParamikoConnector, sshd: Sshd, bastion: Sshd) -> None:
    before = len(bastion.log_text())
    outer, inner = hop(bastion, "127.0.9.1", host="outer"), hop(bastion, "127.0.9.2", host="inner")
    target = behind(sshd, outer, inner)
    result = run(connector, target, sshd.auth(), "head -c 3000000 /dev/zero; printf end >&2; exit 3")
    assert (len(result.stdout), result.stderr, result.end) == (3_000_000, b"end", Exited(3))
    assert logins(bastion, before) == 2
    # A host behind the first of the two shares its connection.
    connect(connector, behind(sshd, outer, address="127.0.0.2"), sshd.auth()).close(keep=False)
    assert logins(bastion, before) == 2


def test_what_is_kept_is_given_up_when_a_key_on_the_way_is_no_longer_trusted(
    connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
) -> None:
    through = hop(bastion)
    connect(connector, behind(sshd, through), sshd.auth()).close(keep=True)
    assert connect_reused(connector, behind(sshd, through), sshd) is True
    answer = refused(connector, behind(sshd, replace(through, known_keys=())), sshd.auth())
    assert (answer.reason, answer.hop) == (Reason.JUMP, replace(through, known_keys=()))


def connect_reused(connector: ParamikoConnector, target: Target, sshd: Sshd) -> bool:
    session = connect(connector, target, sshd.auth())
    session.close(keep=True)
    return session.facts.reused


class TestKeys:
    def test_a_bastion_that_is_not_known_is_refused_and_its_key_kept_for_a_person(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        before = len(bastion.log_text())
        answer = refused(connector, behind(sshd, hop(bastion, known_keys=())), sshd.auth())
        assert answer.reason is Reason.JUMP
        assert answer.detail.startswith("Jump host bastion: The host key is not known yet: ssh-ed25519 SHA256:")
        assert answer.offered == bastion.known_key()
        assert bastion.user not in bastion.log_text()[before:]

    def test_accept_new_takes_it_and_says_so_to_every_run(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        through = hop(bastion, known_keys=(), host_key_policy=HostKeyPolicy.ACCEPT_NEW)
        for address in ("127.0.0.1", "127.0.0.2"):
            session = connect(connector, behind(sshd, through, address=address), sshd.auth())
            session.close(keep=False)
            assert session.facts.new_hops == ((through, bastion.known_key()),)

    def test_the_hosts_own_key_is_checked_behind_a_bastion(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        answer = refused(connector, behind(sshd, hop(bastion), known_keys=(bastion.known_key(),)), sshd.auth())
        assert (answer.reason, answer.hop) == (Reason.HOST_KEY_CHANGED, None)
        assert answer.offered == sshd.known_key("ed25519")


class TestFailures:
    def test_a_refused_login_is_tried_once_for_many_hosts(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        wrong = hop(bastion, auth=Auth("the wrong key", password=Secret("wrong")))
        before = len(bastion.log_text())
        answers = [
            refused(connector, behind(sshd, wrong, address=f"127.0.0.{number}"), sshd.auth()) for number in range(1, 9)
        ]
        assert {(answer.reason, answer.retryable) for answer in answers} == {(Reason.JUMP, False)}
        assert answers[0].detail.startswith("Jump host bastion: the wrong key was refused")
        assert bastion.log_text()[before:].count("Connection from") == 1

    def test_a_bastion_that_is_away_is_named_in_a_chain(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        outer = hop(bastion, host="outer")
        inner = hop(bastion, "127.0.9.2", host="inner", port=free_port())
        answer = refused(connector, behind(sshd, outer, inner), sshd.auth())
        assert (answer.reason, answer.retryable) == (Reason.JUMP, True)
        text = f"Jump host inner: 127.0.9.2 port {inner.port} could not be reached from the jump host outer."
        assert answer.detail == text
        answer = refused(connector, behind(sshd, replace(outer, port=inner.port), inner), sshd.auth())
        assert answer.detail.startswith("Jump host outer: 127.0.9.1 port")

    def test_a_host_that_is_away_behind_a_bastion_is_no_fault_of_the_bastion(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        target = replace(behind(sshd, hop(bastion)), port=free_port())
        answer = refused(connector, target, sshd.auth())
        assert (answer.reason, answer.retryable) == (Reason.REFUSED, True)
        assert "from the jump host bastion" in answer.detail

    def test_a_bastion_that_forbids_it_is_named(self, connector: ParamikoConnector, sshd: Sshd) -> None:
        with running_sshd(options={"AllowTcpForwarding": "no"}) as strict:
            answer = refused(connector, behind(sshd, hop(strict)), sshd.auth())
        assert (answer.reason, answer.retryable) == (Reason.JUMP, False)
        assert "AllowTcpForwarding" in answer.detail

    def test_a_bastion_without_a_credential_is_not_even_called(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        answer = refused(connector, behind(sshd, hop(bastion, auth=Auth("own keys", ambient=True))), sshd.auth())
        assert answer.reason is Reason.JUMP
        assert answer.detail.startswith("Jump host bastion: own keys: no key in the ssh-agent")

    def test_a_bastion_that_ends_takes_its_runs_along_and_the_next_run_logs_in_anew(
        self, connector: ParamikoConnector, sshd: Sshd
    ) -> None:
        with running_sshd() as server:
            through = hop(server)
            connect(connector, behind(sshd, through), sshd.auth()).close(keep=True)
            server.restart()
            session = connect(connector, behind(sshd, through), sshd.auth())
            assert not session.facts.reused
            session.close(keep=False)


class TestEnds:
    def test_a_bastion_that_is_cut_off_drops_what_runs_behind_it_and_no_reader_is_left(
        self, connector: ParamikoConnector, sshd: Sshd
    ) -> None:
        with running_sshd() as server:
            sessions = [
                connect(connector, behind(sshd, hop(server), address=f"127.0.0.{number}"), sshd.auth())
                for number in (1, 2)
            ]
            running = [session.start(command("sleep 600")).events(0.2) for session in sessions]
            for events in running:
                until_started(events)
            for process in server.servers():
                process.kill()
            ends = [collect(events).end for events in running]
            for session in sessions:
                session.close(keep=False)
        assert {type(end) for end in ends} == {Dropped}
        assert len(connector._bastions) == 0

    def test_a_bastion_that_fell_silent_is_logged_in_to_anew(
        self, connector: ParamikoConnector, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jump, "_SILENT_SECONDS", 0.0)
        monkeypatch.setattr(jump, "_ANSWER_SECONDS", 0.5)
        with running_sshd() as server:
            connect(connector, behind(sshd, hop(server)), sshd.auth()).close(keep=False)
            # One that answers is asked and used again.
            connect(connector, behind(sshd, hop(server)), sshd.auth()).close(keep=False)
            assert logins(server) == 1
            frozen = server.servers()
            for process in frozen:
                process.suspend()
            # A busy machine lets it answer once more before it stands.
            until(lambda: {process.status() for process in frozen} == {psutil.STATUS_STOPPED}, 10, "the bastion stands")
            connect(connector, behind(sshd, hop(server)), sshd.auth()).close(keep=False)
            assert logins(server) == 2
            for process in frozen:
                process.resume()

    def test_an_address_that_never_answers_costs_its_time_alone_and_leaves_no_channel(
        self, connector: ParamikoConnector, sshd: Sshd, bastion: Sshd
    ) -> None:
        with socket.socket() as silent:
            # The one place in its queue is taken, so nobody else gets an answer from it.
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            with socket.create_connection(silent.getsockname()):
                target = replace(behind(sshd, hop(bastion)), port=silent.getsockname()[1])
                first, second = (refused(connector, target, sshd.auth(), seconds=1.0) for _ in range(2))
        reasons = {first.reason, second.reason}
        assert reasons <= {Reason.CONNECT_TIMEOUT, Reason.BANNER_TIMEOUT}
        assert Reason.CONNECT_TIMEOUT in reasons
        (kept,) = [line for lines in connector._bastions._open.values() for line in lines]
        give_up = Deadline(10)
        while kept.transport._given_up and not give_up.passed:
            threading.Event().wait(0.02)
        assert not kept.transport._given_up
        connect(connector, behind(sshd, hop(bastion)), sshd.auth()).close(keep=False)


def test_ipv6_directly_through_a_jump_host_and_to_one(connector: ParamikoConnector) -> None:
    with running_sshd(options={"ListenAddress": "::1"}) as six:
        result = run(connector, six.target("::1"), six.auth(), 'echo "$SSH_CONNECTION"')
        assert result.stdout.decode().split()[2] == "::1"
        through = hop(six, "::1")
        session = connect(connector, behind(six, through, address="[::1]"), six.auth())
        assert session.facts.address == "::1"
        session.close(keep=False)
        # From IPv4 to IPv6 and back.
        connect(connector, behind(six, through, address="127.0.0.3"), six.auth()).close(keep=False)
        connect(connector, behind(six, hop(six, "127.0.9.3"), address="::1"), six.auth()).close(keep=False)
        assert refused(connector, replace(behind(six, through), address="fe80::1"), six.auth()).reason is (
            Reason.DENIED_NETWORK
        )


class TestNetworks:
    def test_no_bastion_leads_to_a_forbidden_address(self, sshd: Sshd, bastion: Sshd, tmp_path: Path) -> None:
        made = ParamikoConnector(allow_loopback=True, allowed_networks=("127.0.9.0/24",), home=tmp_path)
        try:
            answer = refused(made, behind(sshd, hop(bastion)), sshd.auth())
            assert answer.reason is Reason.DENIED_NETWORK
            for address in ("169.254.169.254", "localhost.invalid"):
                target = replace(behind(sshd, hop(bastion)), address=address)
                assert refused(made, target, sshd.auth()).reason is Reason.DENIED_NETWORK
            outside = refused(made, behind(sshd, hop(bastion, "127.0.1.1")), sshd.auth())
            assert outside.reason is Reason.JUMP
            assert outside.detail == "Jump host bastion: 127.0.1.1 is outside the networks this console may reach."
        finally:
            made.close()


class TestKeeping:
    def test_an_idle_or_old_connection_to_a_bastion_is_ended(self, sshd: Sshd, bastion: Sshd, tmp_path: Path) -> None:
        made = ParamikoConnector(allow_loopback=True, home=tmp_path, idle_seconds=0.4)
        try:
            connect(made, behind(sshd, hop(bastion)), sshd.auth()).close(keep=False)
            assert len(made._bastions) == 1
            give_up = Deadline(10)
            while len(made._bastions) and not give_up.passed:
                threading.Event().wait(0.02)
            assert len(made._bastions) == 0
        finally:
            made.close()
        aged = ParamikoConnector(allow_loopback=True, home=tmp_path, age_seconds=0.0)
        try:
            before = len(bastion.log_text())
            for _ in range(2):
                connect(aged, behind(sshd, hop(bastion)), sshd.auth()).close(keep=True)
            assert logins(bastion, before) == 2
        finally:
            aged.close()
