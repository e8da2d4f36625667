"""The worker's own loop: what it does when the broker or the database is away, and what it takes from messages."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from opsconsole.db.database import Database
from opsconsole.jobs import drain
from opsconsole.jobs.models import WorkerProcess
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.tide import Tide
from opsconsole.settings import Settings
from opsconsole.tasks import worker
from opsconsole.tasks.app import make_celery
from opsconsole.tasks.housekeeping import Housekeeping, Identity
from tests.support.clock import FakeClock
from tests.support.console import until
from tests.support.desk import Desk, key_file, open_desk
from tests.support.fake_ssh import FakeConnector, session


@pytest.fixture
def desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    quick = {"sweep_seconds": 0.02, "heartbeat_seconds": 0.05, "worker_dead_seconds": 5.0, "drain_seconds": 0.0}
    with open_desk(key_file(settings).model_copy(update=quick), database, clock) as opened:
        yield opened


@pytest.fixture
def performer(desk: Desk) -> Performer:
    return Performer(desk.hand("mine").ledger, FakeConnector(session()), Bounds(1024, 1024, 1.0))


@pytest.fixture
def loop(desk: Desk, performer: Performer) -> Iterator[Callable[[], Housekeeping]]:
    """Starts the loop; it ends with the test."""
    made = Housekeeping(
        desk.settings,
        desk.database,
        desk.clock,
        desk.post,
        Identity("w"),
        tide=Tide(desk.settings.tide_file),
        offload=lambda call: call(),
    )

    def start() -> Housekeeping:
        made.start(performer)
        return made

    yield start
    if made._thread.is_alive():
        made.stop()


def test_it_queues_what_waits_and_publishes_after_the_commit(desk: Desk, loop: Callable[[], Housekeeping]) -> None:
    job_id = desk.order("web[1-3]", credential="key:test")
    loop()
    until(lambda: len(desk.post.sent) == 3, 10, "three messages")
    assert desk.letters(job_id) == "qqq"
    assert desk.job(job_id).n_queued == 3


def test_messages_go_out_as_soon_as_the_broker_is_back(desk: Desk, loop: Callable[[], Housekeeping]) -> None:
    desk.post.away = True
    job_id = desk.order("web[1-3]", credential="key:test")
    loop()
    # The clock stands still: no back-off ever comes to its end.
    until(lambda: min(run.publishes for run in desk.runs(job_id)) > 2, 10, "several tries")
    desk.post.away = False
    until(lambda: len(desk.post.sent) >= 3, 10, "three messages")
    sent = len(desk.post.sent)
    beats = _beats(desk)
    until(lambda: _beats(desk) > beats + 3, 10, "rounds go by")
    assert len(desk.post.sent) == sent


def test_a_round_that_fails_does_not_end_the_heartbeat(
    desk: Desk, loop: Callable[[], Housekeeping], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    def fail(*_: object, **__: object) -> None:
        failures.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr("opsconsole.jobs.dispatch.sweep", fail)
    loop()
    until(lambda: len(failures) > 3, 10, "failing rounds")
    beats = _beats(desk)
    until(lambda: _beats(desk) > beats, 10, "the heart beats on")


def test_draining_ends_in_stopping(desk: Desk, loop: Callable[[], Housekeeping], performer: Performer) -> None:
    loop()
    assert not performer.stopping.wait(0.1)
    performer.draining.set()
    assert performer.stopping.wait(10)
    until(lambda: desk.slots() == 1000, 10, "its slots are no longer offered")


def test_who_signs_off_is_gone_at_once(desk: Desk, loop: Callable[[], Housekeeping]) -> None:
    slots = desk.slots()
    running = loop()
    assert desk.slots() > slots
    running.stop()
    assert desk.slots() == slots


@pytest.mark.parametrize(("busy", "level"), [(False, "info"), (True, "warning")])
def test_only_a_worker_that_left_runs_behind_is_warned_of(
    desk: Desk, loop: Callable[[], Housekeeping], busy: bool, level: str
) -> None:
    former = desk.hand("former")
    if busy:
        desk.order("web1", credential="key:test")
        former.start(*desk.sweep()[0])
    with desk.database.transaction() as opened:
        opened.get_one(WorkerProcess, former.id).gone_at = desk.clock.now()
    with capture_logs() as told:
        loop()
        until(lambda: any("worker is gone" in line["event"] for line in told), 10, "the end of the worker is told")
    gone = [line for line in told if "worker is gone" in line["event"]]
    assert [(line["worker"], line["log_level"]) for line in gone] == [(former.id, level)]


def test_a_process_declared_gone_by_mistake_goes_on_under_a_new_id(
    desk: Desk, loop: Callable[[], Housekeeping]
) -> None:
    running = loop()
    first = running._identity.id
    with desk.database.transaction() as opened:
        opened.get_one(WorkerProcess, first).gone_at = desk.clock.now()
    until(lambda: running._identity.id != first, 10, "a new id")
    until(lambda: desk.slots() >= 1000 + desk.settings.worker_slots, 10, "it offers its slots again")


def test_messages_are_left_to_the_others_while_it_is_drained(desk: Desk, loop: Callable[[], Housekeeping]) -> None:
    asked: list[bool] = []
    running = loop()
    # Its consumer is not there at the first time.
    running._intake = lambda wanted: asked.append(wanted) or len(asked) > 1  # type: ignore[func-returns-value]
    for verb in (drain.drain, drain.resume):
        before = list(asked)
        with desk.database.transaction() as session:
            verb(session, running._identity.id, desk.actor, now=desk.clock.now())
        until(lambda before=before: len(asked) > len(before), 10, "the consumer is told")  # type: ignore[misc]
        until(lambda verb=verb: running._shut is (verb is drain.drain), 10, "it is heeded")  # type: ignore[misc]
    assert asked == [False, False, True]


def _beats(desk: Desk) -> int:
    with desk.database.read() as opened:
        return int(opened.scalar(select(func.max(WorkerProcess.beat))) or 0)


class Recorder:
    """Takes the place of a worker's services and keeps what messages made them do."""

    def __init__(self) -> None:
        self.performer = self
        self.performed: list[tuple[int, int]] = []

    def perform(self, run_id: int, attempt: int) -> None:
        self.performed.append((run_id, attempt))

    attach = perform


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        ((1,), {}),
        (("1", 1), {}),
        ((1, "1"), {}),
        ((1, None), {}),
        ((True, 1), {}),
        ((1, True), {}),
        ((1.0, 1), {}),
        ((0, 1), {}),
        ((-1, 1), {}),
        ((2**63, 1), {}),
        ((1, 1, 1), {}),
        ((1, 1), {"command": "reboot"}),
        (([1], {}), {}),
    ],
)
def test_a_message_of_another_shape_is_dropped(
    settings: Settings, arguments: tuple[object, ...], named: dict[str, object]
) -> None:
    app, services = make_celery(settings), Recorder()
    worker._add_tasks(app, [services])  # type: ignore[list-item]
    for task in ("opsconsole.run", "opsconsole.attach"):
        app.tasks[task](*arguments, **named)
        assert services.performed == []
    app.tasks["opsconsole.run"](7, 1)
    app.tasks["opsconsole.attach"](8, 2)
    assert services.performed == [(7, 1), (8, 2)]


def test_celery_is_told_what_keeps_commands_from_running_twice(settings: Settings) -> None:
    conf = make_celery(settings).conf
    assert conf.task_acks_late is False
    assert conf.task_reject_on_worker_lost is False
    assert conf.result_backend is None
    assert conf.accept_content == ["json"]
    assert conf.broker_transport_options["visibility_timeout"] == 86_400
    assert conf.worker_prefetch_multiplier == 1
