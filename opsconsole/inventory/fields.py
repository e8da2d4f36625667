"""What a host's and a group's fields may hold, and the one form each is kept in. Pure: values in, values out."""

from collections.abc import Callable, Mapping
from typing import Any

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import HostSpec, parse_host
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.host_key_policy import HostKeyPolicy
from opsconsole.inventory.profile import Profile
from opsconsole.sentences import Sentence

# Marks that a group or a tag may have in a target expression beside letters and digits.
_MARKS = "_.+-/"
_VALUE_MARKS = _MARKS + "=:@%~"
_MAX_WORD = 100
_MAX_NOTES = 4000
_MAX_REASON = 200
MAX_HOPS = 5
_MAX_TAGS = 100
_CREDENTIAL_CHARS = 56
# In the order people read them.
HOST_FIELDS = (
    "address",
    "port",
    "user",
    "credential",
    "jump",
    "profile",
    "host_key_policy",
    "executor",
    "zone",
    "frozen",
    "frozen_reason",
    "tags",
    "notes",
)
# What a group says beside its members; all but the notes is for its hosts, where they say nothing themselves.
GROUP_FIELDS = ("credential", "jump", "profile", "host_key_policy", "notes")
_TRUE = {"1", "true", "yes", "y", "on", "x", "frozen", "disabled"}
_FALSE = {"", "0", "false", "no", "n", "off", "enabled"}


def clean(field: str, value: Any) -> Any:
    """Returns ``value`` as ``field`` keeps it; an empty text stands for "not set". Raises ``Invalid`` naming it."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return {"tags": {}, "frozen": False}.get(field)
    return _CLEANERS[field](value)


def required(field: str, value: Any) -> Any:
    """Returns ``value`` as ``field`` keeps it; ``None`` stays, but an empty text is a fault. Raises ``Invalid``."""
    return None if value is None else _CLEANERS[field](value)


def host_name(text: str, field: str = "name") -> str:
    """Returns a host's name or address without user and port, as DNS has it. Raises ``Invalid``."""
    spec = _host(text, field)
    if spec.user is not None or spec.port is not None:
        raise _invalid(field, "Give user and port in their own fields.")
    return spec.name


def group_name(text: str, field: str = "name") -> str:
    """Returns the name of a group that ``@name`` can carry in an expression. Raises ``Invalid``."""
    return _word(text, field, _MARKS)


def tag_key(text: str) -> str:
    """Returns the key of a tag. Raises ``Invalid``."""
    return _word(text, "tags", _MARKS)


def tag_value(text: str) -> str:
    """Returns the value of a tag. Raises ``Invalid``."""
    return _word(text, "tags", _VALUE_MARKS)


def is_tag(key: str, value: str) -> bool:
    """Returns whether ``@key:value`` could name it."""
    return _is_word(key, _MARKS) and _is_word(value, _VALUE_MARKS)


def tags_of_text(text: str) -> dict[str, str]:
    """Returns the tags of ``dc=eu role=web``, parted by spaces, commas or semicolons. Raises ``Invalid``."""
    tags = {}
    for part in text.replace(",", " ").replace(";", " ").split():
        key, equals, value = part.partition("=")
        if not equals:
            raise _invalid("tags", Sentence("Write tags as key=value; {part!r} has no value.", part=part[:60]))
        tags[key] = value
    return _tags(tags)


def _tags(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return tags_of_text(value)
    if not isinstance(value, Mapping):
        raise _invalid("tags", "Tags are keys with values.")
    if len(value) > _MAX_TAGS:
        raise _invalid("tags", Sentence("A host has {limit} tags at most.", limit=_MAX_TAGS))
    return {tag_key(str(key)): tag_value(str(item)) for key, item in value.items()}


def _port(value: Any) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = 0
    if isinstance(value, bool) or not 1 <= port <= 65535:
        raise _invalid("port", "A port is a number from 1 to 65535.")
    return port


def _user(value: Any) -> str:
    try:
        return str(parse_host(f"{value}@host").user)
    except Invalid as error:
        raise _invalid("user", error.detail) from None


def _credential(value: Any) -> str:
    """A name alone is that of a key file of the settings; ``cred:<name>`` is a stored credential."""
    prefix, colon, name = str(value).partition(":")
    if not colon:
        return _word(prefix, "credential", "_.-")[:64]
    if prefix == "key":
        return _word(name, "credential", "_.-")[:64]
    if prefix == "cred":
        return f"cred:{_word(name, 'credential', '_.-')[:_CREDENTIAL_CHARS]}"
    raise _invalid("credential", "Write cred:<name> for a stored credential, or the name of a key file.")


def _jump(value: Any) -> str:
    hops = [part for part in str(value).split(",") if part.strip()]
    if len(hops) > MAX_HOPS:
        raise _invalid(
            "jump", Sentence("At most {limit} jump hosts stand between the console and a host.", limit=MAX_HOPS)
        )
    labels = [_host(hop, "jump").label for hop in hops]
    if any(label.lower() == "none" for label in labels):
        if len(labels) > 1:
            raise _invalid("jump", "The word none is the direct way and stands alone.")
        return "none"
    return ",".join(labels)


def _profile(value: Any) -> str:
    try:
        return Profile(str(value)).value
    except ValueError:
        raise _invalid("profile", Sentence("Choose {choices}.", choices=", ".join(Profile))) from None


def _host_key_policy(value: Any) -> str:
    try:
        return HostKeyPolicy(str(value)).value
    except ValueError:
        raise _invalid("host_key_policy", Sentence("Choose {choices}.", choices=", ".join(HostKeyPolicy))) from None


def _executor(value: Any) -> str:
    try:
        return Executor(str(value)).value
    except ValueError:
        raise _invalid("executor", Sentence("Choose {choices}.", choices=", ".join(Executor))) from None


def _frozen(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _invalid("frozen", "Write yes or no.")


def _text(field: str, most: int) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        text = str(value)
        if len(text) > most or "\0" in text:
            raise _invalid(field, Sentence("Use at most {limit:,} characters, and no NUL byte.", limit=most))
        return text

    return checked


def _host(text: str, field: str) -> HostSpec:
    try:
        return parse_host(text.strip())
    except Invalid as error:
        faults = [FieldError(field, fault.message, fault.code, fault.column, fault.hint) for fault in error.errors]
        raise Invalid(error.detail, errors=faults) from None


def _is_word(text: str, marks: str) -> bool:
    return 1 <= len(text) <= _MAX_WORD and all(char.isalnum() or char in marks for char in text)


def _word(text: str, field: str, marks: str) -> str:
    cleaned = text.strip()
    if not _is_word(cleaned, marks):
        raise _invalid(
            field,
            Sentence("Use 1 to {limit} letters, digits and {marks} here.", limit=_MAX_WORD, marks=" ".join(marks)),
        )
    return cleaned


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message)])


_CLEANERS: dict[str, Callable[[Any], Any]] = {
    "address": lambda value: host_name(str(value), "address"),
    "port": _port,
    "user": _user,
    "credential": _credential,
    "jump": _jump,
    "profile": _profile,
    "host_key_policy": _host_key_policy,
    "executor": _executor,
    "zone": lambda value: _word(str(value), "zone", "_.-"),
    "frozen": _frozen,
    "frozen_reason": _text("frozen_reason", _MAX_REASON),
    "tags": _tags,
    "notes": _text("notes", _MAX_NOTES),
}
