"""What earlier jobs tell of an order."""

from opsconsole.jobs.launch import Order
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.queries import list_jobs
from opsconsole.jobs.states import RunState
from tests.support.desk import Desk, Hand


def _ran(desk: Desk, hand: Hand, targets: str, command: str, *seconds: int) -> None:
    desk.order(targets, command)
    for took, message in zip(seconds, [*desk.post.collect(), *desk.sweep()], strict=True):
        hand.finish(hand.start(*message), Outcome(RunState.SUCCEEDED, exit_status=0, duration_ms=took * 1000))


def test_the_time_is_the_median_of_earlier_runs(desk: Desk) -> None:
    def told(command: str) -> tuple[object, ...]:
        with desk.database.read() as session:
            found = desk.launcher.resolve(session, Order("web[1-100]", command, concurrency=50), desk.actor)
        return found["eta_ms"], found["eta_host_ms"], found["eta_runs"]

    assert told("uptime") == (None, None, 0)
    hand = desk.hand()
    for took in (10, 90, 20):
        _ran(desk, hand, "web1", "uptime", took)
    assert told("uptime") == (40_000, 20_000, 3)
    assert told("date") == (None, None, 0)


def test_jobs_like_an_order_have_its_targets_or_its_first_line(desk: Desk) -> None:
    for targets, command in (("web1", "uptime"), ("web2", "df -h\nuptime"), ("web2", "df -hT"), ("web3", "date")):
        desk.order(targets, command)

    def found(**like: str) -> list[str]:
        with desk.database.read() as session:
            return [job["command"] for job in list_jobs(session, desk.actor, **like)]

    assert found(like_targets=" web1 ") == ["uptime"]
    assert found(like_command="df -h\nls") == ["df -h\nuptime"]
    assert found(like_targets="web3", like_command="df -h") == ["date", "df -h\nuptime"]
    assert len(found(like_targets="", like_command=" ")) == 4
