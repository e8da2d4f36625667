"""Simulated hosts behind the port: connecting, running, being told to end, being lost and found again."""

import threading
import time
from pathlib import Path

import pytest

from opsconsole.executors.simulate import SimulatedConnector, SimulatedProcess, SimulatedSession
from opsconsole.jobs.ports import (
    Auth,
    Dropped,
    Event,
    Exited,
    Idle,
    Limits,
    Output,
    RemoteCommand,
    Spool,
    Started,
    Stream,
    Target,
    Unreached,
    Vanished,
)
from opsconsole.jobs.raw import Manners, RawCommand, RawEnded
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.states import Reason

_AUTH = Auth(identity="simulate")
_FAST = "connect_seconds=0 median_seconds=0"
_SPOOL = Spool(head=1024, tail=1024)


def _connect(folder: Path, said: str = "", name: str = "web1", limit: float = 5.0) -> SimulatedSession | Unreached:
    target = Target(name, name, 22, "root", simulation=Simulation.parse(f"{_FAST} {said}"))
    return SimulatedConnector(folder).connect(target, _AUTH, Limits(connect=limit))


def _start(folder: Path, script: str, said: str = "", *, spool: Spool | None = None) -> SimulatedProcess:
    session = _connect(folder, said)
    assert isinstance(session, SimulatedSession)
    return session.start(RemoteCommand("1-1.ab", script.encode(), 60, 1, spool=spool))


def _end(process: SimulatedProcess) -> Event:
    *_, last = process.events(0.05)
    return last


def test_a_command_starts_speaks_and_ends(tmp_path: Path) -> None:
    events = list(_start(tmp_path, "echo one; exit 3").events(0.05))
    assert isinstance(events[0], Started)
    assert events[1:] == [Output(Stream.STDOUT, b"one\n"), Exited(3)]


def test_no_host_key_and_no_login_are_part_of_it(tmp_path: Path) -> None:
    session = _connect(tmp_path)
    assert isinstance(session, SimulatedSession)
    assert session.facts.host_key is None
    scanned = SimulatedConnector(tmp_path).scan(Target("web1", "web1", 22, "root"), Limits())
    assert isinstance(scanned, Unreached)
    assert scanned.offered is None


def test_an_unreachable_host_says_why_and_shows_no_key(tmp_path: Path) -> None:
    answers = [_connect(tmp_path, "unreachable=100%", f"web{n}", 0.01) for n in range(60)]
    reasons = {answer.reason for answer in answers if isinstance(answer, Unreached)}
    assert reasons == {Reason.CONNECT_TIMEOUT, Reason.REFUSED, Reason.AUTH, Reason.DNS}
    keyed = [_connect(tmp_path, "host_keys=100%", f"web{n}") for n in range(30)]
    assert all(isinstance(answer, Unreached) and answer.offered is None for answer in keyed)
    assert {getattr(answer, "reason", None) for answer in keyed} == {
        Reason.HOST_KEY_UNKNOWN,
        Reason.HOST_KEY_CHANGED,
    }


def test_a_connection_that_takes_longer_than_allowed_times_out(tmp_path: Path) -> None:
    answer = _connect(tmp_path, "connect_seconds=60 spread=0", limit=0.05)
    assert isinstance(answer, Unreached)
    assert (answer.reason, answer.retryable) == (Reason.CONNECT_TIMEOUT, True)


def test_silence_is_told_while_nothing_happens(tmp_path: Path) -> None:
    process = _start(tmp_path, "sleep 30")
    events = process.events(0.02)
    assert isinstance(next(events), Started)
    assert [next(events) for _ in range(3)] == [Idle()] * 3


@pytest.mark.parametrize(
    ("order", "end"), [("TERM", Exited(143)), ("HUP", Exited(129)), ("KILL", Exited(None, "KILL"))]
)
def test_an_order_ends_it_at_once(tmp_path: Path, order: str, end: Exited) -> None:
    process = _start(tmp_path, "sleep 600")
    threading.Timer(0.05, process.signal, [order]).start()
    began = time.monotonic()
    assert _end(process) == end
    assert time.monotonic() - began < 30


def test_a_stubborn_host_listens_to_kill_alone(tmp_path: Path) -> None:
    process = _start(tmp_path, "sleep 600", "stubborn=100%")
    events = process.events(0.02)
    next(events)
    process.signal("TERM")
    assert [next(events) for _ in range(3)] == [Idle()] * 3
    process.signal("KILL")
    *_, last = events
    assert last == Exited(None, "KILL")


def test_a_host_that_hangs_ends_by_its_own_limit_at_last(tmp_path: Path) -> None:
    session = _connect(tmp_path, "hangs=100%")
    assert isinstance(session, SimulatedSession)
    assert _end(session.start(RemoteCommand("1-1.ab", b"true", 0, 1))) == Exited(143)


def test_a_lost_connection_leaves_the_command_behind(tmp_path: Path) -> None:
    assert isinstance(_end(_start(tmp_path, "sleep 600", "lost=100%")), Dropped)
    session = _connect(tmp_path)
    assert isinstance(session, SimulatedSession)
    assert session.search("1-1.ab", end=None, seconds=1).alive == 1
    ended = session.search("1-1.ab", end=0.0, seconds=1)
    assert (ended.clear, ended.ended) == (True, 1)
    assert session.search("1-1.ab", end=None, seconds=1).clear


def test_a_durable_command_goes_on_behind_its_last_byte(tmp_path: Path) -> None:
    said = "lost=100% median_seconds=0.2 spread=0"
    assert isinstance(_end(_start(tmp_path, "echo one; echo two", said, spool=_SPOOL)), Dropped)
    again = Spool(head=1024, tail=1024, attach=True, stdout=4)
    process = _start(tmp_path, "echo one; echo two", said, spool=again)
    # Silence may be told at any moment: all hosts look up at the same ticks of the clock.
    events = [event for event in process.events(1.0) if event != Idle()]
    assert isinstance(events[0], Started)
    assert events[0].age is not None
    assert events[1:] == [Output(Stream.STDOUT, b"two\n"), Exited(0)]


def test_a_durable_command_that_was_ended_meanwhile_says_so(tmp_path: Path) -> None:
    process = _start(tmp_path, "echo one; sleep 600", spool=_SPOOL)
    events = process.events(0.02)
    next(events)
    process.signal("TERM")
    again = _start(tmp_path, "echo one; sleep 600", spool=Spool(head=1024, tail=1024, attach=True))
    assert _end(again) == Exited(143)


def test_a_durable_command_that_is_not_kept_has_vanished(tmp_path: Path) -> None:
    kept = Spool(head=1024, tail=1024, attach=True)
    assert isinstance(_end(_start(tmp_path, "echo one", spool=kept)), Vanished)


def test_what_a_durable_command_left_is_forgotten(tmp_path: Path) -> None:
    _end(_start(tmp_path, "echo one", spool=_SPOOL))
    assert len(list(tmp_path.iterdir())) == 1
    session = _connect(tmp_path)
    assert isinstance(session, SimulatedSession)
    session.forget("1-1.ab")
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_spoken_to_over_a_terminal(tmp_path: Path) -> None:
    session = _connect(tmp_path)
    assert isinstance(session, SimulatedSession)
    device = session.start_raw(RawCommand("echo up", typed=True, manners=Manners("#", "more", "%")))
    assert list(device.events(0.05)) == [Output(Stream.STDOUT, b"up\n"), RawEnded(0)]
