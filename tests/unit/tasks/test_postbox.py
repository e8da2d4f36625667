"""The postbox: nobody waits for the broker, what is wrong with it is known, and its return is told."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from opsconsole.errors import Unavailable
from opsconsole.jobs.states import BrokerFault
from opsconsole.tasks.postbox import Postbox
from tests.support.console import until


class Broker:
    """A broker that answers when the test lets it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.fault: BrokerFault | None = None
        self.open = threading.Event()
        self.open.set()

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        self.open.wait()
        if self.fault in {BrokerFault.UNREACHABLE, BrokerFault.FULL}:
            raise Unavailable("The broker does not answer.", code="broker")
        self.sent.extend(runs)

    attach = publish

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        self.publish([(run_id, 0) for run_id in run_ids])

    publish_scans = publish_looks
    publish_tests = publish_looks

    def nudge(self) -> None:
        pass

    def look(self) -> BrokerFault | None:
        return self.fault


class Heard:
    """How often the postbox said what."""

    def __init__(self) -> None:
        self.changed = 0
        self.back = 0

    def note_change(self) -> None:
        self.changed += 1

    def note_return(self) -> None:
        self.back += 1


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def postbox(broker: Broker, heard: Heard) -> Iterator[Postbox]:
    made = Postbox(broker, broker.look, look_seconds=0.01)
    made.start(changed=heard.note_change, back=heard.note_return)
    yield made
    broker.open.set()
    made.close()


def test_what_is_handed_in_is_sent_once(postbox: Postbox, broker: Broker) -> None:
    broker.open.clear()
    postbox.publish([(1, 1)])
    for _ in range(100):
        postbox.publish([(2, 1), (3, 1)])
    broker.open.set()
    until(lambda: (3, 1) in broker.sent, 10, "all is sent")
    assert sorted(set(broker.sent)) == [(1, 1), (2, 1), (3, 1)]
    assert len(broker.sent) <= 5


@pytest.mark.parametrize("fault", [BrokerFault.UNREACHABLE, BrokerFault.FULL])
def test_a_fault_and_its_end_are_told_once(postbox: Postbox, broker: Broker, heard: Heard, fault: BrokerFault) -> None:
    broker.fault = fault
    until(lambda: postbox.fault is fault, 10, "the fault is seen")
    postbox.publish([(1, 1)])
    broker.fault = None
    until(lambda: heard.back, 10, "the return is told")
    assert (heard.changed, heard.back, postbox.fault) == (2, 1, None)


def test_a_broker_that_may_lose_messages_is_told_of_and_used(postbox: Postbox, broker: Broker, heard: Heard) -> None:
    broker.fault = BrokerFault.EVICTS
    until(lambda: postbox.fault is BrokerFault.EVICTS, 10, "the risk is seen")
    postbox.publish([(1, 1)])
    until(lambda: broker.sent, 10, "it is sent")
    assert heard.back == 0


def test_a_broker_that_never_comes_back_to_us_is_away(
    postbox: Postbox, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsconsole.tasks.postbox._HUNG_SECONDS", 0.05)
    broker.open.clear()
    postbox.publish([(1, 1)])
    until(lambda: postbox.fault is BrokerFault.UNREACHABLE, 10, "it is seen from outside")
    broker.open.set()
    until(lambda: postbox.fault is None, 10, "it is well again")
