"""Secrets taken out of what a host writes, however it is cut into pieces, and in base64 or URL encoding. Pure.

A command that echoes the password it was given must not put it on a page. This is no wall: a host that has a secret can
write it in ways that nobody foresees, reversed for example.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

from opsconsole.secret import Secret, known_secrets

MASK = b"***"
# A shorter one would be found in half of all words.
LEAST_CHARS = 4
_REMEMBERED = 64
_LINE_END = b"\r\n"
# What encodings of URLs leave as it is: the strictest, Python's, and that of browsers.
_SAFE = ("", "/", "!'()*~")
# With the bytes before it a secret stands at one of three places of base64's groups; so many characters then mix both.
_MIXED_CHARS = (0, 2, 3)
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


@lru_cache(maxsize=_REMEMBERED)
def masker_of(secrets: tuple[Secret, ...]) -> "Masker":
    """Returns what masks ``secrets``, made once: the hosts of a job share theirs."""
    return Masker(secret.reveal() for secret in secrets)


def without_known_secrets(text: str) -> str:
    """Returns ``text`` without any secret that this process holds at the moment: logs go through it."""
    for secret in known_secrets():
        text = masker_of((secret,)).text(text)
    return text


class Masker:
    """Knows the ways in which some secrets may be written. ``stream`` gives what masks one stream of bytes.

    The lines of a secret of several, a private key for example, are looked for one by one and as they are.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        plain: set[bytes] = set()
        wrapped: set[bytes] = set()
        for secret in secrets:
            lines = [line.strip() for line in secret.strip().splitlines()]
            usable = [line for line in lines if len(line) >= LEAST_CHARS and not line.startswith("-----")]
            plain.update(line.encode(errors="replace") for line in usable)
            if len(lines) == 1 and usable:
                plain.update(_url_forms(usable[0]))
                wrapped.update(_base64_forms(usable[0].encode(errors="replace")))
        self._plain = sorted(plain, key=_longest_first)
        self._wrapped = sorted(wrapped - plain, key=_longest_first)
        # Where several begin at one place the longest counts, and the expression takes the first that fits.
        both = sorted([*self._plain, *self._wrapped], key=_longest_first)
        parts = [_foldable(form) if form in wrapped else re.escape(form) for form in both]
        self._any = re.compile(b"|".join(parts), re.DOTALL) if both else None
        self._by_first = {
            first: tuple([form for form in forms if form[0] == first] for forms in (self._plain, self._wrapped))
            for first in {form[0] for form in both}
        }
        # Between any two characters of base64 a line may end.
        self._reach = max((*(len(form) for form in self._plain), *(3 * len(form) for form in self._wrapped)), default=0)

    def __bool__(self) -> bool:
        return self._any is not None

    def stream(self) -> "MaskedStream":
        """Returns what masks one stream, piece by piece."""
        return MaskedStream(self)

    def text(self, text: str) -> str:
        """Returns ``text`` without the secrets."""
        if self._any is None:
            return text
        masked, _ = self.split(text.encode(errors="surrogateescape"), last=True)
        return masked.decode(errors="surrogateescape")

    def split(self, data: bytes, *, last: bool) -> tuple[bytes, bytes]:
        """Returns the masked part of ``data``, and the rest, which may turn out to begin a secret; none when it is the
        ``last``."""
        if self._any is None:
            return data, b""
        out: list[bytes] = []
        at = 0
        found = self._holds_one(data)
        opens = () if last else tuple(self._opens(data))
        while True:
            open_from = next((place for place in opens if place >= at), len(data))
            match = self._any.search(data, at) if found else None
            if match is None or match.start() >= open_from:
                out.append(data[at:open_from])
                return b"".join(out), data[open_from:]
            out += (data[at : match.start()], MASK)
            at = match.end()

    def _holds_one(self, data: bytes) -> bool:
        """Returns whether a whole form may be in ``data``; much faster than the expression."""
        folded = data.translate(None, _LINE_END)
        return any(form in data for form in self._plain) or any(form in folded for form in self._wrapped)

    def _opens(self, data: bytes) -> Iterator[int]:
        """Yields the places where what may be a secret is not all there yet."""
        for at in range(max(0, len(data) - self._reach), len(data)):
            if data[at] in self._by_first:
                plain, wrapped = self._by_first[data[at]]
                begun = data[at:]
                folded = begun.translate(None, _LINE_END)
                if any(_begins(form, begun) for form in plain) or any(_begins(form, folded) for form in wrapped):
                    yield at


class MaskedStream:
    """One stream of bytes. ``feed`` may hold back the last few until more has come or ``rest`` is asked for."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Returns the next masked bytes."""
        masked, self._held = self._masker.split(self._held + data, last=False)
        return masked

    def rest(self) -> bytes:
        """Returns what was held back, masked, at the end of the stream or where bytes of it are missing."""
        held, self._held = self._held, b""
        return self._masker.split(held, last=True)[0]


def _longest_first(form: bytes) -> tuple[int, bytes]:
    return -len(form), form


def _begins(form: bytes, begun: bytes) -> bool:
    return len(begun) < len(form) and form.startswith(begun)


def _url_forms(secret: str) -> Iterator[bytes]:
    for safe in _SAFE:
        for encode in (quote, quote_plus):
            form = encode(secret, safe=safe, errors="replace")
            yield form.encode()
            yield _ESCAPE.sub(lambda escape: escape[0].lower(), form).encode()


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    for before, mixed in enumerate(_MIXED_CHARS):
        whole = (before + len(secret)) * 8 // 6
        form = base64.b64encode(bytes(before) + secret)[mixed:whole]
        if len(form) >= LEAST_CHARS:
            yield form
            yield form.translate(bytes.maketrans(b"+/", b"-_"))


def _foldable(form: bytes) -> bytes:
    return b"(?:\r?\n)?".join(re.escape(form[at : at + 1]) for at in range(len(form)))
