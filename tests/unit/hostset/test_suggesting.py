"""What unknown names may have meant."""

import time

import pytest

from opsconsole.hostset import suggestions

FLEET = [f"web{number:03}" for number in range(1, 121)] + ["db1", "db2", "cache-eu-1", "cache-eu-2"]


@pytest.mark.parametrize(
    ("unknown", "found"),
    [
        (["wbe001", "wbe003"], [("wbe[001,003]", "web[001,003]")]),
        (["web118x"], [("web118x", "web118")]),
        (["web118", "web119"], [("web[118-119]", "web[118-119]")]),
        (["web1", "web2"], [("web[1-2]", "web[001-002]")]),
        (["web121", "web125"], [("web[121,125]", "web[001-120]")]),
        (["cache-ue-2", "db3"], [("cache-ue-2", "cache-eu-2"), ("db3", "db[1-2]")]),
        (["elsewhere"], []),
        ([], []),
    ],
)
def test_what_may_have_been_meant(unknown: list[str], found: list[tuple[str, str]]) -> None:
    assert suggestions(unknown, FLEET) == found


def test_a_large_fleet_takes_no_time() -> None:
    known = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}-app{n % 7}-{n}" for n in range(10_000)]
    began = time.process_time()
    suggestions([f"{name}x" for name in known], known)
    assert time.process_time() - began < 2
