"""The connection to the database is cut at the COMMIT of a start gate: only what is confirmed is sent."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from opsconsole.db.database import Database
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, facts, key_file

pytestmark = pytest.mark.slow


class Proxy:
    """Stands between a client and PostgreSQL. ``cut`` breaks connections at their next COMMIT: ``before`` the server
    hears it, or ``after``. While ``closed`` nobody gets through."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut: str | None = None
        self._cutting: str | None = None
        self.closed = threading.Event()
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.closed.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                if from_client and self.cut and b"COMMIT" in data:
                    self._cutting, self.cut = self.cut, None
                # After the COMMIT means: the server has done it, and its answer is what gets lost.
                if self._cutting == ("before" if from_client else "after"):
                    self._cutting = None
                    self.cuts += 1
                    for end in (source, sink):
                        end.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)


@contextmanager
def through_proxy(settings: Settings, url: str, clock: FakeClock) -> Iterator[tuple[Desk, Proxy]]:
    found = re.search(r"@127\.0\.0\.1:(\d+)/", url)
    assert found is not None
    proxy = Proxy(int(found.group(1)))
    database = Database(url.replace(f":{found.group(1)}/", f":{proxy.listener.getsockname()[1]}/"))
    try:
        with proxy.listener, opened(settings, database, clock) as desk:
            yield desk, proxy
    finally:
        database.close()


@contextmanager
def opened(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    desk = Desk(key_file(settings), database, clock)
    try:
        yield desk
    finally:
        desk.close()


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_gate_whose_commit_is_unknown_is_asked_again(
    settings: Settings, postgres_url: str, clock: FakeClock, cut: str
) -> None:
    with through_proxy(settings, postgres_url, clock) as (desk, proxy):
        hand = desk.hand()
        desk.order("web1", credential="key:test")
        claim = hand.take(*desk.sweep()[0])
        assert claim is not None
        proxy.cut = cut
        assert hand.ledger.open_gate(claim, facts(), deadline=time.monotonic() + 60)
        assert proxy.cuts == 1
        assert desk.run(claim.run_id).state == "running"
        assert hand.finish(claim)


@pytest.mark.parametrize(("cut", "state"), [("before", "connecting"), ("after", "running")])
def test_a_gate_that_is_never_confirmed_stays_shut(
    settings: Settings, postgres_url: str, clock: FakeClock, cut: str, state: str
) -> None:
    with through_proxy(settings, postgres_url, clock) as (desk, proxy):
        hand = desk.hand()
        desk.order("web1", credential="key:test")
        claim = hand.take(*desk.sweep()[0])
        assert claim is not None
        proxy.cut = cut
        proxy.closed.set()
        # Whatever the row says by now, nobody has confirmed it: nothing may be sent.
        assert not hand.ledger.open_gate(claim, facts(), deadline=time.monotonic() + 2)
        assert proxy.cuts == 1
        proxy.closed.clear()
        assert desk.run(claim.run_id).state == state
