"""TCP servers that are no SSH servers, or stop being one early: what a connect must survive and name."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GREETING = b"SSH-2.0-OpenSSH_9.2\r\n"


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Accepts and says nothing."""
    over.wait()


def hang_up(connection: socket.socket, over: threading.Event) -> None:
    """Accepts and closes."""


def reset(connection: socket.socket, over: threading.Event) -> None:
    """Accepts and resets."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Sends its greeting one byte at a time, for ever."""
    while not over.wait(0.05):
        connection.sendall(b"S")


def endless_line(connection: socket.socket, over: threading.Event) -> None:
    """Sends a first line that never ends, as fast as it is taken."""
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def endless_lines(connection: socket.socket, over: threading.Event) -> None:
    """Sends lines before its greeting, for ever."""
    while not over.is_set():
        connection.sendall(b"still starting\r\n" * 100)


def http(connection: socket.socket, over: threading.Event) -> None:
    """Is a web server."""
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def no_key_exchange(connection: socket.socket, over: threading.Event) -> None:
    """Greets and falls silent."""
    connection.sendall(_GREETING)
    over.wait()


def hang_up_after_greeting(connection: socket.socket, over: threading.Event) -> None:
    """Greets, hears us out, and closes."""
    connection.sendall(_GREETING)
    connection.recv(100)


def huge_packet(connection: socket.socket, over: threading.Event) -> None:
    """Greets and announces a packet of 4 GiB, and sends it."""
    connection.sendall(_GREETING + b"\xff\xff\xff\xff")
    while not over.is_set():
        connection.sendall(b"\0" * 65536)


def garbage(connection: socket.socket, over: threading.Event) -> None:
    """Greets and sends noise."""
    connection.sendall(_GREETING + b"\0\0\1\0" + os.urandom(4096))
    over.wait()


def old_version(connection: socket.socket, over: threading.Event) -> None:
    """Speaks SSH 1."""
    connection.sendall(b"SSH-1.5-old\r\n")
    over.wait()


def hostile_greeting(connection: socket.socket, over: threading.Event) -> None:
    """Greets with what must not reach a log or a page."""
    connection.sendall(b"\x1b]0;owned\x07<script>alert(1)</script> \xff\xfe\r\n" * 101)
    over.wait()


@contextmanager
def faulty_server(
    behave: Callable[[socket.socket, threading.Event], None], address: str = "127.0.0.1"
) -> Iterator[int]:
    """Runs ``behave`` for each connection to a port of its own on ``address``; yields the port."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    listener = socket.create_server((address, 0), backlog=512)

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            behave(connection, over)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,))
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for thread in threads:
            thread.join(10)
