"""The live stream, over real connections."""

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest
from flask import Flask
from werkzeug.serving import BaseWSGIServer

from opsconsole.accounts.service import revoke_token
from opsconsole.db.database import Database
from opsconsole.jobs.states import RunState
from opsconsole.runtime import Runtime
from opsconsole.web.app import create_app
from opsconsole.web.sse import Pace, streams_of
from tests.functional.api.callers import Program
from tests.functional.api.live import Event, Viewer, apply, serving, viewer
from tests.functional.api.play import Play
from tests.support.clock import FakeClock
from tests.support.factories import actor_for

QUICK = Pace(heartbeat=0.2, recheck=0.2, life=20, look=0.05)


@pytest.fixture
def server(app: Flask) -> Iterator[BaseWSGIServer]:
    streams_of(app).pace = QUICK
    with serving(app) as running:
        yield running
        streams_of(app).stop()


@pytest.fixture
def watcher(server: BaseWSGIServer, operator: Program) -> Viewer:
    return viewer(server, operator)


def _until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        pause.wait(0.02)


def _take(events: Iterator[Event], name: str) -> Event:
    return next(event for event in events if event.name == name)


def test_a_job_is_followed_from_its_first_to_its_last_change(
    watcher: Viewer, operator: Program, play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    events = watcher.events(f"jobs/{job}/events")
    hello, snapshot = next(events), next(events)
    assert (hello.name, snapshot.name) == ("hello", "snapshot")
    assert hello.data["job"] == job
    assert hello.data["resume"] == "snapshot"
    assert snapshot.data["grid"] == "qqq"
    assert snapshot.data["job"]["id"] == job
    epoch = snapshot.data["job"]["epoch"]
    assert snapshot.id == f"{epoch}.{snapshot.data['ver']}"

    play(job).start(0, 1)
    seen = _take(events, "delta")
    play(job).end(0)
    play(job).end(1, state=RunState.FAILED, exit_status=3, reason="exit_status")
    play(job).start(2)
    play(job).end(2)
    rest = list(events)
    grid = apply("qqq", seen.data)
    for event in rest:
        if event.name in {"delta", "snapshot"}:
            assert sum(event.data.get("counts", {"o": 3}).values()) == 3
            grid = apply(grid, event.data)
    assert grid == "ofo" == operator.get(f"jobs/{job}/grid").json["grid"]
    states = [event.data["state"] for event in rest if event.name == "job"]
    assert states[-1] == "partial"
    assert [event.name for event in rest].count("done") == 1
    assert rest[-1].name == "done"
    assert rest[-1].data["counts"]["o"] == 2
    assert rest[-1].data["finished_at"]
    groups = [event.data for event in rest if event.name == "groups"][-1]
    assert groups["n"] == 2
    assert [(group["count"], group["exit"]) for group in groups["top"]] == [(1, 3), (2, 0)]


def test_headers_of_a_stream(watcher: Viewer, operator: Program) -> None:
    with watcher.stream(f"jobs/{operator.launch()}/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"


def test_an_ended_job_tells_all_and_ends(watcher: Viewer, operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    play(job).start(0, 1, 2)
    play(job).end(0, 1, 2)
    events = list(watcher.events(f"jobs/{job}/events"))
    assert [event.name for event in events] == ["hello", "snapshot", "groups", "done"]
    again = list(watcher.events(f"jobs/{job}/events", Last_Event_ID=events[-1].id))
    assert [event.name for event in again] == ["hello", "groups", "done"]


def test_a_viewer_who_comes_back_gets_what_it_missed(
    watcher: Viewer, operator: Program, play: Callable[[int], Play]
) -> None:
    job = operator.launch("web[1-200]", confirm=200)
    first = _take(watcher.events(f"jobs/{job}/events"), "snapshot")
    play(job).start(3)
    events = watcher.events(f"jobs/{job}/events", Last_Event_ID=first.id)
    assert next(events).data["resume"] == "delta"
    missed = next(events)
    assert missed.name == "delta"
    assert missed.data["h"] == [[3, "r"]]
    # By address too, for a page that opens a new stream.
    assert [
        e.name for e, _ in zip(watcher.events(f"jobs/{job}/events?last_event_id={first.id}"), "12", strict=False)
    ] == [
        "hello",
        "delta",
    ]


@pytest.mark.parametrize("known", ["ffff.1", "nonsense", "", "8f3a", "0000.99999999999999999999", "a\tb"])
def test_an_unknown_position_starts_anew(watcher: Viewer, operator: Program, known: str) -> None:
    events = watcher.events(f"jobs/{operator.launch()}/events", Last_Event_ID=known)
    assert next(events).data["resume"] == "snapshot"
    assert next(events).name == "snapshot"


def test_too_much_change_is_a_snapshot(watcher: Viewer, operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch("web[1-120]", confirm=120)
    first = _take(watcher.events(f"jobs/{job}/events"), "snapshot")
    play(job).start(*range(100))
    assert (
        _take(watcher.events(f"jobs/{job}/events", Last_Event_ID=first.id), "snapshot").data["grid"].count("r") == 100
    )


def test_output_is_followed_byte_for_byte_over_a_break(
    watcher: Viewer, operator: Program, play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    play(job).start(0)
    play(job).write(0, "grüß\n".encode())
    play(job).write(0, b"\xff\xfe", fd=2)
    events = watcher.events(f"jobs/{job}/events?out=0@0,1@0")
    parts = [_take(events, "out"), _take(events, "out")]
    assert (parts[0].data["s"], parts[0].data["fd"], parts[0].data["off"]) == ("grüß\n", 1, 0)
    assert (parts[1].data["b64"], base64.b64decode(parts[1].data["s"]), parts[1].data["fd"]) == (True, b"\xff\xfe", 2)
    assert parts[1].id.endswith(";0@9;1@0")
    events.close()  # type: ignore[attr-defined]

    play(job).write(0, b"later\n")
    events = watcher.events(f"jobs/{job}/events?out=0@0,1@0", Last_Event_ID=parts[1].id)
    later = _take(events, "out")
    assert (later.data["off"], later.data["s"]) == (9, "later\n")
    play(job).write(0, b"last\n")
    play(job).end(0)
    assert _take(events, "out").data["s"] == "last\n"
    play(job).start(1, 2)
    play(job).end(1, 2)
    assert [event.name for event in events][-1] == "done"


def test_what_cannot_be_followed_is_a_gap_to_fetch(
    watcher: Viewer, operator: Program, play: Callable[[int], Play]
) -> None:
    job = operator.launch("web1")
    play(job).start(0)
    for _ in range(10):
        play(job).write(0, b"x" * 32 * 1024)
    play(job).end(0)
    parts = [event.data for event in watcher.events(f"jobs/{job}/events?out=0@0") if event.name == "out"]
    assert sum(part.get("gap", 0) for part in parts) > 0
    assert sum(part.get("n", 0) + part.get("gap", 0) for part in parts) == 10 * 32 * 1024
    assert all(
        before["off"] + before.get("n", 0) + before.get("gap", 0) == after["off"] for before, after in pairwise(parts)
    )


@pytest.mark.parametrize("out", ["0", "a@1", "0@-1", "0@0,1@0,2@0,3@0,4@0", "0@0;1@0", "99999999@0"])
def test_a_broken_list_of_hosts_to_follow_is_refused(operator: Program, out: str) -> None:
    job = operator.launch("web[1-5]")
    answer = operator.get(f"jobs/{job}/events", query_string={"out": out})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "out")


def test_a_host_that_is_not_in_the_job_cannot_be_followed(operator: Program) -> None:
    assert operator.get(f"jobs/{operator.launch()}/events?out=7@0").status_code == 404


def test_a_stream_breathes_and_ends_before_it_is_a_minute_old(app: Flask, watcher: Viewer, operator: Program) -> None:
    assert Pace().life < 60
    streams_of(app).pace = Pace(heartbeat=0.1, recheck=30, life=0.6, look=0.05)
    with watcher.stream(f"jobs/{operator.launch()}/events") as response:
        text = response.read().decode()
    assert text.count(": hb\n\n") >= 2
    assert text.startswith("retry: 2000\nevent: hello\n")
    assert text.endswith("retry: 200\n\n")
    assert "event: bye" not in text
    _until(lambda: streams_of(app).count == 0)


def test_a_revoked_token_ends_its_streams(
    watcher: Viewer, operator: Program, database: Database, clock: FakeClock
) -> None:
    events = watcher.events(f"jobs/{operator.launch()}/events")
    _take(events, "snapshot")
    with database.transaction() as session:
        revoke_token(session, operator.token.split("_")[1], actor=actor_for(operator.user), now=clock.now())
    assert _take(events, "bye").data["poll"] is True
    assert list(events) == []


def test_the_process_says_good_bye(app: Flask, watcher: Viewer, operator: Program) -> None:
    events = watcher.events(f"jobs/{operator.launch()}/events")
    _take(events, "snapshot")
    streams_of(app).stop()
    bye = _take(events, "bye")
    assert 1000 <= bye.data["retry_ms"] <= 5000
    assert list(events) == []
    assert operator.get(f"jobs/{operator.launch()}/events").status_code == 503


def test_a_viewer_who_left_gives_its_place_back(app: Flask, watcher: Viewer, operator: Program) -> None:
    events = watcher.events(f"jobs/{operator.launch()}/events")
    _take(events, "snapshot")
    assert streams_of(app).count == 1
    events.close()  # type: ignore[attr-defined]
    _until(lambda: streams_of(app).count == 0, 5)
    assert streams_of(app).hubs.viewers == 0


def test_the_notices_can_be_heard_alone_or_with_a_job(
    watcher: Viewer, operator: Program, play: Callable[[int], Play]
) -> None:
    job = operator.launch()
    alone, beside = watcher.events("events?jobs=false"), watcher.events(f"jobs/{job}/events?notices=true")
    for events in (alone, beside):
        assert [notice["code"] for notice in _take(events, "notices").data["notices"]] == ["no_workers"]
    play(job).start(0)
    operator.post("hold", {"cancel": False})
    assert next(alone).data["notices"][0]["code"] == "console_held"
    assert _take(beside, "notices").data["notices"][0]["code"] == "console_held"


def test_places_are_limited_and_nobody_takes_them_all(
    runtime: Runtime, operator: Program, program: Callable[..., Program]
) -> None:
    settings = runtime.settings.model_copy(update={"max_streams": 10, "web_threads": 128})
    app = create_app(Runtime(settings, runtime.database, runtime.clock, runtime.cipher, runtime.dispatcher))
    job = operator.launch()
    with serving(app) as server:
        watching = viewer(server, operator)
        opened = [watching.events(f"jobs/{job}/events") for _ in range(5)]
        for events in opened:
            _take(events, "snapshot")
        with watching.stream(f"jobs/{job}/events") as refused:
            assert refused.status_code == 503
            assert 5 <= int(refused.headers["Retry-After"]) <= 15
            assert refused.read().startswith(b'{"retry_after"')
        another = viewer(server, program())
        # What a page can do without leaves the second half of the places to those who follow jobs.
        with another.stream("events?jobs=false") as refused:
            assert refused.status_code == 503
        opened.append(another.events("events"))
        assert next(opened[-1]).name == "hello"
        streams_of(app).stop()
        assert all(_take(events, "bye") for events in opened)


def test_a_viewer_who_does_not_read_is_let_go(
    app: Flask, server: BaseWSGIServer, operator: Program, play: Callable[[int], Play]
) -> None:
    # So short that a busy machine alone would end streams that are read.
    streams_of(app).pace = replace(QUICK, stall=0.5)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    job = operator.launch("web[1-4]")
    play(job).start(0, 1, 2, 3)
    for place in range(4):
        play(job).write(place, b"x" * 32 * 1024)
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", server.server_port))
        head = f"GET /api/v1/jobs/{job}/events?out=0@0,1@0,2@0,3@0 HTTP/1.1\r\nHost: localhost\r\n"
        stalled.sendall(f"{head}Authorization: Bearer {operator.token}\r\n\r\n".encode())
        _until(lambda: streams_of(app).count == 1)
        _until(lambda: streams_of(app).count == 0)


def test_many_viewers_see_the_same_and_cost_no_more_reading(
    server: BaseWSGIServer, operator: Program, play: Callable[[int], Play], app: Flask
) -> None:
    job = operator.launch("web[1-60]")
    watching = viewer(server, operator)
    grids: list[str] = []

    def watch() -> None:
        grid = ""
        for event in watching.events(f"jobs/{job}/events"):
            if event.name in {"snapshot", "delta"}:
                grid = apply(grid, event.data)
        grids.append(grid)

    threads = [threading.Thread(target=watch) for _ in range(20)]
    for thread in threads:
        thread.start()
    _until(lambda: streams_of(app).count == 20)
    for place in range(60):
        play(job).start(place)
        play(job).end(place)
    for thread in threads:
        thread.join(20)
    assert grids == ["o" * 60] * 20


def test_a_waiting_poll_is_answered_by_the_change(app: Flask, operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    ver = operator.get(f"jobs/{job}").json["ver"]
    for address, change in ((f"jobs/{job}", play(job).start), (f"jobs/{job}/delta", play(job).end)):
        started = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(operator.get, f"{address}?since={ver}&wait=20")
            _until(lambda: streams_of(app).hubs.viewers == 1)
            change(0)
            body = answer.result(15).json
        assert body["ver"] > ver
        assert time.monotonic() - started < 10
        ver = body["ver"]


def test_a_poll_that_waits_in_vain_is_answered_too(operator: Program) -> None:
    job = operator.launch()
    ver = operator.get(f"jobs/{job}").json["ver"]
    assert operator.get(f"jobs/{job}/delta?since={ver}&wait=0.3").json["h"] == []
    assert operator.get(f"jobs/{job}?since={ver}&wait=0.3").json["ver"] == ver
    assert operator.get(f"jobs/{job}?since={ver}&wait=26").status_code == 422
    assert operator.get(f"jobs/{job}/delta?since=-1").status_code == 422


def test_any_run_of_deltas_ends_in_the_same_picture(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch("web[1-40]")
    pictures = dict.fromkeys((1, 2, 3, 7), (0, ""))
    for step in range(40):
        play(job).start(step)
        if step % 3:
            play(job).end(step, state=RunState.FAILED, exit_status=1)
        for gap, (ver, grid) in pictures.items():
            if step % gap == 0 or step == 39:
                change = operator.get(f"jobs/{job}/delta?since={ver}").json
                pictures[gap] = (change["ver"], apply(grid, change))
    true = operator.get(f"jobs/{job}/grid").json["grid"]
    assert {grid for _, grid in pictures.values()} == {true}


def test_a_pause_is_told_with_what_the_job_waits_for(watcher: Viewer, operator: Program) -> None:
    job = operator.launch()
    events = watcher.events(f"jobs/{job}/events")
    _take(events, "snapshot")
    operator.post(f"jobs/{job}/pause", {})
    told = _take(events, "job").data
    assert (told["state"], told["pause"]["reason"], told["by"]) == ("paused", "operator", operator.user.name)
    assert told["msg"] == told["waiting"]["text"] == f"Paused by {operator.user.name}."
    operator.post(f"jobs/{job}/resume", {})
    told = _take(events, "job").data
    assert (told["state"], told["pause"]) == ("running", None)


def test_the_jobs_list_is_followed_too(
    watcher: Viewer, operator: Program, program: Callable[..., Program], play: Callable[[int], Play]
) -> None:
    older = operator.launch()
    program().launch()
    events = watcher.events("events")
    assert next(events).name == "hello"
    told = next(events)
    assert (told.name, [notice["code"] for notice in told.data["notices"]]) == ("notices", ["no_workers"])
    first = next(events)
    assert (first.name, first.data["id"], first.data["counts"]["q"]) == ("job", older, 3)
    newer = operator.launch("db1")
    assert _take(events, "job").data["id"] == newer
    play(older).start(0)
    changed = _take(events, "job").data
    assert (changed["id"], changed["state"], changed["counts"]["r"]) == (older, "running", 1)
    operator.post("hold", {"cancel": False})
    assert _take(events, "notices").data["notices"][0]["code"] == "console_held"
