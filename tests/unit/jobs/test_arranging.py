"""Which tags divide the hosts of a job."""

from types import SimpleNamespace
from typing import Any

from opsconsole.jobs.arranging import tags_of


def located(*tags: dict[str, Any] | None) -> Any:
    return [SimpleNamespace(entry=one if one is None else SimpleNamespace(tags=one)) for one in tags]


def test_each_host_has_the_place_of_its_value() -> None:
    found = tags_of(located({"dc": "us"}, {"dc": "eu"}, None, {"dc": "us", "x": 1}))
    assert found == {"dc": {"values": ["eu", "us"], "of": [1, 0, -1, 1]}, "x": {"values": ["1"], "of": [-1, -1, -1, 0]}}


def test_what_does_not_divide_is_left_out() -> None:
    assert tags_of(located({"dc": "eu"}, {"dc": "eu"})) is None
    assert tags_of(located(None, None)) is None
    assert tags_of(located(*({"serial": str(n)} for n in range(100)))) is None
    many = tags_of(located({f"k{n:02}": "a" for n in range(20)}, {}))
    assert many is not None
    assert list(many) == [f"k{n:02}" for n in range(12)]
