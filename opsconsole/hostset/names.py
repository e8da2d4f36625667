"""Host names, addresses, users and ports: what is accepted, and its one normal form."""

import ipaddress
import re

import idna

from opsconsole.hostset.faults import Fault, ascii_twin, shown, shown_char
from opsconsole.sentences import Sentence

MAX_NAME = 253
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# A last label of digits only (or 0x...) is an address to the resolver of the system: "127.1" is 127.0.0.1.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")
_PORT = re.compile(r"[0-9]{1,5}")
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_HINTS = {
    "[": "Open and close each bracket once, as in web[1-3]; brackets cannot be nested.",
    "]": "A closing bracket needs an opening one: write web[1-3].",
    "{": "Braces mean nothing here: write web[1-3], or web1,web2.",
    "}": "Braces mean nothing here: write web[1-3], or web1,web2.",
    "@": "Write one user before one host: root@web1.",
    "#": "A comment needs a space before its #.",
    "|": 'To name more hosts, put a comma or a space between them; "|" belongs into the command.',
    ":": "A port is written name:22; an IPv6 address with a port is written [fe80::1]:22.",
    "=": "A tag is written @key:value.",
    "/": "A host has no path; a network is written 10.0.0.0/24.",
    "\\": "Write the user as user@host.",
    "*": "A wildcard stands alone or inside a name: web*, without a user or a port.",
    "~": "A regular expression starts with ~ as the first character of an item: ~web.*",
}


def normal_name(name: str, at: int) -> str:
    """Returns the normal form of a host name or IPv4 address: ASCII, without the final dot, case kept.

    Raises Fault when it is neither.
    """
    if not name.isascii():
        name = _ascii(name, at)
    name = name.removesuffix(".")
    if len(name) <= MAX_NAME and _NAME.fullmatch(name):
        if not _ENDS_IN_NUMBER.fullmatch(name) or _IPV4.fullmatch(name):
            return name
        raise Fault(
            "bad_address", Sentence("{name} is not a full IPv4 address.", name=shown(name)), at, _address_hint(name)
        )
    raise _bad_name(name, at)


def normal_ipv6(text: str, at: int) -> str:
    """Returns the shortest form of an IPv6 address, its zone kept as written; raises Fault."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        message = Sentence("{text} is not an IPv6 address.", text=shown(text))
        raise Fault("bad_address", message, at, "Write fe80::1, or with a port [fe80::1]:22.") from None
    if address.scope_id is not None and not _ZONE.fullmatch(address.scope_id):
        raise Fault("bad_address", "The zone of the IPv6 address is not an interface name.", at, "Write fe80::1%eth0.")
    return str(address)


def checked_user(user: str, at: int) -> str:
    """Returns the user; raises Fault. The text is never repeated in the message: it may hold a password."""
    if ":" in user:
        message = "There is a colon before the @; a password must not be written into the targets."
        raise Fault("password_in_target", message, at, "Write user@host, and choose a credential for the password.")
    if user.startswith("-"):
        raise Fault("leading_dash", 'A user name cannot start with "-".', at, "Write user@host.")
    if not _USER.fullmatch(user):
        message = "The part before the @ is not a user name." if user else "There is no user name before the @."
        raise Fault("bad_user", message, at, "A user name has letters, digits and . _ - : root@web1.")
    return user


def checked_port(text: str, at: int) -> int:
    """Returns the port number; raises Fault. The text is not repeated: it may be a piece of a password."""
    if _PORT.fullmatch(text) and 1 <= int(text) <= 65535:
        return int(text)
    raise Fault("bad_port", "A port is a number from 1 to 65535.", at, "Write name:22.")


def check_characters(text: str, at: int, extra: str = "") -> None:
    """Raises Fault at the first character that no host name can have; ``extra`` names further good ones."""
    for index, char in enumerate(text):
        if char in _NAME_CHARS or char in extra or (not char.isascii() and _is_letter(char)):
            continue
        raise Fault(
            "bad_character",
            Sentence("A host name cannot have {char} in it.", char=shown_char(char)),
            at + index,
            _hint(char),
        )


def check_first(text: str, at: int) -> None:
    """Raises Fault when the text starts with a dash, which a program could take for an option."""
    if text.startswith("-"):
        hint = "To leave a host out, write it into the exclude field or after a !."
        raise Fault("leading_dash", 'A target cannot start with "-".', at, hint)


def _is_letter(char: str) -> bool:
    # Marks are no letters to Python, yet scripts such as Devanagari need them; idna judges the whole name later.
    return char.isalnum() or "\u0300" <= char <= "\u036f" or ("\u0900" <= char <= "\u0dff" and char.isprintable())


def _hint(char: str) -> str | None:
    twin = ascii_twin(char)
    if twin is not None:
        return Sentence('This is the wide form; write the plain "{twin}".', twin=twin)
    if not char.isprintable():
        return "Delete the invisible character; it often comes along with pasted text."
    return _HINTS.get(char) or "Host names have letters, digits, dots, dashes and underscores."


def _ascii(name: str, at: int) -> str:
    if len(name) > MAX_NAME:
        raise _bad_name(name, at)
    try:
        labels = (part if part.isascii() else idna.encode(part, uts46=True).decode("ascii") for part in name.split("."))
        return ".".join(labels)
    except (idna.IDNAError, UnicodeError):
        message = Sentence("{name} is not an international host name.", name=shown(name))
        raise Fault("bad_name", message, at, "Write the name as DNS has it.") from None


def _bad_name(name: str, at: int) -> Fault:
    check_first(name, at)
    check_characters(name, at)
    if len(name) > MAX_NAME:
        return Fault(
            "bad_name",
            Sentence("The host name has more than {limit} characters.", limit=MAX_NAME),
            at,
            "Split the list.",
        )
    if any(len(label) > 63 for label in name.split(".")):
        return Fault("bad_name", "A part of the host name between dots has more than 63 characters.", at, None)
    if not name:
        return Fault("bad_name", "There is no host name here.", at, "Write a name such as web1.")
    message = Sentence("{name} is not a host name.", name=shown(name))
    return Fault("bad_name", message, at, "No part between dots may be empty, or start or end with a dash.")


def _address_hint(name: str) -> str:
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name):
        return "Each of the four numbers is 0 to 255 and has no leading zero."
    return "Write all four numbers: 127.0.0.1. A host name cannot end in a number alone."
