"""An order to end a run is heard while somebody else holds the database."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from opsconsole.db.database import Database
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Exited, Started
from opsconsole.settings import Settings
from opsconsole.tasks.order_watch import OrderWatch
from tests.support.clock import FakeClock
from tests.support.console import until
from tests.support.desk import Desk, key_file, open_desk
from tests.support.fake_ssh import FakeConnector, session


@pytest.fixture
def desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(key_file(settings), database, clock) as opened:
        yield opened


def test_an_order_is_heard_while_the_database_is_held(desk: Desk) -> None:
    job_id = desk.order("web1", credential="key:test")
    remote = session(Started(1), None, TERM=Exited(143))
    performer = Performer(desk.hand("mine").ledger, FakeConnector(remote), Bounds(1024, 1024, 30.0))
    working = threading.Thread(target=performer.perform, args=desk.sweep()[0])
    working.start()
    until(lambda: desk.letters(job_id) == "r", 10, "the command runs")
    desk.cancel(job_id)
    watch = OrderWatch(desk.database, performer, seconds=0.02, offload=lambda call: call())
    with desk.database.transaction() as held:
        held.execute(text("UPDATE jobs SET title = title"))
        watch.start()
        until(lambda: "TERM" in remote.process.signals, 10, "the command is told to end")
    working.join(10)
    watch.stop()
    assert desk.letters(job_id) == "x"
