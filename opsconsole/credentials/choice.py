"""How a way to log in is written: ``auto``, ``ambient``, ``key:<name>``, ``cred:<name>`` or ``password``. Pure."""

import re
from dataclasses import dataclass

from opsconsole.errors import FieldError, Invalid

AUTO = "auto"
AMBIENT = "ambient"
KEY = "key"
STORED = "cred"
PASSWORD = "password"  # noqa: S105 - a word of the grammar, not a secret.

_NAMED = frozenset({KEY, STORED})
_PLAIN = frozenset({AUTO, AMBIENT, PASSWORD})
# With ``cred:`` before it, a name fits into the 64 characters of a host's credential.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}")
_KEY_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to log in; ``name`` is that of a key file (``key``) or of a stored credential (``cred``)."""

    kind: str
    name: str | None = None

    @classmethod
    def of_order(cls, text: str) -> "Choice":
        """Returns what a person chose for a job. Raises ``Invalid`` (field ``credential``)."""
        kind, colon, name = text.strip().partition(":")
        if (kind in _PLAIN and not colon) or (kind in _NAMED and 1 <= len(name) <= _KEY_NAME_CHARS):
            return cls(kind, name or None)
        message = "Choose auto, ambient, key:<name>, cred:<name> or password."
        raise Invalid(message, errors=[FieldError("credential", message)])

    @classmethod
    def of_host(cls, text: str) -> "Choice":
        """Returns what a host, a group or a setting says. A name alone is that of a key file. Never raises."""
        kind, colon, name = text.partition(":")
        if colon and kind in _NAMED:
            return cls(kind, name)
        return cls(AMBIENT) if text == AMBIENT else cls(KEY, text)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


def credential_name(text: str, field: str = "name") -> str:
    """Returns the name of a stored credential. Raises ``Invalid``."""
    cleaned = text.strip()
    if not _NAME.fullmatch(cleaned):
        message = "Use 1 to 56 letters, digits, dots, dashes and underscores, a letter or digit first."
        raise Invalid(message, errors=[FieldError(field, message)])
    return cleaned
