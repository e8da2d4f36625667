"""Raw mode: a command over a terminal, run at once or typed at a prompt, and what is told of its end."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.jobs.perform import RawSession
from opsconsole.jobs.ports import Auth, Event, NotStarted, Output, RemoteProcess, Target
from opsconsole.jobs.raw import Manners, RawCommand, RawEnded
from opsconsole.settings import Settings
from opsconsole.ssh import ParamikoConnector
from tests.support import device
from tests.support.odd_ssh import OddServer
from tests.support.runs import Result, collect, connect
from tests.support.sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An OpenSSH server that is a device: whatever is asked of it, its command line answers."""
    typed = tmp_path_factory.mktemp("device") / "typed"
    forced = f"{sys.executable} -I {device.__file__} {typed}"
    with running_sshd(options={"ForceCommand": forced}) as server:
        yield server


def manners(tmp_path: Path) -> Manners:
    said = Settings.load(data_dir=tmp_path)
    return Manners(said.raw_prompt, said.raw_pager, said.raw_fail_match)


class Terminal:
    """Gives commands over connections of its own."""

    def __init__(self, connector: ParamikoConnector, tmp_path: Path) -> None:
        self._connector = connector
        self._manners = manners(tmp_path)

    def start(self, target: Target, auth: Auth, text: str, *, typed: bool) -> RemoteProcess:
        session = connect(self._connector, target, auth)
        assert isinstance(session, RawSession)
        self.session = session
        return session.start_raw(RawCommand(text, typed, self._manners))

    def run(self, target: Target, auth: Auth, text: str, *, typed: bool = False) -> Result:
        try:
            return collect(self.start(target, auth, text, typed=typed).events(0.5))
        finally:
            self.session.close(keep=False)  # type: ignore[attr-defined]


@pytest.fixture
def terminal(connector: ParamikoConnector, tmp_path: Path) -> Terminal:
    return Terminal(connector, tmp_path)


def until(events: Iterator[Event], text: bytes) -> bytes:
    """Reads events until the output holds ``text``; returns it."""
    seen = b""
    while text not in seen:
        event = next(events)
        assert not isinstance(event, RawEnded | NotStarted), (event, seen)
        seen += event.data if isinstance(event, Output) else b""
    return seen


class TestAtOnce:
    def test_a_host_tells_its_status_and_has_a_terminal(self, terminal: Terminal, sshd: Sshd) -> None:
        told = "stty size; tty >/dev/null && echo terminal; echo err >&2; exit 7"
        result = terminal.run(sshd.target(), sshd.auth(), told)
        assert (result.stdout, result.stderr, result.end) == (b"1000 511\nterminal\nerr\n", b"", RawEnded(7))

    def test_what_is_shown_comes_as_it_is_shown(self, terminal: Terminal, sshd: Sshd) -> None:
        events = terminal.start(sshd.target(), sshd.auth(), "printf 'half'; read x; echo \" $x\"", typed=False)
        until(events.events(0.2), b"half")
        events.signal("KILL")
        assert collect(events.events(0.2)).end == RawEnded(None, doubt=_doubt())
        terminal.session.close(keep=False)  # type: ignore[attr-defined]

    def test_a_device_is_asked_at_once_and_says_what_is_wrong(self, terminal: Terminal, switch: Sshd) -> None:
        result = terminal.run(switch.target(), switch.auth(), "show version")
        assert (result.stdout, result.end) == (b"Device OS 15.2\nserial 4711\n", RawEnded(0))
        result = terminal.run(switch.target(), switch.auth(), "shaw version")
        said = "The device said: % Invalid input detected at '^' marker."
        assert result.end == RawEnded(0, problem=said)

    def test_an_interrupted_command_is_ended_when_the_device_tells(self, terminal: Terminal, sshd: Sshd) -> None:
        process = terminal.start(sshd.target(), sshd.auth(), "echo go; exec sleep 600", typed=False)
        events = process.events(0.2)
        until(events, b"go")
        process.signal("TERM", grace=5)
        end = collect(events).end
        assert isinstance(end, RawEnded), end
        assert (end.signal, end.doubt) == ("INT", None)
        terminal.session.close(keep=False)  # type: ignore[attr-defined]


class TestTyped:
    def test_lines_are_typed_at_the_prompt_and_the_rest_is_left_out(self, terminal: Terminal, switch: Sshd) -> None:
        lines = "show version\nshow log\nconfigure\ninterface ge0/1"
        result = terminal.run(switch.target(), switch.auth(), lines, typed=True)
        log = b"".join(b"entry %d\n" % number for number in range(1, 13))
        assert (result.stdout, result.end) == (b"Device OS 15.2\nserial 4711\n" + log, RawEnded(0))

    def test_a_fault_keeps_the_rest_from_being_typed(self, terminal: Terminal, switch: Sshd) -> None:
        lines = "terminal length 0\nshow bug\nreload\nreload"
        result = terminal.run(switch.target(), switch.auth(), lines, typed=True)
        assert isinstance(result.end, RawEnded)
        told = "The device said: % Invalid input detected at '^' marker. · 2 lines were not typed any more."
        assert (result.end.status, result.end.problem) == (0, told)

    def test_an_order_interrupts_and_leaves(self, terminal: Terminal, switch: Sshd) -> None:
        process = terminal.start(switch.target(), switch.auth(), "wait\nreload", typed=True)
        events = process.events(0.2)
        until(events, b"waiting...")
        process.signal("TERM", grace=5)
        end = collect(events).end
        # This device's server tells how the session ended; what it says counts.
        assert isinstance(end, RawEnded), end
        assert (end.status, end.doubt) == (0, None)
        terminal.session.close(keep=False)  # type: ignore[attr-defined]

    @pytest.mark.parametrize("user", ["device", "device-closes", "device-without-pty"])
    def test_a_device_that_runs_nothing_at_once_is_typed_to(
        self, terminal: Terminal, odd: OddServer, user: str
    ) -> None:
        result = terminal.run(odd.target(user), odd.key_auth(), "show version\nshow log")
        log = b"".join(b"entry %d\n" % number for number in range(1, 13))
        assert result.stdout == b"Device OS 15.2\nserial 4711\n" + log
        assert result.end == RawEnded(
            None, note="The device told no exit status; the session was closed at its prompt."
        )

    def test_a_device_that_goes_away_by_itself_has_ended(self, terminal: Terminal, odd: OddServer) -> None:
        result = terminal.run(odd.target("device"), odd.key_auth(), "show version\nreload", typed=True)
        assert result.end == RawEnded(None, note="The device closed the session and told no exit status.")
        result = terminal.run(odd.target("device"), odd.key_auth(), "reload\nshow version", typed=True)
        assert isinstance(result.end, RawEnded)
        assert result.end.problem == "The device ended the session early: 1 line was not typed any more."

    def test_what_has_neither_exec_nor_shell_nor_prompt_has_run_nothing(
        self, terminal: Terminal, odd: OddServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = terminal.run(odd.target("device-refuses"), odd.key_auth(), "show version")
        assert result.end == NotStarted("The device refused to run a command and to open a shell.")
        monkeypatch.setattr("opsconsole.ssh.raw._PROMPT_SECONDS", -9.0)
        result = terminal.run(odd.target("device-mute"), odd.key_auth(), "show version")
        assert isinstance(result.end, NotStarted)
        assert result.end.detail.endswith("nothing was typed. It showed: Password:")

    def test_a_connection_that_ends_in_the_middle_is_in_doubt_once_it_was_ordered_to_end(
        self, terminal: Terminal, odd: OddServer
    ) -> None:
        process = terminal.start(odd.target("device"), odd.key_auth(), "show version", typed=True)
        events = process.events(0.2)
        until(events, b"4711")
        process.signal("TERM")
        end = collect(events).end
        assert isinstance(end, RawEnded)
        assert (end.status, end.doubt) == (None, _doubt())
        terminal.session.close(keep=False)  # type: ignore[attr-defined]


def test_a_silent_device_is_not_asked_too_often(terminal: Terminal, switch: Sshd) -> None:
    """While nothing comes the process waits instead of turning round and round."""
    process = terminal.start(switch.target(), switch.auth(), "wait", typed=True)
    events = process.events(0.2)
    until(events, b"waiting...")
    began = time.thread_time()
    for _ in range(10):
        next(events)
    assert time.thread_time() - began < 0.5
    process.signal("KILL")
    assert isinstance(collect(events).end, RawEnded)
    terminal.session.close(keep=False)  # type: ignore[attr-defined]


def _doubt() -> str:
    return "^C was sent and the session closed, but the device did not tell that the command ended: it may go on."
