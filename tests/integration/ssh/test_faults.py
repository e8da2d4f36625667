"""Servers that are no SSH servers, or stop being one early: each failure is in time, named by its phase, and free."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support import faulty_tcp
from tests.support.faulty_tcp import faulty_server
from tests.support.runs import refused
from tests.support.sshd import Sshd

_SECONDS = 0.8


@pytest.mark.parametrize(
    ("behave", "reason", "words", "waits"),
    [
        (faulty_tcp.silent, Reason.BANNER_TIMEOUT, "no SSH greeting within 0.8 s", True),
        (faulty_tcp.drip, Reason.BANNER_TIMEOUT, "no SSH greeting within 0.8 s", True),
        (faulty_tcp.hang_up, Reason.PROTOCOL, "closed the connection before its SSH greeting", False),
        (faulty_tcp.reset, Reason.PROTOCOL, "closed the connection before its SSH greeting", False),
        (faulty_tcp.http, Reason.PROTOCOL, "speaks HTTP, not SSH", False),
        (faulty_tcp.endless_line, Reason.PROTOCOL, "does not speak SSH", False),
        (faulty_tcp.endless_lines, Reason.PROTOCOL, "does not speak SSH", False),
        (faulty_tcp.hostile_greeting, Reason.PROTOCOL, "does not speak SSH", False),
        (faulty_tcp.no_key_exchange, Reason.CONNECT_TIMEOUT, "key exchange was not finished within 0.8 s", True),
        (faulty_tcp.hang_up_after_greeting, Reason.PROTOCOL, "closed the connection during the key exchange", False),
        (faulty_tcp.huge_packet, Reason.PROTOCOL, "broke the SSH protocol", False),
        (faulty_tcp.garbage, Reason.PROTOCOL, "broke the SSH protocol", False),
        (faulty_tcp.old_version, Reason.PROTOCOL, "version that is not supported", False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_before_the_login(
    connector: ParamikoConnector,
    sshd: Sshd,
    behave: Callable[[socket.socket, threading.Event], None],
    reason: Reason,
    words: str,
    waits: bool,
) -> None:
    with faulty_server(behave) as port:
        memory = psutil.Process().memory_info().rss
        began = time.monotonic()
        answer = refused(connector, replace(sshd.target(), port=port), sshd.auth(), seconds=_SECONDS)
        took = time.monotonic() - began
        assert (answer.reason, words in answer.detail) == (reason, True), answer
        assert took < _SECONDS + 0.5
        assert (took >= _SECONDS - 0.05) == waits
        assert psutil.Process().memory_info().rss - memory < 10 * 1024 * 1024
        assert answer.offered is None
        assert answer.detail.isprintable()


def test_a_host_that_swallows_packets(connector: ParamikoConnector, sshd: Sshd) -> None:
    # A full accept queue drops the next SYN, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(place)
            fillers.append(filler)
        answer = refused(connector, replace(sshd.target(), port=place[1]), sshd.auth(), seconds=_SECONDS)
        for filler in fillers:
            filler.close()
    assert answer.reason is Reason.CONNECT_TIMEOUT
    assert "did not answer within 0.8 s" in answer.detail


def test_only_a_hang_up_is_worth_another_try(connector: ParamikoConnector, sshd: Sshd) -> None:
    for behave, retryable in ((faulty_tcp.hang_up, True), (faulty_tcp.http, False)):
        with faulty_server(behave) as port:
            answer = refused(connector, replace(sshd.target(), port=port), sshd.auth())
            assert answer.retryable is retryable


def test_fifty_faulty_hosts_at_once_leave_nothing(connector: ParamikoConnector, sshd: Sshd) -> None:
    with faulty_server(faulty_tcp.no_key_exchange) as port:
        target = replace(sshd.target(), port=port)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(refused(connector, target, sshd.auth(), seconds=1.0)))
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(answers) == 50
    give_up_at = time.monotonic() + 5
    while _readers() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert _readers() == []


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if type(thread).__name__ == "ClientTransport"]
