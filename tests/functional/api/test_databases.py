"""The same on both databases: one order in one moment, a followed job, values that only one of them refuses."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import func, select

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.jobs.models import Job
from tests.functional.api.callers import Browser, Program
from tests.functional.api.live import apply, serving, viewer
from tests.functional.api.play import Play


@pytest.fixture
def database(either_database: Database) -> Database:
    """All of these tests run on both."""
    return either_database


def test_one_order_sent_many_times_at_once_is_one_job(app: Flask, operator: Program, database: Database) -> None:
    order = {"targets": "web[1-30]", "command": "uptime", "confirm": 30}

    def send(_: int) -> tuple[int, int]:
        caller = Program(app.test_client(), operator.user, operator.token)
        answer = caller.post("jobs", order, headers={"Idempotency-Key": "double-click"})
        assert answer.json is not None
        return answer.status_code, answer.json["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({job for _, job in answers}) == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_a_job_is_followed(app: Flask, operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch("web[1-20]")
    with serving(app) as server:
        events = viewer(server, operator).events(f"jobs/{job}/events?out=3@0")
        assert next(events).name == "hello"
        grid = apply("", next(events).data)
        play(job).start(*range(20))
        play(job).write(3, b"said\n")
        play(job).end(*range(20))
        said = ""
        for event in events:
            if event.name in {"delta", "snapshot"}:
                grid = apply(grid, event.data)
            if event.name == "out":
                said += event.data["s"]
    assert (grid, said, event.name) == ("o" * 20, "said\n", "done")


def test_jobs_are_steered_and_stopped_together(
    operator: Program, program: Callable[..., Program], play: Callable[[int], Play]
) -> None:
    job = operator.launch("root@web1:22,web2,web3", waves="1 2")
    play(job).start(0)
    play(job).end(0)
    assert operator.post(f"jobs/{job}/pause", {"wave": 1}).json["counts"]["q"] == 2
    assert operator.post(f"jobs/{job}/pause", {}).json["state"] == "paused"
    assert operator.post(f"jobs/{job}/resume", {"held": True}).json["pause"]["by"] == operator.user.name
    assert operator.get(f"jobs/{job}/hosts/web1").json["host"] == "root@web1:22"
    again = operator.post(f"jobs/{job}/rerun", {"states": ["o"]}).json["id"]
    assert [found["id"] for found in operator.get(f"jobs/{again}/lineage").json["jobs"]] == [job, again]
    assert operator.get("queue").json["jobs"][0]["waits"]["code"] == "no_workers"
    assert operator.post("hold", {}).json["cancelled"] == [job, again]
    assert operator.get(f"jobs/{job}").json["counts"]["x"] == 2
    assert program(Role.ADMIN).delete("hold").json["held"] is False


def _odd(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    yield "/login", {"name": text, "password": "x" * 12}
    yield "/login", {"once": text}
    yield "/run", {"targets": text, "command": "uptime"}
    yield "/run", {"targets": "web1", "command": text}
    yield "/run", {"targets": "web1", "command": "uptime", "reason": text, "title": text, "user": text}


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\u202e", "x" * 5000, "9" * 30, "\ufffd\U0010ffff", "%00", "\r\n\r\n"]
)
def test_no_text_in_a_form_is_a_fault_of_ours(browser: Callable[..., Browser], text: str) -> None:
    caller = browser()
    for path, form in _odd(text):
        answer = caller.client.post(path, data={**form, "csrf_token": caller.form_token})
        assert answer.status_code < 500, f"{path} {list(form)}: {answer.status_code}"


@pytest.mark.parametrize("text", ["a\x00b", "\u202e", "x" * 5000, "9" * 30, "-1", "'", "%", "\\"])
def test_no_text_in_json_or_an_address_is_a_fault_of_ours(operator: Program, text: str) -> None:
    job = operator.launch()
    for name in ("targets", "exclude", "command", "title", "user", "credential", "reason", "confirm", "max_failures"):
        answer = operator.post("jobs", {"targets": "web1", "command": "uptime", name: text})
        assert answer.status_code < 500, f"{name}: {answer.status_code}"
    for path in ("jobs", f"jobs/{job}/hosts", "host-keys", f"jobs/{job}/hosts/0/output"):
        for name in ("q", "state", "by", "host", "sort", "cursor", "before", "limit", "from_line", "stream", "status"):
            answer = operator.get(path, query_string={name: text})
            assert answer.status_code < 500, f"{path} {name}: {answer.status_code}"
    assert operator.get(f"jobs/{job}", headers={"Idempotency-Key": text.replace("\x00", "")}).status_code == 200
    trust = operator.post("host-keys/trust", {"address": text, "fingerprint": text})
    assert trust.status_code < 500
