"""Short forms for tests that run a command over a connector."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from opsconsole.jobs.ports import (
    Auth,
    Connector,
    Event,
    Idle,
    Limits,
    Output,
    RemoteCommand,
    Session,
    Started,
    Stream,
    Target,
    Unreached,
)


@dataclass(slots=True)
class Result:
    """What came of a run: both streams, the pid, and the last event."""

    stdout: bytes = b""
    stderr: bytes = b""
    pid: int | None = None
    end: Event | None = None
    order: list[Stream] = field(default_factory=list)


def command(script: bytes | str, *, mark: str = "1-1", limit: int = 60, grace: int = 5) -> RemoteCommand:
    """Returns a command with the usual limits."""
    text = script.encode() if isinstance(script, str) else script
    # Tests run side by side on one machine, and what is ended by its mark is ended wherever it is.
    return RemoteCommand(f"{mark}.{secrets.token_hex(4)}", text, limit, grace)


def connect(connector: Connector, target: Target, auth: Auth, seconds: float = 10.0) -> Session:
    """Returns a session; the test fails with the reason when there is none."""
    session = connector.connect(target, auth, Limits(connect=seconds))
    assert not isinstance(session, Unreached), session
    return session


def refused(connector: Connector, target: Target, auth: Auth, seconds: float = 10.0) -> Unreached:
    """Returns why there is no session; the test fails when there is one."""
    answer = connector.connect(target, auth, Limits(connect=seconds))
    if not isinstance(answer, Unreached):
        answer.close(keep=False)
        raise AssertionError("connected")
    return answer


def collect(events: Iterable[Event]) -> Result:
    """Returns all that the events told."""
    result = Result()
    out: list[bytes] = []
    err: list[bytes] = []
    for event in events:
        match event:
            case Output(stream, data):
                (out if stream is Stream.STDOUT else err).append(data)
                if not result.order or result.order[-1] is not stream:
                    result.order.append(stream)
            case Started(pid):
                result.pid = pid
            case Idle():
                continue
            case _:
                result.end = event
    result.stdout, result.stderr = b"".join(out), b"".join(err)
    return result


def run(
    connector: Connector, target: Target, auth: Auth, script: bytes | str, *, keep: bool = False, **limits: int
) -> Result:
    """Returns what came of running ``script`` once."""
    session = connect(connector, target, auth)
    try:
        return collect(session.start(command(script, **limits)).events(0.5))
    finally:
        session.close(keep=keep)


def until_started(events: Iterator[Event]) -> int:
    """Reads events until the command runs; returns its process group id."""
    for event in events:
        if isinstance(event, Started):
            return event.pid
        assert isinstance(event, Idle | Output), event
    raise AssertionError("ended before it started")
