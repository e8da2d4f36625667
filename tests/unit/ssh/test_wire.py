"""The wire between two ends of a socket pair."""

import socket
import threading
from collections.abc import Iterator

import pytest
from paramiko.ssh_exception import SSHException

from opsconsole.ssh import wire
from opsconsole.ssh.wire import Wire


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    """A wire and the other end of it."""
    ours, theirs = socket.socketpair()
    made = Wire(ours, tick_seconds=0.05)
    with theirs:
        yield made, theirs
    made.release()


def test_bytes_come_in_the_sizes_asked_for(pair: tuple[Wire, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"abcdef")
    assert [ours.read(1), ours.read(0), ours.read(4)] == [b"a", b"", b"bcde"]
    theirs.sendall(b"ghi")
    assert ours.read(4) == b"fghi"
    assert ours.received == 9


def test_lines_lose_their_ends(pair: tuple[Wire, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"one\r\ntwo\n\nrest")
    assert [ours.read_line() for _ in range(3)] == [b"one", b"two", b""]
    assert ours.read(4) == b"rest"


def test_a_line_without_end_is_an_error(pair: tuple[Wire, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 10_000)
    with pytest.raises(SSHException):
        ours.read_line()


def test_a_huge_packet_is_refused_before_it_is_read(pair: tuple[Wire, socket.socket]) -> None:
    with pytest.raises(SSHException):
        pair[0].read(2**32 - 1)


def test_the_other_end_closes(pair: tuple[Wire, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"ab")
    theirs.shutdown(socket.SHUT_WR)
    assert ours.read(2) == b"ab"
    with pytest.raises(EOFError):
        ours.read(1)


def test_close_wakes_the_reader(pair: tuple[Wire, socket.socket]) -> None:
    ours, _ = pair
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(EOFError):
            ours.read(1)
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    ours.close()
    assert ended.wait(2)
    reader.join()
    with pytest.raises(EOFError):
        ours.write(b"x")


def test_a_quiet_wire_ticks(pair: tuple[Wire, socket.socket]) -> None:
    ours, theirs = pair
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            theirs.sendall(b"x")

    ours.on_quiet = tick
    assert ours.read(1) == b"x"
    assert ticks == 3


def test_a_peer_that_takes_nothing_ends_the_connection(
    pair: tuple[Wire, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_SEND_STALL_SECONDS", 0.2)
    with pytest.raises(EOFError):
        pair[0].write(b"x" * 50_000_000)
    with pytest.raises(EOFError):
        pair[0].read(1)
