"""A certificate outside of its time is told of, before a run fails for it."""

from datetime import timedelta

import pytest

from opsconsole.credentials.kinds import Validity, validity
from tests.support.clock import START


def _at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("begins", "ends", "found"),
    [
        (None, None, None),
        (-48, 48, None),
        (-48, 24, Validity.ENDS_SOON),
        (-48, 0, Validity.EXPIRED),
        (1, 48, Validity.NOT_YET),
        (1, 2, Validity.NOT_YET),
        (-2, -1, Validity.EXPIRED),
    ],
)
def test_the_time_of_a_certificate(begins: float | None, ends: float | None, found: Validity | None) -> None:
    public = {
        "valid_after": None if begins is None else _at(begins),
        "valid_before": None if ends is None else _at(ends),
    }
    assert validity(public, START) is found


def test_other_kinds_have_none() -> None:
    assert validity({}, START) is None
