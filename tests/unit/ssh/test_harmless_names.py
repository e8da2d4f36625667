"""Names of a host's files as this machine may have them."""

import pytest

from opsconsole.ssh.pulling import harmless


@pytest.mark.parametrize(
    ("name", "made"),
    [
        (b"plain.log", "plain.log"),
        ("grüße 1".encode(), "grüße 1"),
        (b"50%", "50%"),
        (b"a\nb%", "a%0Ab%25"),
        (b"\xff", "%FF"),
        (b"a\\b", "a%5Cb"),
        ("a\u202eb".encode(), "a%E2%80%AEb"),
        (b"..", "%2E%2E"),
        (b".", "%2E"),
    ],
)
def test_a_name_can_do_no_harm(name: bytes, made: str) -> None:
    assert harmless(name) == made


def test_long_names_stay_apart() -> None:
    one, two = harmless(b"\n" * 200 + b"1"), harmless(b"\n" * 200 + b"2")
    assert one != two
    assert len(one.encode()) <= 255
