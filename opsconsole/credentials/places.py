"""Where the secret part of an external credential is: a file on the worker, or HashiCorp Vault. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from opsconsole.errors import FieldError, Invalid
from opsconsole.sentences import Sentence, joined

_PART = r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,127}"
_PATH = re.compile(rf"{_PART}(?:/{_PART}){{0,15}}")
_NAME = re.compile(_PART)
_Word = TypeVar("_Word", bound=StrEnum)


class Source(StrEnum):
    """Who holds the secret."""

    FILE = "file"
    VAULT = "vault"
    VAULT_SSH = "vault_ssh"


class Holds(StrEnum):
    """What is there."""

    PRIVATE_KEY = "private_key"
    PASSWORD = "password"  # noqa: S105 - the word for a kind, not a secret.


@dataclass(frozen=True, slots=True)
class Place:
    """``path`` is that of a file below the workers' folder for them, of a secret in Vault's KV version 2, its mount
    first, or of the mount of Vault's SSH engine.

    ``field`` is which one of a secret in KV, ``role`` by which the SSH engine signs a key that is made for it.
    """

    source: Source
    path: str
    holds: Holds = Holds.PRIVATE_KEY
    field: str | None = None
    role: str | None = None

    @property
    def words(self) -> str:
        """Names it for people."""
        match self.source:
            case Source.FILE:
                return f"the file {self.path}"
            case Source.VAULT:
                return f"{self.field} of {self.path} in Vault"
            case Source.VAULT_SSH:
                return f"Vault's signature by {self.path}/{self.role}"


_PATH_WORDS = Sentence("Letters, digits, dots, dashes, underscores, @ and + between slashes.")
_WANTED = {
    Source.FILE: Sentence("Give the path of the file below the workers' folder for them (credential_files_dir)."),
    Source.VAULT: Sentence("Give the mount and the path of the secret: secret/ops/web."),
    Source.VAULT_SSH: Sentence("Give the mount of the SSH engine: ssh-client-signer."),
}


def place_of(said: Mapping[str, Any]) -> Place:
    """Returns the place that a person or a stored credential says. Raises ``Invalid`` naming the faulty field."""
    source = _one_of(Source, said, "source", None)
    holds = _one_of(Holds, said, "holds", Holds.PRIVATE_KEY)
    path = str(said.get("path") or "")
    if not _PATH.fullmatch(path) or (source is Source.VAULT and "/" not in path):
        raise _invalid("path", joined(" ", [_WANTED[source], _PATH_WORDS]))
    field, role = said.get("field") or None, said.get("role") or None
    if source is not Source.VAULT:
        _refuse(field, "field", "Only a secret in Vault (source vault) has fields.")
    if source is not Source.VAULT_SSH:
        _refuse(role, "role", "Only Vault's SSH engine (source vault_ssh) has roles.")
        return Place(source, path, holds, _named(field or holds.value, "field") if source is Source.VAULT else None)
    if holds is not Holds.PRIVATE_KEY:
        raise _invalid("holds", "Vault's SSH engine signs keys; it has no password.")
    return Place(source, path, holds, None, _named(role or "", "role"))


def _one_of(words: type[_Word], said: Mapping[str, Any], name: str, default: _Word | None) -> _Word:
    value = said.get(name) or default
    try:
        return words(str(value))
    except ValueError:
        raise _invalid(name, Sentence("Choose one of {words}.", words=", ".join(words))) from None


def _named(value: Any, name: str) -> str:
    if not _NAME.fullmatch(str(value)):
        raise _invalid(name, Sentence("Give the {name}: letters, digits, dots, dashes and underscores.", name=name))
    return str(value)


def _refuse(value: Any, name: str, message: str) -> None:
    if value:
        raise _invalid(name, message)


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(name, message)])
