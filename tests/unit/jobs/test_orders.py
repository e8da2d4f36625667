"""What a worker is told about the runs in its hands."""

from collections.abc import Sequence

import pytest
from sqlalchemy import update

from opsconsole.jobs import orders
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.orders import CancelOrder
from tests.support.desk import Desk, Hand


def started(desk: Desk, hand: Hand) -> list[int]:
    """Returns the ids of three runs of a job: one runs, one connects, one waits."""
    desk.order(credential="key:test")
    ids = [run_id for run_id, _ in desk.sweep()]
    hand.start(ids[0])
    hand.take(ids[1])
    return ids


def orders_for(desk: Desk, ids: Sequence[int]) -> dict[int, CancelOrder]:
    with desk.database.read() as session:
        return orders.cancels(session, ids)


def test_only_what_has_begun_and_is_to_end_is_ordered_to_end(desk: Desk, hand: Hand) -> None:
    ids = started(desk, hand)
    assert orders_for(desk, ids) == {}
    desk.cancel(desk.run(ids[0]).job_id)
    told = CancelOrder(None, "Cancelled.")
    assert orders_for(desk, ids) == {ids[0]: told, ids[1]: told}
    assert orders_for(desk, ids[1:]) == {ids[1]: told}
    assert orders_for(desk, []) == {}


@pytest.mark.parametrize(
    ("stop_reason", "cause"),
    [
        ("operator", "Cancelled."),
        ("threshold", "Ended with its job: too many hosts failed."),
        ("canary", "Ended with its job: the canary failed."),
        ("deadline", "Ended with its job: the job's time was over."),
    ],
)
def test_the_cause_and_the_grace_are_the_cancels_own(desk: Desk, hand: Hand, stop_reason: str, cause: str) -> None:
    ids = started(desk, hand)
    desk.cancel(desk.run(ids[0]).job_id)
    with desk.database.transaction() as session:
        session.execute(update(Job).values(stop_reason=stop_reason))
        session.execute(update(HostRun).where(HostRun.id == ids[0]).values(cancel_grace=0.5))
    assert orders_for(desk, ids[:1]) == {ids[0]: CancelOrder(0.5, cause)}
