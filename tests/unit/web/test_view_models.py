"""How contract values become words."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.states import BAR_ORDER, LETTERS, JobState, Reason, RunState
from opsconsole.web import reasons, view_models


@pytest.fixture(autouse=True, scope="module")
def _language():  # type: ignore[no-untyped-def]
    app = Flask("test")
    Babel(app)
    with app.test_request_context():
        yield


def test_every_state_has_a_name_and_every_job_state_a_pill() -> None:
    assert len({view_models.state_label(letter) for letter in LETTERS}) == len(LETTERS)
    assert {view_models.job_pill(state)[1] for state in JobState}
    assert set(view_models.LETTER_OF) == {state.value for state in RunState}
    assert set(BAR_ORDER) == set(view_models.CHIP_ORDER) == set(LETTERS)


def test_every_reason_that_stops_a_host_is_explained() -> None:
    unexplained = {Reason.EXIT_STATUS, Reason.EXIT_SIGNAL, Reason.INTERNAL}
    assert {reason for reason in Reason if not view_models.reason_text(reason)} <= unexplained


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, ""),
        (0, "0 ms"),
        (4.7, "4 ms"),
        (310, "0.31 s"),
        (1_999, "1.99 s"),
        (5_000, "5 s"),
        (9_999, "9.99 s"),
        (22_430, "22.4 s"),
        (59_990, "59.9 s"),
        (252_000, "4 min 12 s"),
        (3_780_000, "1 h 03 min"),
    ],
)
def test_durations_read_as_in_the_scripts(ms: int | None, said: str) -> None:
    assert view_models.duration(ms) == said


@pytest.mark.parametrize(
    ("started", "finished", "ms"),
    [(None, None, None), (10, None, 50_000), (10, 25, 15_000), (None, 25, 25_000)],
)
def test_a_job_is_timed_from_its_start_and_from_its_order_when_nothing_started(
    started: int | None, finished: int | None, ms: float | None
) -> None:
    def at(second: int | None) -> str | None:
        return None if second is None else f"2026-01-01T00:00:{second:02d}.000Z"

    job = {"created_at": at(0), "started_at": at(started), "finished_at": at(finished)}
    assert view_models.elapsed_ms(job, datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) == ms


def test_key_news_counts_hosts_not_keys() -> None:
    offered = [
        {"host": "a", "reason": "host_key_unknown"},
        {"host": "a", "reason": "host_key_unknown"},
        *({"host": f"b{n}", "reason": "host_key_changed"} for n in range(4)),
    ]
    assert view_models.key_news(offered) == view_models.KeyNews(1, 4, "b0, b1, b2…")
    assert view_models.key_news([]) == view_models.KeyNews(0, 0, "")


def test_a_bar_gives_every_state_with_hosts_some_width() -> None:
    counts = dict.fromkeys(LETTERS, 0) | {"o": 9999, "f": 1}
    assert [(part.letter, part.weight) for part in view_models.bar(counts)] == [("f", 1), ("o", 100)]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07ok", "ok"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r100%\r", "100%"),
        ("a\u202egnp.exe", "a‹U+202E›gnp.exe"),
        ("a\x00\x07b", "a‹x00›‹x07›b"),
        ("tab\tstays", "tab\tstays"),
        ("unfinished \x1b]52;c;", "unfinished "),
    ],
)
def test_lines_are_made_visible(line: str, shown: str) -> None:
    assert view_models.visible(line) == shown


@given(st.text(alphabet="\x1b[]()PX^_0;:?31mKHJ\x07\x9b\x9c\x00\r\b<>&a\u202e世", max_size=200))
def test_no_line_keeps_a_character_that_acts(line: str) -> None:
    assert not set(view_models.visible(line)) & set("\x1b\x9b\x9c\x00\x07\x08\r\u202e")


def test_letters_of_an_address_are_the_contracts_own() -> None:
    assert view_models.wanted_letters(["f,k", "u", "zz<", "f"]) == "fku"


def test_every_reason_has_a_name_in_the_catalogues() -> None:
    assert {reason.value.replace("_", " ") for reason in Reason} == set(reasons.NAMES)
