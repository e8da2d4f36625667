"""What may be chosen for a job, and what a threshold means."""

import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.errors import Invalid
from opsconsole.jobs.options import MaxFailures, RunOptions

USUAL = RunOptions(concurrency=50, connect_timeout=10.0, command_timeout=300.0)


@pytest.mark.parametrize(
    ("text", "total", "allowed"),
    [
        ("0", 100, 0),
        ("3", 100, 3),
        ("300", 100, 100),
        (" 3 ", 100, 3),
        ("0%", 100, 0),
        ("5%", 100, 5),
        ("5%", 19, 0),
        ("12.5%", 100, 12),
        ("100%", 7, 7),
        ("5 %", 100, 5),
    ],
)
def test_how_many_may_fail(text: str, total: int, allowed: int) -> None:
    assert MaxFailures.parse(text).allowed(total) == allowed


@pytest.mark.parametrize("text", ["", "-1", "many", "101%", "-1%", "%", "nan%", "inf%", "1.5", "²", "٣", "1e3", "5%%"])
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        MaxFailures.parse(text)
    assert caught.value.errors[0].field == "max_failures"


@given(
    st.one_of(st.integers(0, 10**6).map(str), st.floats(0, 100).map(lambda share: f"{share:g}%")), st.integers(1, 10**5)
)
def test_a_threshold_reads_back_as_itself(text: str, total: int) -> None:
    parsed = MaxFailures.parse(text)
    assert MaxFailures.parse(str(parsed)).allowed(total) == parsed.allowed(total)
    assert 0 <= parsed.allowed(total) <= total


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 1001),
        ("connect_timeout", 0.0),
        ("connect_timeout", 301.0),
        ("connect_timeout", nan),
        ("command_timeout", -1.0),
        ("command_timeout", inf),
        ("idle_timeout", -0.1),
        ("kill_grace", 301.0),
    ],
)
def test_values_out_of_bounds_are_named(field: str, value: float) -> None:
    options = RunOptions.from_json({**USUAL.to_json(), field: value})
    with pytest.raises(Invalid) as caught:
        options.checked(max_concurrency=1000)
    assert [fault.field for fault in caught.value.errors] == [field]
    assert caught.value.errors[0].code == "out_of_bounds"


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        RunOptions(concurrency=0, connect_timeout=0, command_timeout=-1).checked(max_concurrency=10)
    assert [fault.field for fault in caught.value.errors] == ["concurrency", "connect_timeout", "command_timeout"]


def test_what_is_said_of_waves_or_of_a_canary_needs_them() -> None:
    said = {"wave_gate": "manual", "wave_pause": 1.0, "wave_jitter": 1.0, "canary_gate": "manual", "canary_match": "x"}
    with pytest.raises(Invalid) as caught:
        RunOptions.from_json({**USUAL.to_json(), **said}).checked(max_concurrency=1000)
    assert [fault.field for fault in caught.value.errors] == list(said)
    for present in ({"canary": "1"}, {"canary": "1", "waves": "1"}):
        RunOptions.from_json({**USUAL.to_json(), **said, **present}).checked(max_concurrency=1000)
    with pytest.raises(Invalid) as caught:
        RunOptions.from_json({**USUAL.to_json(), **said, "waves": "1"}).checked(max_concurrency=1000)
    assert [fault.field for fault in caught.value.errors] == ["canary_gate", "canary_match"]


def test_options_survive_their_json_and_new_fields_get_defaults() -> None:
    options = RunOptions(5, 1.5, 0.0, idle_timeout=2.0, kill_grace=0.0, max_failures="5%")
    stored = json.loads(json.dumps(options.to_json()))
    assert RunOptions.from_json(stored) == options
    old = {"concurrency": 5, "connect_timeout": 1.0, "command_timeout": 2.0, "gone_since": 1}
    assert RunOptions.from_json(old) == RunOptions(5, 1.0, 2.0)


def test_the_worst_case_is_the_allowance_and_all_in_flight() -> None:
    options = RunOptions(50, 10.0, 300.0, max_failures="5%")
    assert options.worst_case(412) == 70
    assert options.worst_case(30) == 30
    assert USUAL.worst_case(412) is None
    assert USUAL.allowed_failures(412) is None
