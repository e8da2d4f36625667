"""What arrives in the queue, however often and from whom: only the row decides, and nobody is harmed."""

import base64
import json
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.clock import SystemClock
from opsconsole.tasks.app import RUN_TASK
from tests.faults.conftest import KEY, frozen
from tests.support.console import Console, marks, until
from tests.support.factories import actor_for, make_user

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
_QUEUE = "opsc:runs"


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Where commands leave a line when they start."""
    return tmp_path / "started"


class Queue:
    """The queue as somebody sees it who got hold of the broker."""

    def __init__(self, console: Console) -> None:
        self._client = redis.Redis(unix_socket_path=str(console.settings.broker_socket))

    def genuine(self, console: Console, run: tuple[int, int]) -> dict[str, Any]:
        """Returns a message as the console itself makes it."""
        with console.dispatcher._app.producer_or_acquire() as producer:
            text = console.dispatcher._payload(producer.channel, RUN_TASK, run)
        made: dict[str, Any] = json.loads(text)
        return made

    def push(self, *messages: bytes | str | dict[str, Any]) -> None:
        """Puts messages into the queue as they are."""
        self._client.lpush(_QUEUE, *(json.dumps(item) if isinstance(item, dict) else item for item in messages))

    def empty(self) -> bool:
        return self._client.llen(_QUEUE) == 0

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def open_queue() -> Iterator[Callable[[Console], Queue]]:
    opened: list[Queue] = []

    def open_one(console: Console) -> Queue:
        opened.append(Queue(console))
        return opened[-1]

    yield open_one
    for queue in opened:
        queue.close()


def test_fifty_deliveries_to_three_workers_at_once_are_one_start(make_console: MakeConsole, started: Path) -> None:
    console = make_console(workers=3)
    job_id = console.launch("127.0.0.[1-3]", f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 2", **KEY)
    ids = [run.id for run in console.runs(job_id)]
    # All three find their share of the copies at the same moment.
    for worker in console.workers:
        worker.process.send_signal(signal.SIGSTOP)
    console.dispatcher.publish([(run_id, 1) for run_id in ids] * 50)
    for worker in console.workers:
        worker.process.send_signal(signal.SIGCONT)
    body = console.follow(job_id)
    console.dispatcher.publish([(run_id, 1) for run_id in ids] * 50)
    after, _ = console.run("127.0.0.4", "true", **KEY)
    assert (body["state"], after["state"]) == ("succeeded", "succeeded")
    assert sorted(marks(started)) == sorted(map(str, ids))


def _body(*arguments: object, **named: object) -> str:
    return base64.b64encode(json.dumps([list(arguments), named, {}]).encode()).decode()


class _Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def forged(made: dict[str, Any], bomb: Path) -> dict[str, Any]:
    """Returns messages that nobody should have sent, by what is wrong with them."""
    headers = made["headers"]
    pickled = base64.b64encode(pickle.dumps([[_Bomb(bomb)], {}, {}])).decode()
    found = {
        "no JSON": b"\x00\xff{",
        "not even an object": '"hello"',
        "an empty object": "{}",
        "a number": "7",
        "no headers": {**made, "headers": {}},
        "no properties": {name: value for name, value in made.items() if name != "properties"},
        "a body that is no base64": {**made, "body": "!!!"},
        "a body that is no JSON": {**made, "body": base64.b64encode(b"nonsense").decode()},
        "a body of another shape": {**made, "body": base64.b64encode(b'{"a": 1}').decode()},
        "pickle": {**made, "body": pickled, "content-type": "application/x-python-serialize"},
        "yaml": {**made, "content-type": "application/x-yaml"},
        "ten megabytes": {**made, "body": _body("x" * 10_000_000, 1)},
        "a task of Celery's own": {**made, "headers": {**headers, "task": "celery.backend_cleanup"}},
        "a task that is none": {**made, "headers": {**headers, "task": "os.system"}},
        "a countdown": {**made, "headers": {**headers, "eta": "not a time"}},
    }
    bodies = {
        "no arguments": _body(),
        "one argument": _body(1),
        "three arguments": _body(1, 1, 1),
        "text for a number": _body("1", 1),
        "yes for a number": _body(True, True),
        "a list for a number": _body([1], {"a": 1}),
        "a number too large": _body(2**70, 1),
        "a number below zero": _body(-1, 1),
        "a run that is none": _body(999_999, 1),
        "a command": _body(1, 1, command="touch /tmp/x"),
    }
    found |= {name: {**made, "body": body} for name, body in bodies.items()}
    for task in ("opsconsole.dispatch", "opsconsole.tick", "opsconsole.attach", "opsconsole.look"):
        found[f"arguments for {task}"] = {**made, "headers": {**headers, "task": task}, "body": _body("x", 1, a=2)}
    return found


def test_forged_messages_start_nothing_and_harm_nobody(
    make_console: MakeConsole, open_queue: Callable[[Console], Queue], started: Path, tmp_path: Path
) -> None:
    # Celery tells of a task that it does not know with a trace.
    console = make_console(outage=True)
    (worker,) = console.workers
    queue = open_queue(console)
    made = queue.genuine(console, (1, 1))
    for name, message in forged(made, tmp_path / "bomb").items():
        # More of them than a worker takes in advance: none may keep its place.
        for _ in range(1 if name == "ten megabytes" else 120):
            queue.push(message)
        until(queue.empty, 30, f"the worker has taken: {name}")
        assert worker.process.poll() is None, name
    body, (run,) = console.run("127.0.0.1", f"echo x >> {started}", **KEY)
    assert (body["state"], run.attempt, len(marks(started))) == ("succeeded", 1, 1)
    assert worker.process.poll() is None
    assert not (tmp_path / "bomb").exists()
    assert console.logs().count("was dropped") >= 9


def test_a_message_for_what_is_over_or_not_allowed_starts_nothing(make_console: MakeConsole, started: Path) -> None:
    console = make_console()
    command = f"echo ${{OPSC_RUN%-*}} >> {started}"
    _, ended = console.run("127.0.0.[1-3]", command, **KEY)
    # Of a person who may no longer run anything.
    with console.database.transaction() as session:
        user = make_user(session, role=Role.OPERATOR)
        user_id, other = user.id, actor_for(user)
    me, console.actor = console.actor, other
    (worker,) = console.workers
    with frozen(console, worker):
        theirs = console.launch("127.0.0.[4-6]", command, **KEY)
        with console.database.transaction() as session:
            session.get_one(User, user_id).disabled_at = SystemClock().now()
    console.actor = me
    console.dispatcher.publish([(run.id, attempt) for run in ended for attempt in (1, 2, 3)] * 10)
    console.dispatcher.publish([(run.id, 1) for run in console.runs(theirs)] * 10)
    with console.database.read() as session:
        assert session.get_one(User, user_id).disabled_at is not None
    until(lambda: all(run.state == "skipped" for run in console.runs(theirs)), 30, "their runs are refused")
    assert {run.reason for run in console.runs(theirs)} == {"not_permitted"}
    assert sorted(marks(started)) == sorted(str(run.id) for run in ended)
