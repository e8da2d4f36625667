"""No secret passes, however it is cut, in base64 or URL encoding; and nothing else is touched."""

import base64
import re
import time
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.masking import Masker

_CANARY = "S3cret+pass/wörd=&x"
# One line each, and four characters at least when the spaces around it are gone.
_CHARS = st.characters(codec="utf-8", exclude_characters="*", exclude_categories=("Cc", "Zl", "Zp"))
_SECRETS = st.text(_CHARS, min_size=4, max_size=30).filter(lambda text: len(text.strip()) >= 4)
_CUTS = st.lists(st.integers(0, 2000), max_size=30)


def masked(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    """Returns ``data`` masked as a stream in pieces."""
    stream = masker.stream()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join([*(stream.feed(data[start:end]) for start, end in pairwise(places)), stream.rest()])


@given(_SECRETS, st.binary(max_size=40), st.binary(max_size=40), _CUTS)
def test_a_secret_is_masked_wherever_it_is_cut(secret: str, before: bytes, after: bytes, cuts: list[int]) -> None:
    clear = secret.strip().encode()
    out = masked(Masker([secret]), before + clear + after, cuts)
    assert b"***" in out
    assert clear not in out


@given(_SECRETS, st.binary(max_size=7), st.binary(max_size=7), st.integers(0, 80), st.booleans(), _CUTS)
def test_base64_at_any_place_and_folded(
    secret: str, before: bytes, after: bytes, width: int, urls: bool, cuts: list[int]
) -> None:
    clear = secret.strip().encode()
    encoded = (base64.urlsafe_b64encode if urls else base64.b64encode)(before + clear + after)
    if width:
        encoded = b"\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    out = masked(Masker([secret]), encoded, cuts)
    assert b"***" in out
    # What is left on either side says less than one character of the secret.
    left = out.replace(b"\n", b"").split(b"***")
    assert len(left[0]) <= len(before) * 8 // 6 + 2
    assert len(left[-1]) <= -(-(len(after) + 2) * 8 // 6) + 4


@given(_SECRETS, st.sampled_from(["", "/", "!'()*~"]), st.booleans(), st.booleans(), _CUTS)
def test_url_encoding(secret: str, safe: str, plus: bool, lower: bool, cuts: list[int]) -> None:
    encoded = (quote_plus if plus else quote)(secret.strip(), safe=safe)
    if lower:
        encoded = re.sub("%..", lambda escape: escape[0].lower(), encoded)
    out = masked(Masker([secret]), f"https://host/?p={encoded}&q=1".encode(), cuts)
    assert b"***" in out
    assert encoded.encode() not in out


@given(st.lists(st.sampled_from(["abab", "ababc", "abcd", "abcdef", "bcde", "eeee"]), min_size=1), st.data())
def test_overlapping_secrets_come_out_the_same_however_they_are_cut(secrets: list[str], data: st.DataObject) -> None:
    said = data.draw(st.text("abcdef\n", max_size=40)).encode()
    masker = Masker(secrets)
    whole = masked(masker, said, [])
    assert masked(masker, said, data.draw(_CUTS)) == whole
    assert masked(masker, said, list(range(len(said)))) == whole
    assert not [secret for secret in secrets if secret.encode() in whole]


@given(st.binary(max_size=200), _CUTS)
def test_what_holds_no_secret_passes_untouched(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"S", b"s").replace(b"U", b"u").replace(b"z", b"Z").replace(b"N", b"n")
    assert masked(Masker([_CANARY]), data, cuts) == data
    assert masked(Masker([]), data, cuts) == data


def test_no_more_is_held_back_than_may_begin_a_secret() -> None:
    stream = Masker(["hunter2"]).stream()
    assert stream.feed(b"login: h") == b"login: "
    assert stream.feed(b"unt") == b""
    assert stream.feed(b"ing\n") == b"hunting\n"
    assert stream.feed(b"hunter") == b""
    assert stream.rest() == b"hunter"
    assert stream.feed(b"2 hunter2") == b"2 ***"


def test_a_private_key_is_masked_line_by_line() -> None:
    body = [base64.b64encode(bytes([number]) * 48).decode() for number in range(5)]
    pem = "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *body, "-----END OPENSSH PRIVATE KEY-----", ""])
    out = masked(Masker([pem]), b"key: " + "\r\n".join(body[2:4]).encode() + b" -----BEGIN", [3, 20, 70])
    assert out == b"key: ***\r\n*** -----BEGIN"


@pytest.mark.parametrize("secret", ["", "abc", "   ", "\n\n", "äöü"])
def test_what_is_too_short_is_left(secret: str) -> None:
    masker = Masker([secret])
    assert not masker
    assert masker.text("abc äöü") == "abc äöü"


def test_texts_of_our_own() -> None:
    masker = Masker([_CANARY])
    assert masker.text(f"said {_CANARY}!") == "said ***!"
    assert masker.text("said \udcff") == "said \udcff"


@pytest.mark.parametrize(
    "piece",
    [b"a" * 65536, b"h" * 65536, b"aGVs" * 16384, b"\n" * 65536],
    ids=["other", "first letters", "base64", "line ends"],
)
def test_output_of_many_megabytes_is_no_burden(piece: bytes) -> None:
    pem = "\n".join(base64.b64encode(bytes([number]) * 52).decode() for number in range(40))
    stream = Masker([_CANARY, "hunter2", "h" * 40, pem]).stream()
    began = time.process_time()
    for _ in range(32):
        stream.feed(piece)
    assert time.process_time() - began < 2
