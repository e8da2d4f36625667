"""What everybody should know right now, in words, and gone when it is over."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from opsconsole.clock import SystemClock
from opsconsole.db.console import Console
from opsconsole.jobs import recover
from opsconsole.jobs.models import WorkerProcess
from opsconsole.jobs.notices import Notice, notices
from opsconsole.jobs.states import BrokerFault
from tests.support.desk import Desk


def told(desk: Desk) -> list[Notice]:
    with desk.database.read() as session:
        return notices(session, dead_seconds=30)


@pytest.fixture
def workers(desk: Desk) -> list[str]:
    """Two workers whose heartbeats are of now, by the database's own clock."""
    names = [desk.hand("one").id, desk.hand("two").id]
    for name in names:
        beat(desk, name, None)
    return names


def beat(desk: Desk, name: str, fault: BrokerFault | None, *, ago: float = 0) -> None:
    now = SystemClock().now() - timedelta(seconds=ago)
    with desk.database.transaction() as session:
        assert recover.beat(session, name, busy=0, draining=False, now=now, broker_fault=fault)


def test_nothing_is_said_when_all_is_well(desk: Desk, workers: list[str]) -> None:
    desk.order("web[1-3]", credential="key:test")
    assert told(desk) == []


def test_a_broker_that_is_away_is_said_with_how_many_wait(desk: Desk, workers: list[str]) -> None:
    desk.order("web[1-3]", credential="key:test")
    for name in workers:
        beat(desk, name, BrokerFault.UNREACHABLE)
    assert told(desk) == [
        {"code": "broker_unreachable", "level": "error", "text": "Broker unreachable, 3 hosts wait."},
    ]
    for name in workers:
        beat(desk, name, None)
    assert told(desk) == []


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        (BrokerFault.UNREACHABLE, "broker_unreachable", "Broker unreachable for 1 of 2 workers."),
        (BrokerFault.FULL, "broker_full", "The broker's memory is full for 1 of 2 workers."),
        (BrokerFault.EVICTS, "broker_evicts", "set its maxmemory-policy to noeviction"),
    ],
)
def test_what_one_worker_finds_is_said_of_that_one(
    desk: Desk, workers: list[str], fault: BrokerFault, code: str, text: str
) -> None:
    beat(desk, workers[0], fault)
    (notice,) = told(desk)
    assert notice["code"] == code
    assert text in notice["text"]


def test_workers_that_report_no_more_are_none(desk: Desk, workers: list[str]) -> None:
    for name in workers:
        beat(desk, name, BrokerFault.FULL, ago=60)
    desk.order("web1", credential="key:test")
    assert told(desk) == [
        {"code": "no_workers", "level": "error", "text": "No worker process is alive, 1 host waits."},
    ]
    with desk.database.transaction() as session:
        session.execute(update(WorkerProcess).values(beat_at=SystemClock().now(), gone_at=SystemClock().now()))
    assert told(desk)[0]["code"] == "no_workers"


def test_a_hold_is_said_with_who_and_why(desk: Desk, workers: list[str]) -> None:
    with desk.database.transaction() as session:
        held = {"held_at": SystemClock().now(), "held_by": "ada", "held_reason": "the wrong cluster"}
        session.execute(update(Console).values(**held))
    assert told(desk) == [
        {
            "code": "console_held",
            "level": "error",
            "text": "Nothing starts. ada stopped the console: the wrong cluster",
        },
    ]
