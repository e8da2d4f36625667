"""Sealed secrets open with the same key, for the same place, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.credentials.cipher import Cipher
from opsconsole.errors import Unavailable

PLACE = "job_secrets/1/password"
CIPHER = Cipher("a secret key of this console")


@given(st.text(max_size=300), st.text(max_size=50))
def test_what_is_sealed_opens_again(clear: str, place: str) -> None:
    sealed = CIPHER.seal(clear, place=place)
    assert CIPHER.open(sealed, place=place) == clear
    if len(clear) > 3:
        assert clear.encode() not in sealed


def test_the_same_secret_never_looks_the_same() -> None:
    assert len({CIPHER.seal("hunter2", place=PLACE) for _ in range(50)}) == 50


def test_another_key_opens_nothing_and_says_why() -> None:
    sealed = CIPHER.seal("hunter2", place=PLACE)
    with pytest.raises(Unavailable, match="another secret key") as caught:
        Cipher("another key").open(sealed, place=PLACE)
    assert caught.value.code == "secret_key_mismatch"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("place", ["job_secrets/2/password", "job_secrets/1/key", "", PLACE + " "])
def test_a_secret_moved_to_another_row_does_not_open(place: str) -> None:
    with pytest.raises(Unavailable):
        CIPHER.open(CIPHER.seal("hunter2", place=PLACE), place=place)


@given(st.integers(0, 35), st.integers(1, 255))
def test_a_flipped_bit_is_noticed(at: int, by: int) -> None:
    sealed = bytearray(CIPHER.seal("hunter2", place=PLACE))
    sealed[at] ^= by
    with pytest.raises(Unavailable):
        CIPHER.open(bytes(sealed), place=PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40), bytes(40)])
def test_what_is_cut_short_or_of_another_kind_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Unavailable):
        CIPHER.open(sealed, place=PLACE)
