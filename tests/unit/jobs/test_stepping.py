"""Hosts that go through check, act and verify, from the message to the record; the hosts are simulated."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.errors import Invalid
from opsconsole.executors.simulate import SimulatedConnector
from opsconsole.jobs import queries, results
from opsconsole.jobs.guard import assess
from opsconsole.jobs.order import Order
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Dropped, Event, Exited, Idle, Output, RemoteCommand, RemoteProcess, Started, Stream
from opsconsole.jobs.steps import Step, end_line
from tests.support.desk import Desk, Hand
from tests.support.fake_ssh import FakeConnector, FakeProcess, FakeSession

_QUICK = {"executor": "simulate", "simulation": "connect_seconds=0 median_seconds=0"}
_BOTH = ["check:passed:0", "act:passed:0"]
_STEPS: dict[str, Any] = {"command": "echo a", "check": "echo c", "verify": "echo v", "credential": "key:test"}


class SteppedSession(FakeSession):
    """Says what its host says, with the ends of steps where a step is named."""

    def start(self, command: RemoteCommand) -> RemoteProcess:
        self.started.append(command)
        events: list[Event | None] = []
        for said in self.process.events_to_come:
            if isinstance(said, tuple):
                line = end_line(command.mark, *said)
                events += [Output(stream, line) for stream in Stream]
            else:
                events.append(said)
        self.process.events_to_come = events
        return self.process


def _perform(desk: Desk, hand: Hand, *said: Any, **order: Any) -> tuple[int, Performer]:
    desk.order("web1", **{**_STEPS, **order})
    ((run_id, attempt),) = desk.sweep()
    remote = SteppedSession(FakeProcess([Started(7), *said], {}))
    made = Performer(hand.ledger, FakeConnector(remote), Bounds(64, 64, 15.0))
    made.perform(run_id, attempt)
    return run_id, made


def _steps(desk: Desk, run_id: int) -> list[tuple[str, str, int | None, bytes]]:
    with desk.database.read() as session:
        run = desk.run(run_id)
        return [
            (one["step"], one["state"], one["exit"], b"".join(results.raw(session, run, step=one["step"])))
            for one in queries.host_steps(session, run)
        ]


def _said(text: bytes) -> Output:
    return Output(Stream.STDOUT, text)


def test_all_is_told_of_a_host_that_went_through(desk: Desk, hand: Hand, tmp_path: Path) -> None:
    job = desk.order("web[1-2]", **{**_STEPS, **_QUICK, "check": "exit 77"})
    made = Performer(hand.ledger, SimulatedConnector(tmp_path), Bounds(1024, 1024, 15.0))
    for message in desk.sweep():
        made.perform(*message)
    told = {(run.state, run.reason, run.exit_status, run.step) for run in desk.runs(job)}
    assert told == {("succeeded", "nothing_to_do", 77, "check")}
    job = desk.order("web[1-3]", **{**_STEPS, **_QUICK})
    for message in desk.sweep():
        made.perform(*message)
    run = desk.runs(job)[0]
    assert _steps(desk, run.id) == [
        ("check", "passed", 0, b"c\n"), ("act", "passed", 0, b"a\n"), ("verify", "passed", 0, b"v\n"),
    ]  # fmt: skip
    with desk.database.read() as session:
        counts = queries.status(session, desk.job(job), now=desk.clock.now())["steps"]["list"]
    assert [(one["step"], one["counts"]["o"]) for one in counts] == [("check", 0), ("act", 0), ("verify", 3)]
    desk.letters(job)


@pytest.mark.parametrize(
    ("said", "end", "told", "steps"),
    [
        ([], Exited(1), ("failed", "check", 1), ["check:failed:1"]),
        ([(Step.CHECK, 77)], Exited(77), ("succeeded", "nothing_to_do", 77), ["check:nothing_to_do:77"]),
        ([(Step.ACT, 0)], Exited(None, "SEGV"), ("failed", "verify", None), [*_BOTH, "verify:failed:None"]),
        ([(Step.CHECK, 0)], Dropped("gone"), ("lost", "connection_lost", None), ["check:passed:0", "act:lost:None"]),
        # What came before the last end was not kept: that step is known all the same.
        ([(Step.VERIFY, 4)], Exited(4), ("failed", "verify", 4), [*_BOTH, "verify:failed:4"]),
        # Nobody told how it went on after the check.
        ([(Step.CHECK, 0)], Exited(0), ("lost", "vanished", 0), ["check:passed:0", "act:lost:0"]),
    ],
)  # fmt: skip
def test_every_end_has_its_name(
    desk: Desk, hand: Hand, said: list[Any], end: Event, told: tuple[object, ...], steps: list[str]
) -> None:
    run_id, _ = _perform(desk, hand, *said, end)
    run = desk.run(run_id)
    assert (run.state, run.reason, run.exit_status) == told
    assert [f"{step}:{state}:{status}" for step, state, status, _ in _steps(desk, run_id)] == steps
    assert run.step == steps[-1].partition(":")[0]


class _Watched(FakeProcess):
    """A process whose silence (``None``) ends when ``stored`` says that what came before it was stored."""

    stored: Callable[[], bool]

    def events(self, poll_seconds: float) -> Iterator[Event]:
        for event in self.events_to_come:
            give_up = time.monotonic() + 20
            while event is None and not self.stored():
                assert time.monotonic() < give_up
                time.sleep(0.02)
                yield Idle()
            if event is not None:
                yield event


def test_how_far_a_host_is_is_stored_while_it_runs(desk: Desk, hand: Hand) -> None:
    desk.order("web1", **_STEPS)
    ((run_id, attempt),) = desk.sweep()
    process = _Watched([Started(7), _said(b"c\n"), (Step.CHECK, 0), _said(b"a\n"), None, Dropped("gone")], {})  # type: ignore[list-item]
    now = [("check", "passed", 0, b"c\n"), ("act", "running", None, b"a\n")]
    process.stored = lambda: _steps(desk, run_id) == now
    Performer(hand.ledger, FakeConnector(SteppedSession(process)), Bounds(64, 64, 15.0)).perform(run_id, attempt)
    assert _steps(desk, run_id)[1] == ("act", "lost", None, b"a\n")


def test_a_step_is_read_apart_where_not_all_was_kept(desk: Desk, hand: Hand) -> None:
    check, act = b"c\n" * 50, b"".join(b"%03d\n" % n for n in range(50))
    run_id, _ = _perform(desk, hand, _said(check), (Step.CHECK, 0), _said(act), (Step.ACT, 3), Exited(3))
    with desk.database.read() as session:
        run = desk.run(run_id)
        of_check = results.output(session, run, step="check")
        of_act = results.output(session, run, step="act", from_line=-2)
        whole = results.output(session, run)
    # 64 bytes of the head are kept, and 64 of the tail: the gap lies in both steps.
    assert (of_check["total_lines"], of_check["truncated"]) == (50, {"from": 64, "bytes": 36})
    assert [line[3] for line in of_check["lines"]] == ["c"] * 32
    assert (of_act["total_lines"], of_act["truncated"]) == (50, {"from": 100, "bytes": 136})
    assert [(line[0], line[3]) for line in of_act["lines"]] == [(49, "048"), (50, "049")]
    assert (whole["total_lines"], whole["truncated"]) == (100, {"from": 64, "bytes": 172})


def test_a_danger_in_any_step_counts(desk: Desk) -> None:
    with pytest.raises(Invalid, match="raw"):
        desk.order("web1", raw=True, check="true", credential="key:test")
    for name in ("check", "verify"):
        text = desk.launcher.what_of(Order("web[1-2]", "uptime", **{name: "reboot"})).readable("uptime")
        assert assess(2, listed=0, protected=0, inventory=0, command=text).tier == 3
