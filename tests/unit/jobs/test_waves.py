"""What the words for waves, canary, order and limits mean, and where each host goes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.errors import Invalid
from opsconsole.jobs.waves import (
    MOST_WAVES,
    Canary,
    Sequencing,
    Traits,
    Waves,
    limit_keys,
    parse_limit_per,
    place,
)


def backwards(places: Sequence[int], count: int) -> Sequence[int]:
    """A pick at random that a test can foretell."""
    return list(reversed(places))[:count]


@pytest.mark.parametrize(
    ("text", "total", "sizes"),
    [
        ("5", 12, [5, 5, 2]),
        ("1 5", 12, [1, 5, 5, 1]),
        ("10%", 25, [3] * 8 + [1]),
        ("1 10%", 11, [1, 2, 2, 2, 2, 2]),
        ("1 *2", 20, [1, 2, 4, 8, 5]),
        ("2 +3", 20, [2, 5, 8, 5]),
        ("1 5 10% *2 +5", 100, [1, 5, 10, 20, 25, 30, 9]),
        ("1, 2,3", 6, [1, 2, 3]),
        ("100%", 7, [7]),
        ("50", 7, [7]),
        ("1%", 3, [1, 1, 1]),
    ],
)
def test_the_sizes_of_waves(text: str, total: int, sizes: list[int]) -> None:
    assert Waves.parse(text).sizes(total, total=total) == sizes


def test_a_share_is_of_all_hosts_and_not_of_what_the_canary_left() -> None:
    assert Waves.parse("10%").sizes(97, total=100) == [10] * 9 + [7]


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("1 5 x", 5, "'x'"),
        ("0", 1, "at least one"),
        ("0%", 1, "at least one"),
        ("5 101%", 3, "more than all"),
        ("*2", 1, "the first"),
        ("  +5", 3, "the first"),
        ("1 -5", 3, "'-5'"),
        ("1 *2%", 3, "'*2%'"),
        ("1 5.5", 3, "'5.5'"),
        ("1 ٣", 3, "not the size"),
        ("1 1234567", 3, "not the size"),
        ("", None, "at least one size"),
        (" , ", None, "at least one size"),
    ],
)
def test_what_is_no_wave_is_shown_where_it_stands(text: str, column: int | None, part: str) -> None:
    with pytest.raises(Invalid) as raised:
        Waves.parse(text)
    (fault,) = raised.value.errors
    assert (fault.field, fault.column) == ("waves", column)
    assert part in fault.message
    assert fault.hint


def test_more_waves_than_can_be_shown_are_refused() -> None:
    assert len(Waves.parse("1").sizes(MOST_WAVES, total=MOST_WAVES)) == MOST_WAVES
    with pytest.raises(Invalid, match="more than 1000 waves"):
        Waves.parse("1").sizes(MOST_WAVES + 1, total=MOST_WAVES + 1)


STEPS = st.from_regex(r"([1-9][0-9]?|[1-9][0-9]?%)( [*+]?[1-9][0-9]?| [1-9]%){0,4}", fullmatch=True)


@given(text=STEPS, total=st.integers(1, 900))
def test_every_host_is_in_one_wave(text: str, total: int) -> None:
    sizes = Waves.parse(text).sizes(total, total=total)
    assert sum(sizes) == total
    assert all(size > 0 for size in sizes)


@given(st.text(max_size=30))
def test_whatever_is_written_is_waves_or_a_refusal(text: str) -> None:
    for parse in (Waves.parse, Canary.parse, Sequencing.parse, parse_limit_per):
        try:
            parse(text)
        except Invalid as refusal:
            assert refusal.errors[0].hint  # noqa: PT017 - a refusal is one of the two outcomes.


FLEET = [
    Traits({"dc": "eu"}, ("db", "all")),
    Traits({"dc": "eu"}, ("all",)),
    Traits({"dc": "eu"}, ("all",)),
    Traits({"dc": "us"}, ("web", "all")),
    Traits({"dc": "us"}, ("all",)),
    Traits({}, ()),
]


@pytest.mark.parametrize(
    ("order", "ranked"),
    [
        ("given", [0, 1, 2, 3, 4, 5]),
        ("random", [5, 4, 3, 2, 1, 0]),
        ("spread dc", [0, 3, 5, 1, 4, 2]),
        ("spread group", [0, 1, 3, 5, 2, 4]),
    ],
)
def test_the_order_of_starting(order: str, ranked: list[int]) -> None:
    assert Sequencing.parse(order).ranked(FLEET, backwards) == ranked


@pytest.mark.parametrize(
    ("canary", "first"),
    [
        ("2", [0, 1]),
        ("50", [0, 1, 2, 3, 4, 5]),
        ("random 2", [4, 5]),
        ("each dc", [0, 3]),
        ("each group", [0, 3]),
    ],
)
def test_who_goes_first(canary: str, first: list[int]) -> None:
    placed = place(FLEET, backwards, order=Sequencing(), canary=Canary.parse(canary), waves=None)
    assert placed.plan is not None
    assert placed.plan[0] == {"size": len(first), "kind": "canary"}
    assert [i for i in range(6) if placed.wave[i] == 0] == first
    assert sorted(placed.rank) == list(range(6))
    assert all(placed.rank[i] < len(first) for i in first)


def test_canary_and_waves_together() -> None:
    placed = place(FLEET, backwards, order=Sequencing(spread="dc"), canary=Canary(each="dc"), waves=Waves.parse("1 2"))
    assert placed.plan == [
        {"size": 2, "kind": "canary"},
        {"size": 1, "kind": "wave"},
        {"size": 2, "kind": "wave"},
        {"size": 1, "kind": "wave"},
    ]
    by_rank = sorted(range(6), key=placed.rank.__getitem__)
    assert by_rank == [0, 3, 5, 1, 4, 2]
    assert [placed.wave[i] for i in by_rank] == [0, 0, 1, 2, 2, 3]


def test_without_waves_and_canary_there_is_no_plan() -> None:
    placed = place(FLEET, backwards, order=Sequencing(), canary=None, waves=None)
    assert placed.plan is None
    assert placed.rank == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ["each rack", "each group"])
def test_a_tag_that_no_host_has_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="No host of the targets"):
        place([Traits({})], backwards, order=Sequencing(), canary=Canary.parse(text), waves=None)
    with pytest.raises(Invalid, match="No host of the targets"):
        Sequencing.parse(text.replace("each", "spread")).ranked([Traits({})], backwards)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "random", "random x", "each", "each a b", "3 3"])
def test_what_is_no_canary(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        Canary.parse(text)
    assert raised.value.errors[0].field == "canary"


def test_limits_per_tag() -> None:
    assert parse_limit_per("dc=5, group=2") == {"dc": 5, "group": 2}
    assert limit_keys(FLEET[0], ["dc", "group"]) == ["dc=eu", "group=db", "group=all"]
    assert limit_keys(FLEET[5], ["dc"]) == []


@pytest.mark.parametrize(("text", "column"), [("dc", 1), ("dc=0", 1), ("dc=5 rack=x", 6), ("dc=1 dc=2", 6), ("", None)])
def test_what_is_no_limit(text: str, column: int | None) -> None:
    with pytest.raises(Invalid) as raised:
        parse_limit_per(text)
    assert (raised.value.errors[0].field, raised.value.errors[0].column) == ("limit_per", column)
