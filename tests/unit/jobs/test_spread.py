"""What varies within a group, with its values."""

import pytest

from opsconsole.jobs.similarity import NOBODY, Own
from opsconsole.jobs.spread import Reading, seconds_of, spread


def test_each_reading_that_varies_is_told_with_its_values() -> None:
    outputs = [(1, [f"web{n} root 40G {n * 10}G {n}% at 10:42:01"], Own((f"web{n}",))) for n in range(1, 4)]
    used, share = spread([*outputs, (2, ["web9 root 40G 5G 2% at 10:42:01"], Own(("web9",)))])
    assert used == Reading(
        "‹host› root ‹bytes› ‹bytes› ‹percent› at ‹time›",
        "bytes",
        4,
        [("5G", 2), ("10G", 1), ("20G", 1), ("30G", 1)],
        "5G",
        "10G",
        "30G",
    )
    assert (share.kind, share.least, share.median, share.most) == ("percent", "1%", "2%", "3%")


def test_what_is_the_same_everywhere_or_has_no_order_has_no_range() -> None:
    outputs = [(1, ["took 3 ms, pid 1"], NOBODY), (1, ["took 3 ms, pid 2"], NOBODY)]
    (pid,) = spread(outputs)
    assert (pid.kind, pid.distinct, pid.least, pid.median, pid.most) == ("pid", 2, None, None, None)
    assert spread([]) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3 ms", 0.003),
        ("0m0.5s", 0.5),
        ("1h 3min", 3780),
        ("3 days, 2:03", 3 * 86400 + 7380),
        ("45 min", 2700),
        ("2 weeks, 1 day", 15 * 86400),
        ("1 month", 2629746),
        ("soon", None),
    ],
)
def test_durations_are_ordered_by_their_length(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == pytest.approx(seconds)
