"""Run control in words: the same as the scripts say (tests/unit/js/control.test.js, how.test.js)."""

from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel

from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import JobState, PauseReason, StopReason
from opsconsole.web import words

PLAN = [{"kind": "canary", "size": 1}, *({"kind": "wave", "size": 5} for _ in range(20))]


@pytest.fixture(autouse=True, scope="module")
def _language():  # type: ignore[no-untyped-def]
    app = Flask("test")
    Babel(app)
    with app.test_request_context():
        yield


def job(
    state: str = "running", *, now: int = 0, hold_ms: int | None = None, pause: str | None = None
) -> dict[str, Any]:
    return {
        "state": state,
        "pause": {"reason": pause, "by": "li"} if pause else None,
        "counts": {"q": 3},
        "targets": {"count": 101},
        "waves": {"now": now, "hold_ms": hold_ms, "list": PLAN},
    }


def test_sizes_are_folded_and_the_canary_has_its_own_name() -> None:
    plan = [{"kind": "canary", "size": 1}, *({"kind": "wave", "size": size} for size in (50, 50, 50, 47))]
    assert words.wave_sizes(plan) == "1, 50 ×3, 47"
    assert words.waves_head(plan) == "Canary of 1, then 4 waves"
    assert words.waves_head(plan[4:]) == "1 wave"
    assert words.waves_head([{"kind": "canary", "size": 20}]) == "The canary takes all 20 hosts: nothing follows it"
    assert [words.wave_name(plan, at) for at in (0, 1, 4, 9)] == ["Canary", "Wave 1", "Wave 4", ""]


def test_the_headline_names_those_for_whom_the_end_is_not_an_outcome() -> None:
    told = {"stop_reason": None, "stopped_by": None, "stop_detail": None, "pause": None, "worker_shutdown": 2}
    counts = {"o": 9, "x": 3, "s": 1, "l": 2}
    ended = {**told, "state": "partial", "counts": counts}
    assert words.headline(ended) == "2 ended by a worker's shutdown, 2 lost, 1 cancelled, 1 skipped"
    assert words.headline({**ended, "state": "running"}) == ""
    by_person = {**ended, "state": "cancelled", "stop_reason": "operator", "stopped_by": "li", "worker_shutdown": 0}
    assert words.headline(by_person) == "cancelled by li; 2 lost, 1 skipped"


def test_what_may_be_done_with_a_job() -> None:
    said = {
        "runs": job(),
        "held": job(now=1, hold_ms=900),
        "stopping": job("stopping"),
        "over": job("failed"),
        "paused": job("paused", pause="operator"),
        "waits": job("paused", pause="canary"),
    }
    assert {name: words.phase(one) for name, one in said.items()} == {name: name for name in said}


def test_the_strip_shows_the_waves_around_the_present_one() -> None:
    assert [(mark.name, mark.place) for mark in words.wave_window(job())][:2] == [
        ("Canary", "now"),
        ("Wave 1", "later"),
    ]
    marks = words.wave_window(job(now=10))
    assert [mark.name for mark in marks] == ["8 before", *(f"Wave {n}" for n in range(8, 16)), "5 more"]
    assert marks[3].place == "now"
    assert words.wave_window(job("succeeded", now=20))[-1].place == "done"


def test_where_it_is_and_who_is_waited_for() -> None:
    assert words.wave_note(job(now=2)) == "2 of 20"
    assert words.wave_note(job(now=2, hold_ms=24_300)) == "Wave 2 starts in 24 s"
    assert words.wave_note(job("paused", pause="wave")) == "waits for you: Continue"
    assert words.wave_note(job("failed")) == ""


def test_every_stop_and_every_pause_is_told() -> None:
    assert all(words.stop_words(reason.value, None) for reason in StopReason)
    assert words.stop_words("operator", "li") == "cancelled by li"
    assert words.stop_words("canary", None, "the canary failed (web1: failed).") == "the canary failed (web1: failed)"
    assert words.stop_words(None, None) == words.pause_words(None) == ""
    assert all(words.pause_words({"reason": reason.value, "by": "li"}) for reason in PauseReason)


def test_why_the_next_host_does_not_start() -> None:
    told = {"code": "no_slot", "text": "", "ahead": 3, "slots": 200, "busy": 200}
    assert words.waiting_text(told) == "Waiting for a free slot: 3 jobs ahead, 200 of 200 slots busy"
    turn = {**told, "code": "turn", "ahead": 1, "busy": 5}
    assert words.waiting_text(turn) == "Waiting for its turn: 1 job ahead, 5 of 200 slots busy"
    assert words.waiting_text({**turn, "ahead": 0}) == "Waiting for a worker to take it up."
    assert words.waiting_text({**told, "code": "retry", "text": "Waits a little."}) == "Waits a little."
    assert words.waiting_text({**told, "code": "paused"}) == words.waiting_text(None) == ""


def test_options_are_told_when_they_were_asked_for() -> None:
    plain = RunOptions(concurrency=50, connect_timeout=10, command_timeout=0)
    facts = dict(words.option_facts({"options": plain.to_json(), "priority": "normal"}))
    assert facts["Command timeout"] == "none"
    assert not {"Canary", "Waves", "Order", "Durable", "Priority"} & set(facts)
    full = RunOptions(
        **{**plain.to_json(), "canary": "1", "waves": "5", "wave_pause": 30.0, "wave_jitter": 5.0, "retries": 2}
    )
    facts = dict(words.option_facts({"options": full.to_json(), "priority": "high"}))
    assert facts["Pause between waves"] == "30 s and up to 5 s more"
    assert facts["Retries of unreachable hosts"] == "2, the first after 5 s"
    assert facts["Priority"] == "high"


@pytest.mark.parametrize("look", ["asked", "running", "gone", "unknown"])
def test_every_look_is_told(look: str) -> None:
    assert words.look_text({"state": look})
    assert words.look_text(None) == ""


def test_every_state_of_a_job_has_a_phase() -> None:
    assert all(words.phase(job(state.value)) for state in JobState)
