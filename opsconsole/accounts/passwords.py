"""Passwords: which ones are taken, how they are hashed (argon2id, RFC 9106) and compared."""

import base64
import string
import unicodedata
from functools import cache
from importlib import resources
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from opsconsole.errors import FieldError, Invalid
from opsconsole.secret import Secret
from opsconsole.sentences import Sentence

MIN_LENGTH = 12
# Long enough for any passphrase; a bound, so that a megabyte of text is not hashed for a stranger.
MAX_LENGTH = 1024
_MIN_DISTINCT = 5

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
# One hash takes 64 MiB: a flood of sign-ins must not take that many times over.
_at_once = BoundedSemaphore(4)


def check_new(password: Secret, *, name: str, field: str = "password") -> None:
    """Raises ``Invalid`` when ``password`` is too easy for the person called ``name``."""
    problem = _problem(_normal(password), name)
    if problem:
        raise Invalid(problem[1], errors=[FieldError(field, problem[1], code=problem[0])])


def hash_password(password: Secret) -> str:
    """Returns the argon2id hash to store, with its parameters and its random salt in it."""
    with _at_once:
        return _hasher.hash(_hashed_form(password))


def matches(password_hash: str | None, password: Secret) -> bool:
    """Returns whether ``password`` is the hashed one; takes as long when there is no hash to compare with."""
    with _at_once:
        try:
            _hasher.verify(password_hash or _nobodys_hash(), _hashed_form(password))
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Returns whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def _normal(password: Secret) -> str:
    # The same letters typed on another keyboard may arrive composed differently (NIST SP 800-63B 3.1.1.2).
    return unicodedata.normalize("NFKC", password.reveal())


def _hashed_form(password: Secret) -> bytes:
    """Returns the bytes that are hashed; whatever is over the limit cannot be anybody's password and is cut."""
    return _normal(password)[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass")


def _problem(password: str, name: str) -> tuple[str, Sentence] | None:
    folded = password.casefold()
    if len(password) < MIN_LENGTH:
        text = Sentence(
            "The password needs at least {least} characters; a few random words are good.", least=MIN_LENGTH
        )
        return "too_short", text
    if len(password) > MAX_LENGTH:
        return "too_long", Sentence("The password may have at most {limit} characters.", limit=MAX_LENGTH)
    if _core(folded) in _common() or folded in _common():
        return "too_common", Sentence("This password is on the list of the most common ones. Take another.")
    if _core(folded) in {"", name.casefold()} or len(set(folded)) < _MIN_DISTINCT:
        return "too_simple", Sentence("This password is easy to guess: mix in more words or characters.")
    return None


def _core(folded: str) -> str:
    """Returns what is left without digits and marks at both ends: ``Password2026!!`` is still ``password``."""
    return folded.strip(string.digits + string.punctuation + string.whitespace)


@cache
def _common() -> frozenset[str]:
    text = resources.files("opsconsole.accounts").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


@cache
def _nobodys_hash() -> str:
    """Returns a well-formed hash that nothing hashes to in practice, so that comparing costs what it always does."""
    salt, digest = (base64.b64encode(bytes(length)).decode().rstrip("=") for length in (16, 32))
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
