"""A connector without a network: each host does what its script says."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from opsconsole.jobs.ports import (
    Auth,
    Become,
    ConnectionFacts,
    Event,
    Idle,
    KnownKey,
    Limits,
    RemoteCommand,
    Session,
    Sight,
    Target,
    Unreached,
)
from opsconsole.jobs.raw import RawCommand
from opsconsole.jobs.transfer import Transfer
from tests.support.desk import facts


@dataclass
class FakeProcess:
    """Yields ``events``; one that is None is silence until a signal comes, after which ``ended_by`` follows."""

    events_to_come: Sequence[Event | None]
    ended_by: dict[str, Event]
    signals: list[str] = field(default_factory=list)

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what is scripted."""
        for event in self.events_to_come:
            if event is not None:
                yield event
                continue
            while True:
                end = next((self.ended_by[name] for name in self.signals if name in self.ended_by), None)
                if end is not None:
                    yield end
                    return
                threading.Event().wait(0.01)
                yield Idle()

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Keeps the order."""
        self.signals.append(name)


@dataclass
class FakeSession:
    """Starts the scripted process, once."""

    process: FakeProcess
    facts: ConnectionFacts = field(default_factory=facts)
    started: list[RemoteCommand] = field(default_factory=list)
    started_raw: list[RawCommand] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    fault: Exception | None = None
    on_start: Callable[[], None] = lambda: None
    sight: Sight = field(default_factory=Sight)
    searched: list[tuple[str, float | None]] = field(default_factory=list)
    carried: list[Transfer] = field(default_factory=list)
    tidied: list[Transfer] = field(default_factory=list)

    def start(self, command: RemoteCommand) -> FakeProcess:
        """Returns the process, or fails as no session should."""
        self.started.append(command)
        self.on_start()
        if self.fault is not None:
            raise self.fault
        return self.process

    def start_raw(self, command: RawCommand) -> FakeProcess:
        """Returns the process."""
        self.started_raw.append(command)
        return self.process

    def search(self, mark: str, *, end: float | None, seconds: float, become: Become | None = None) -> Sight:
        """Returns what was set, and keeps the question."""
        self.searched.append((mark, end))
        return self.sight

    def transfer(self, transfer: Transfer, become: Become | None = None) -> FakeProcess:
        """Returns the process, and keeps what was to be carried."""
        self.carried.append(transfer)
        self.on_start()
        return self.process

    def tidy(self, transfer: Transfer, *, seconds: float, become: Become | None = None) -> Sight:
        """Returns what was set, and keeps what was to be cleared away."""
        self.tidied.append(transfer)
        return self.sight

    def forget(self, mark: str, become: Become | None = None) -> None:
        """Keeps which run the host need not remember any more."""
        self.forgotten.append(mark)

    def close(self, *, keep: bool) -> None:
        """Keeps whether the connection was to be kept."""
        self.closed.append(keep)


class FakeConnector:
    """Answers each connect with what was set; ``before`` is called first."""

    def __init__(self, answer: FakeSession | Unreached) -> None:
        self.answer = answer
        self.connects: list[tuple[Target, Auth, Limits]] = []
        self.scans: list[Target] = []
        self.keys: tuple[KnownKey, ...] = ()

    def connect(self, target: Target, auth: Auth, limits: Limits) -> Session | Unreached:
        """Returns the answer."""
        self.connects.append((target, auth, limits))
        self.before()
        return self.answer

    def scan(self, target: Target, _limits: Limits) -> tuple[KnownKey, ...] | Unreached:
        """Returns the keys that were set, or the answer when it is a failure."""
        self.scans.append(target)
        return self.answer if isinstance(self.answer, Unreached) else self.keys

    def before(self) -> None:
        """What happens while the connection is made."""

    def close(self) -> None:
        """Has nothing to close."""


def session(*events: Event | None, **ended_by: Event) -> FakeSession:
    """Returns a session whose process does ``events``, and after a signal what is named for it."""
    return FakeSession(FakeProcess(events, ended_by))
