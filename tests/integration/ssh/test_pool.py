"""Kept connections: reused when everything about them still holds, replaced when it does not, and closed in time."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from opsconsole.jobs.ports import Auth, ConnectionFacts, Exited, HostKeyPolicy, Limits, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.odd_ssh import OddServer
from tests.support.runs import collect, command, connect, refused, until_started
from tests.support.sshd import Sshd, make_key, running_sshd


def _facts(connector: ParamikoConnector, target: Target, auth: Auth, script: str = "true") -> ConnectionFacts:
    session = connect(connector, target, auth)
    assert collect(session.start(command(script)).events(0.5)).end == Exited(0)
    session.close(keep=True)
    return session.facts


def test_a_second_run_reuses_the_connection(connector: ParamikoConnector, sshd: Sshd) -> None:
    assert not _facts(connector, sshd.target(), sshd.auth()).reused
    for _ in range(3):
        facts = _facts(connector, sshd.target(), sshd.auth())
        assert facts.reused
        assert facts.host_key == sshd.known_key()


def test_one_session_at_a_time_is_enough(connector: ParamikoConnector) -> None:
    with running_sshd(options={"MaxSessions": "1"}) as server:
        reused = [_facts(connector, server.target(), server.auth()).reused for _ in range(10)]
        assert reused == [False] + [True] * 9


def test_two_runs_at_once_have_a_connection_each(connector: ParamikoConnector, sshd: Sshd) -> None:
    _facts(connector, sshd.target(), sshd.auth())
    first = connect(connector, sshd.target(), sshd.auth())
    second = connect(connector, sshd.target(), sshd.auth())
    assert [first.facts.reused, second.facts.reused] == [True, False]
    first.close(keep=True)
    second.close(keep=True)
    assert len(connector._pool) == 2


def test_a_session_that_was_never_started_can_be_kept(connector: ParamikoConnector, sshd: Sshd) -> None:
    session = connect(connector, sshd.target(), sshd.auth())
    session.start(command("true"))
    session.close(keep=False)
    session = connect(connector, sshd.target(), sshd.auth())
    session.close(keep=True)
    assert _facts(connector, sshd.target(), sshd.auth()).reused


@pytest.mark.parametrize("change", ["user", "port name", "identity", "password", "address"])
def test_another_login_is_another_connection(connector: ParamikoConnector, odd: OddServer, change: str) -> None:
    target, auth = odd.target(), odd.password_auth()
    _facts(connector, target, auth)
    match change:
        case "user":
            target = odd.target("other-user")
        case "port name":
            target = replace(target, host="another name")
        case "identity":
            auth = replace(auth, identity="another person")
        case "address":
            target = odd.target(address="127.0.0.2")
        case "password":
            assert refused(connector, target, odd.password_auth("wrong")).reason is Reason.AUTH
            return
    assert not _facts(connector, target, auth).reused


def test_a_replaced_key_file_does_not_ride_on_the_old_login(
    connector: ParamikoConnector, sshd: Sshd, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(sshd.client_key.read_bytes())
    auth = Auth("file", key_files=(str(path),))
    _facts(connector, sshd.target(), auth)
    make_key(path)
    assert refused(connector, sshd.target(), auth).reason is Reason.AUTH


def test_a_key_no_longer_trusted_is_not_reused(connector: ParamikoConnector, sshd: Sshd) -> None:
    _facts(connector, sshd.target(), sshd.auth())
    changed = sshd.target(known_keys=(sshd.known_key("rsa"),))
    assert not _facts(connector, changed, sshd.auth()).reused
    assert refused(connector, sshd.target(known_keys=()), sshd.auth()).reason is Reason.HOST_KEY_UNKNOWN


def test_an_accepted_new_key_is_reused(connector: ParamikoConnector, sshd: Sshd) -> None:
    target = sshd.target(known_keys=(), host_key_policy=HostKeyPolicy.ACCEPT_NEW)
    assert not _facts(connector, target, sshd.auth()).reused
    assert _facts(connector, target, sshd.auth()).reused


def test_a_restarted_server_is_reached_again(connector: ParamikoConnector) -> None:
    with running_sshd() as server:
        _facts(connector, server.target(), server.auth())
        server.restart()
        assert not _facts(connector, server.target(), server.auth()).reused
        assert _facts(connector, server.target(), server.auth()).reused


def test_a_kept_connection_that_fell_silent_is_replaced(connector: ParamikoConnector) -> None:
    with running_sshd() as server:
        _facts(connector, server.target(), server.auth())
        stopped = server.servers()
        for found in stopped:
            found.suspend()
        began = time.monotonic()
        assert not _facts(connector, server.target(), server.auth()).reused
        assert time.monotonic() - began < 5
        for found in stopped:
            found.resume()


def test_a_closed_session_ends_its_command_even_when_kept(connector: ParamikoConnector, sshd: Sshd) -> None:
    session = connect(connector, sshd.target(), sshd.auth())
    group = until_started(session.start(command("sleep 300", grace=1)).events(0.5))
    session.close(keep=True)
    _wait(lambda: not psutil.pid_exists(group))
    _facts(connector, sshd.target(), sshd.auth())


def test_idle_connections_end(sshd: Sshd, tmp_path: Path) -> None:
    connector = ParamikoConnector(allow_loopback=True, idle_seconds=0.4, home=tmp_path)
    _facts(connector, sshd.target(), sshd.auth())
    assert _facts(connector, sshd.target(), sshd.auth()).reused
    assert len(connector._pool) == 1
    _wait(lambda: len(connector._pool) == 0)
    assert not _facts(connector, sshd.target(), sshd.auth()).reused
    connector.close()


def test_the_longest_unused_makes_room(sshd: Sshd, tmp_path: Path) -> None:
    connector = ParamikoConnector(allow_loopback=True, keep_connections=2, home=tmp_path)
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        _facts(connector, sshd.target(address), sshd.auth())
    assert len(connector._pool) == 2
    assert _facts(connector, sshd.target("127.0.0.3"), sshd.auth()).reused
    assert _facts(connector, sshd.target("127.0.0.2"), sshd.auth()).reused
    assert not _facts(connector, sshd.target("127.0.0.1"), sshd.auth()).reused
    connector.close()


def test_keeping_none(sshd: Sshd, tmp_path: Path) -> None:
    connector = ParamikoConnector(allow_loopback=True, keep_connections=0, home=tmp_path)
    assert [_facts(connector, sshd.target(), sshd.auth()).reused for _ in range(2)] == [False, False]
    connector.close()


def test_close_ends_all_and_keeps_no_more(sshd: Sshd, tmp_path: Path) -> None:
    connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
    _facts(connector, sshd.target(), sshd.auth())
    late = connect(connector, sshd.target("127.0.0.2"), sshd.auth())
    connector.close()
    late.close(keep=True)
    assert len(connector._pool) == 0
    _wait(lambda: not [thread for thread in threading.enumerate() if type(thread).__name__ == "ClientTransport"])


def test_many_threads_share_one_connector(connector: ParamikoConnector, sshd: Sshd) -> None:
    problems: list[object] = []

    def work(number: int) -> None:
        for _ in range(4):
            session = connector.connect(sshd.target(f"127.0.1.{number % 5 + 1}"), sshd.auth(), Limits())
            if isinstance(session, Unreached):
                problems.append(session)
                return
            result = collect(session.start(command(f"echo {number}")).events(0.5))
            session.close(keep=True)
            if (result.stdout, result.end) != (b"%d\n" % number, Exited(0)):
                problems.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []


def _wait(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
