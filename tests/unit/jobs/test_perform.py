"""One delivery from the message to the result, with a host that does as it is told."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from opsconsole.errors import Invalid
from opsconsole.files import service as files
from opsconsole.jobs import follow as follow_module
from opsconsole.jobs import look
from opsconsole.jobs.models import Job, OutputChunk
from opsconsole.jobs.orders import CancelOrder
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import (
    Dropped,
    Event,
    Exited,
    Idle,
    LeftProcess,
    NotStarted,
    Output,
    Secret,
    Sight,
    Started,
    Stream,
    Unreached,
)
from opsconsole.jobs.raw import RawEnded
from opsconsole.jobs.states import Reason
from tests.support.desk import Desk, Hand
from tests.support.fake_ssh import FakeConnector, FakeSession, session

HELLO = Output(Stream.STDOUT, b"hello\n")
STARTED = Started(4711)


def order(desk: Desk, **fields: object) -> tuple[int, int]:
    """Returns the message of a new job on one host."""
    desk.order("web1", credential="key:test", **fields)
    (message,) = desk.sweep()
    return message


def performer(hand: Hand, connector: FakeConnector, gate_seconds: float = 15.0) -> Performer:
    return Performer(hand.ledger, connector, Bounds(1024, 1024, gate_seconds))


@pytest.mark.parametrize(
    ("events", "state", "reason", "exit_status", "signal"),
    [
        ([STARTED, HELLO, Exited(0)], "succeeded", None, 0, None),
        ([STARTED, HELLO, Exited(7)], "failed", "exit_status", 7, None),
        ([STARTED, Exited(None, "SEGV")], "failed", "exit_signal", None, "SEGV"),
        ([STARTED, HELLO, Dropped("gone")], "lost", "connection_lost", None, None),
        ([NotStarted("refused")], "failed", "exec_refused", None, None),
        ([STARTED, HELLO], "lost", "connection_lost", None, None),
        ([Idle(), Idle(), STARTED, Idle(), Exited(0)], "succeeded", None, 0, None),
    ],
)
def test_every_end_has_its_name(
    desk: Desk,
    hand: Hand,
    events: list[Event],
    state: str,
    reason: str | None,
    exit_status: int | None,
    signal: str | None,
) -> None:
    message, remote = order(desk), session(*events)
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason, run.exit_status, run.exit_signal) == (state, reason, exit_status, signal)
    assert run.lines == (1 if HELLO in events else 0)
    assert run.pid == (4711 if STARTED in events else None)
    assert len(remote.started) == 1
    assert remote.started[0].script == b"uptime"
    assert remote.started[0].mark == run.mark
    assert run.mark is not None
    assert run.mark.startswith(f"{message[0]}-1.")
    # A connection serves again only after an end without doubt.
    assert remote.closed == [isinstance(events[-1], Exited)]


@pytest.mark.parametrize(
    ("end", "state", "reason", "exit_status", "detail"),
    [
        (RawEnded(0), "succeeded", None, 0, None),
        (RawEnded(None, note="It told none."), "succeeded", None, None, "It told none."),
        (RawEnded(None, problem="% Bad"), "failed", "device_fault", None, "% Bad"),
        (RawEnded(0, problem="% Bad"), "failed", "device_fault", 0, "% Bad"),
        (RawEnded(3), "failed", "exit_status", 3, None),
        (RawEnded(None, "HUP"), "failed", "exit_signal", None, "Killed by SIGHUP."),
    ],
)
def test_every_end_of_a_raw_run_has_its_name(
    desk: Desk, hand: Hand, end: RawEnded, state: str, reason: str | None, exit_status: int | None, detail: str | None
) -> None:
    message, remote = order(desk, raw=True, command="set name {n}"), session(HELLO, end)
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason, run.exit_status, run.detail) == (state, reason, exit_status, detail)
    assert [(raw.text, raw.typed) for raw in remote.started_raw] == [("set name 1", False)]
    # Nothing of ours was started, and a device may remember what it was told: nobody else gets its connection.
    assert (remote.started, remote.closed) == ([], [False])


@pytest.mark.parametrize(
    ("end", "reason"), [(RawEnded(None, doubt="It may go on."), "kill_unconfirmed"), (RawEnded(130), "killed")]
)
def test_a_cancelled_raw_run_is_killed_when_the_device_tells_and_never_searched_for(
    desk: Desk, hand: Hand, end: RawEnded, reason: str
) -> None:
    message, remote = order(desk, raw=True), session(HELLO, None, TERM=end)
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")}))
    run = desk.run(message[0])
    assert (run.state, run.reason) == ("cancelled", reason)
    assert remote.searched == []
    with pytest.raises(Invalid, match="no mark on its device"), desk.database.transaction() as session_:
        look.ask(session_, session_.get_one(Job, run.job_id), desk.actor, now=desk.clock.now())


def test_the_password_it_logged_in_with_is_in_no_output(desk: Desk, hand: Hand) -> None:
    desk.order("web1", credential="password", password=Secret("Canary+2"))
    (message,) = desk.sweep()
    said = b"pass Canary+2 or Q2FuYXJ5KzI= or Canary%2B2"
    pieces = [Output(Stream.STDOUT, said[at : at + 3]) for at in range(0, len(said), 3)]
    remote = session(STARTED, *pieces, Output(Stream.STDERR, b"Canary"), Dropped("saw Canary+2"))
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert run.last_line == "pass *** or ***I= or ***"
    assert run.detail == "saw ***"
    with desk.database.read() as session_:
        stored = b"".join(session_.scalars(select(OutputChunk.data).order_by(OutputChunk.offset)))
    assert b"Canary+2" not in stored
    # What only began like it is there.
    assert stored.endswith(b"Canary")


def test_what_cannot_be_reached_never_ran(desk: Desk, hand: Hand) -> None:
    message = order(desk)
    performer(hand, FakeConnector(Unreached(Reason.AUTH, "denied"))).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason, run.detail, run.started_at) == ("unreachable", "auth", "denied", None)


def test_children_left_behind_are_told_and_their_connection_is_not_kept(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, Exited(0, left_children=True))
    performer(hand, FakeConnector(remote)).perform(*message)
    assert desk.run(message[0]).left_children
    assert remote.closed == [False]


def test_a_cancel_while_connecting_sends_nothing(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, Exited(0))
    connector = FakeConnector(remote)
    connector.before = lambda: desk.cancel(desk.run(message[0]).job_id)  # type: ignore[method-assign]
    performer(hand, connector).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason) == ("cancelled", "before_start")
    assert remote.started == []
    assert desk.job(run.job_id).state == "cancelled"


def test_a_run_that_was_taken_over_while_connecting_sends_nothing(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, Exited(0))
    connector = FakeConnector(remote)
    connector.before = lambda: desk.gone(hand)  # type: ignore[method-assign]
    performer(hand, connector).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.attempt, remote.started) == ("queued", 2, [])


def test_a_gate_that_comes_too_late_sends_nothing(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk, retry_pause=0.0), session(STARTED, Exited(0))
    for attempt in (1, 2, 3):
        # Nothing was sent, so another try is safe.
        assert desk.run(message[0]).attempt == attempt
        performer(hand, FakeConnector(remote), gate_seconds=-1.0).perform(message[0], attempt)
    run = desk.run(message[0])
    assert (run.state, run.reason, remote.started) == ("unreachable", "internal", [])


def test_a_stopping_worker_starts_nothing_and_leaves_the_run_to_others(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, Exited(0))
    connector = FakeConnector(remote)
    made = performer(hand, connector)
    connector.before = made.draining.set  # type: ignore[method-assign]
    made.perform(*message)
    assert desk.run(message[0]).state == "connecting"
    assert remote.started == []
    assert made.busy == 0
    desk.gone(hand)
    assert desk.run(message[0]).state == "queued"
    made.perform(message[0], 2)
    assert len(connector.connects) == 1


def test_a_cancel_is_said_to_the_host_and_confirmed(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, HELLO, None, TERM=Exited(143))
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")}))
    run = desk.run(message[0])
    assert (run.state, run.reason, run.exit_status) == ("cancelled", "killed", 143)
    assert remote.process.signals == ["TERM"]
    assert remote.closed == [False]


def _push(desk: Desk) -> tuple[int, int]:
    with desk.database.transaction() as db:
        files.keep(db, desk.actor, name="motd", sha256="a" * 64, size=9, now=desk.clock.now())
    push = [{"file": "a" * 64, "to": "/etc/motd"}]
    return order(desk, command="", push=push, command_timeout=0.1)


@pytest.mark.parametrize("end", [Exited(None, "HUP", kept="It is kept."), Dropped("It is kept.")])
def test_a_push_that_runs_out_of_time_leaves_what_the_next_goes_on_from(desk: Desk, hand: Hand, end: Event) -> None:
    message, remote = _push(desk), session(None, HUP=end)
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason, run.detail) == ("timed_out", "command_timeout", "Stopped after 0.1 s. It is kept.")
    assert (remote.process.signals, remote.tidied) == (["HUP"], [])


def test_a_cancelled_push_leaves_nothing(desk: Desk, hand: Hand) -> None:
    message, remote = _push(desk), session(None, TERM=Dropped("gone"))
    made = performer(hand, FakeConnector(remote))
    remote.on_start = lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")})
    made.perform(*message)
    assert (remote.process.signals, len(remote.tidied)) == (["TERM"], 1)


def test_who_ignores_term_is_killed_after_the_grace(desk: Desk, hand: Hand) -> None:
    desk.settings = desk.settings.model_copy(update={"kill_grace": 0.05})
    message, remote = order(desk), session(STARTED, None, KILL=Exited(137))
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")}))
    assert desk.run(message[0]).reason == "killed"
    assert remote.process.signals == ["TERM", "KILL"]


def test_a_cancel_may_have_a_grace_and_a_cause_of_its_own(desk: Desk, hand: Hand) -> None:
    desk.settings = desk.settings.model_copy(update={"kill_grace": 300.0})
    message, remote = order(desk), session(STARTED, None, KILL=Exited(137))
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(0.05, "Ended with its job.")}))
    run = desk.run(message[0])
    assert (run.reason, run.detail) == (
        "killed",
        "Ended with its job. The remote end confirmed that the command ended.",
    )


def test_an_end_that_nobody_confirms_is_not_claimed(desk: Desk, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "_CONFIRM_SECONDS", 0.05)
    desk.settings = desk.settings.model_copy(update={"kill_grace": 0.0})
    message, remote = order(desk), session(STARTED, None)
    remote.sight = Sight(2, (LeftProcess(7, 60, "sleep 600"),))
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")}))
    run = desk.run(message[0])
    assert (run.state, run.reason) == ("cancelled", "kill_unconfirmed")
    assert run.detail == "Cancelled. 2 processes of it are alive on the host: 7 sleep 600 and others."
    assert remote.process.signals == ["TERM", "KILL"]


ENDS = [Dropped("gone"), Exited(143, doubt="The host cannot be searched.")]


@pytest.mark.parametrize("end", ENDS, ids=["connection lost", "exit not confirmed"])
def test_an_end_in_doubt_is_looked_into_over_a_new_connection(desk: Desk, hand: Hand, end: Event) -> None:
    message, remote = order(desk), session(STARTED, None, TERM=end)
    connector = FakeConnector(remote)
    made = performer(hand, connector)
    _while_running(made, message, lambda: made.cancel({message[0]: CancelOrder(None, "Cancelled.")}))
    run = desk.run(message[0])
    assert (run.state, run.reason, len(connector.connects)) == ("cancelled", "killed", 2)
    assert remote.searched == [(run.mark, 0.0)]
    assert "found nothing of the command alive" in (run.detail or "")


@pytest.mark.parametrize("end", ENDS, ids=["connection lost", "exit not confirmed"])
def test_what_cannot_be_asked_again_is_not_called_killed(desk: Desk, hand: Hand, end: Event) -> None:
    message, remote = order(desk), session(STARTED, None, TERM=end)
    connector = FakeConnector(remote)
    made = performer(hand, connector)

    def cancel() -> None:
        connector.answer = Unreached(Reason.REFUSED, "Nothing listens there.")
        made.cancel({message[0]: CancelOrder(None, "Cancelled.")})

    remote.on_start = cancel
    made.perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason) == ("cancelled", "kill_unconfirmed")
    assert run.detail == "Cancelled. Whether the command ended is not known: Nothing listens there."


def test_a_stopping_worker_asks_nobody_anew(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, None, TERM=Dropped("gone"))
    connector = FakeConnector(remote)
    made = performer(hand, connector)
    _while_running(made, message, made.stopping.set)
    run = desk.run(message[0])
    assert (run.reason, len(connector.connects)) == ("worker_shutdown", 1)
    assert run.detail == "The worker process was shut down. gone Whether the command ended is not known."


@pytest.mark.parametrize("limit", ["command", "idle"])
def test_deadlines(desk: Desk, hand: Hand, limit: str) -> None:
    message, remote = order(desk, **{f"{limit}_timeout": 0.1}), session(STARTED, HELLO, None, TERM=Exited(143))
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason, run.last_line) == ("timed_out", f"{limit}_timeout", "hello")


def test_a_worker_that_shuts_down_says_so(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED, None, TERM=Exited(143))
    made = performer(hand, FakeConnector(remote))
    _while_running(made, message, made.stopping.set)
    assert (desk.run(message[0]).state, desk.run(message[0]).reason) == ("cancelled", "worker_shutdown")


def test_a_fault_of_ours_leaves_no_run_hanging(desk: Desk, hand: Hand) -> None:
    message, remote = order(desk), session(STARTED)
    remote.fault = RuntimeError("a fault with hunter2 in it")
    performer(hand, FakeConnector(remote)).perform(*message)
    run = desk.run(message[0])
    assert (run.state, run.reason) == ("lost", "internal")
    assert "hunter2" not in (run.detail or "")
    assert remote.closed == [False]
    connector = FakeConnector(remote)
    message = order(desk)
    connector.before = _fail  # type: ignore[method-assign]
    performer(hand, connector).perform(*message)
    assert (desk.run(message[0]).state, desk.run(message[0]).reason) == ("unreachable", "internal")


def _fail() -> None:
    raise RuntimeError("hunter2")


def _while_running(made: Performer, message: tuple[int, int], act: Callable[[], None]) -> None:
    """Performs the message and calls ``act`` once the run is in hand."""
    thread = threading.Thread(target=made.perform, args=message)
    thread.start()
    while not made.in_hand():
        assert thread.is_alive()
    act()
    waits = threading.Thread(target=made.await_idle)
    waits.start()
    thread.join(30)
    waits.join(30)
    assert not thread.is_alive()
    assert not waits.is_alive()
    assert made.busy == 0


def test_await_idle_waits_for_the_last_delivery(desk: Desk, hand: Hand) -> None:
    message = order(desk)
    remote: FakeSession = session(STARTED, None, TERM=Exited(0))
    made = performer(hand, FakeConnector(remote))
    thread = threading.Thread(target=made.perform, args=message)
    thread.start()
    while not made.in_hand():
        assert thread.is_alive()
    waits = threading.Thread(target=made.await_idle)
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    remote.process.signals.append("TERM")
    thread.join(30)
    waits.join(30)
    assert not waits.is_alive()
