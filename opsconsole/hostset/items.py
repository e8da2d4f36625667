"""One item of an expression: which kind it is, how many hosts it can name, and what it needs from the inventory."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from opsconsole.hostset.earlier import JobAlike, JobHosts, JobOutput, names_job, parse_job
from opsconsole.hostset.faults import Fault, shown, shown_char
from opsconsole.hostset.model import HostSpec
from opsconsole.hostset.names import (
    MAX_NAME,
    check_characters,
    check_first,
    checked_port,
    checked_user,
    normal_ipv6,
    normal_name,
)
from opsconsole.hostset.ranges import COUNT_CEILING, Template, parse_template
from opsconsole.sentences import Sentence

MAX_REGEX = 200
_IN_BRACKETS = re.compile(r"\[[^\]]*\]")
_OUTSIDE_BRACKETS = re.compile(r"\[[^\]]*\]|(:)")
_BRACKETED = re.compile(r"\[([^\]]*:[^\]]*)\](.*)", re.DOTALL)
_RANGE_LIKE = re.compile(r"[0-9]+:[0-9]+(?::[0-9]+)?")
_V6_LIKE = re.compile(r"[0-9A-Fa-f:.]*(?:%.*)?", re.DOTALL)
_NETWORK_LIKE = re.compile(r"[0-9.,\[\]-]+/[^/]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/[^/]*")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names or addresses written out, perhaps with ranges."""

    template: Template
    user: str | None
    port: int | None
    at: int

    @property
    def count(self) -> int:
        """How many hosts it names, by arithmetic."""
        return self.template.count

    def expand(self) -> Iterator[HostSpec]:
        """Yields the hosts in the order written. Raises Fault when a range makes a bad name."""
        for text in self.template.expand():
            yield HostSpec(normal_name(text, self.at), self.user, self.port)


@dataclass(frozen=True, slots=True)
class Address:
    """One IPv6 address."""

    host: HostSpec
    count = 1

    def expand(self) -> Iterator[HostSpec]:
        """Yields the one host."""
        return iter((self.host,))


@dataclass(frozen=True, slots=True)
class Network:
    """A CIDR network; it names its usable host addresses."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    user: str | None
    port: int | None

    @property
    def count(self) -> int:
        """How many usable addresses the network has: IPv4 leaves out two, IPv6 one, unless it is very small."""
        total = self.network.num_addresses
        return min(total if total <= 2 else total - (2 if self.network.version == 4 else 1), COUNT_CEILING)

    def expand(self) -> Iterator[HostSpec]:
        """Yields the addresses, lowest first."""
        for address in self.network.hosts():
            yield HostSpec(str(address), self.user, self.port)


@dataclass(frozen=True, slots=True)
class Groups:
    """``@name``, or several by a range: ``@rack[1-4]``."""

    template: Template


@dataclass(frozen=True, slots=True)
class Tagged:
    """``@key:value``: the hosts whose tag has that value."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A pattern with ``*`` or ``?`` over the inventory names, perhaps with ranges."""

    template: Template


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that must match the whole of an inventory name."""

    pattern: str


Item = Hosts | Address | Network | Groups | Tagged | Wildcard | Regex | JobHosts | JobOutput | JobAlike


def parse_item(text: str, at: int) -> Item:
    """Returns what one item says; ``at`` is where it starts in the expression. Raises Fault."""
    if text.startswith("@"):
        return _reference(text, at)
    if text.startswith("~"):
        return _regex(text, at)
    if names_job(text):
        return parse_job(text, at)
    check_first(text, at)
    before, sign, body = text.rpartition("@")
    user = checked_user(before, at) if sign else None
    start = at + len(before) + len(sign)
    if not body:
        raise Fault("bad_name", "There is no host name after the @.", start, "Write user@host.")
    check_first(body, start)
    if "/" in _IN_BRACKETS.sub("", body):
        return _network(body, user, start)
    if "*" in body or "?" in body:
        return _wildcard(body, user, start)
    return _host(body, user, start)


def parse_host_item(text: str) -> HostSpec:
    """Returns the one host that the text names. Raises Fault when it names none, or could name several."""
    item = None if text.startswith(("@", "~")) else parse_item(text, 0)
    if isinstance(item, Address):
        return item.host
    if not isinstance(item, Hosts) or "[" in text:
        raise Fault("one_host", "Exactly one host is wanted here.", 0, "Write name, user@name or name:22.")
    return next(item.expand())


def _host(body: str, user: str | None, at: int) -> Item:
    if (found := _BRACKETED.fullmatch(body)) is not None and not _RANGE_LIKE.fullmatch(found[1]):
        port = _port_after(found[2], at + found.end(1) + 1)
        return Address(HostSpec(normal_ipv6(found[1], at + 1), user, port))
    colons = [colon.start() for colon in _OUTSIDE_BRACKETS.finditer(body) if colon[1]]
    if len(colons) > 1:
        if _V6_LIKE.fullmatch(body):
            return Address(HostSpec(normal_ipv6(body, at), user))
        check_characters(body, at, ":[],%")
        hint = "A port is written name:22; an IPv6 address has no ranges."
        raise Fault("bad_port", "There is more than one colon.", at + colons[1], hint)
    name, port = body, None
    if colons:
        name, port = body[: colons[0]], checked_port(body[colons[0] + 1 :], at + colons[0] + 1)
    template = parse_template(name, at)
    for literal in template.literals:
        check_characters(literal.text, literal.at)
    if not template.segments:
        raise Fault("bad_name", "There is no host name before the colon.", at, "Write name:22.")
    return Hosts(template, user, port, at)


def _port_after(text: str, at: int) -> int | None:
    if not text:
        return None
    if not text.startswith(":"):
        raise Fault("bad_address", "Only a port can follow the bracket of an IPv6 address.", at, "Write [fe80::1]:22.")
    return checked_port(text[1:], at + 1)


def _network(body: str, user: str | None, at: int) -> Network:
    slash = body.index("/")
    if body[:slash].endswith(":") and body.startswith("//", slash):
        host = re.split(r"[/?#]", body[slash + 2 :], maxsplit=1)[0]
        hint: str | None = Sentence("Write {host}.", host=shown(host)) if host else None
        raise Fault("url", "A target is a host, not a web address.", at, hint)
    if not _NETWORK_LIKE.match(body):
        check_characters(body, at)
    prefix, port = body, None
    if "." in body[:slash] and ":" not in body[:slash] and ":" in body[slash:]:
        prefix, _, number = body.rpartition(":")
        port = checked_port(number, at + len(prefix) + 1)
    try:
        return Network(ipaddress.ip_network(prefix), user, port)
    except ValueError:
        hint = _network_hint(prefix)
        raise Fault("bad_network", Sentence("{prefix} is not a network.", prefix=shown(prefix)), at, hint) from None


def _network_hint(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "Write an address and a prefix length, such as 10.0.0.0/24, with no ranges in it."
    return Sentence(
        "Write {network} for the network, or {text} for the one host.", network=network, text=text.partition("/")[0]
    )


def _wildcard(body: str, user: str | None, at: int) -> Wildcard:
    if user is not None or ":" in _IN_BRACKETS.sub("", body):
        hint = "Give the user and the port in the job's options, or name the hosts."
        raise Fault("bad_wildcard", "A wildcard cannot carry a user or a port.", at, hint)
    if len(body) > MAX_NAME:
        raise Fault("bad_wildcard", Sentence("The pattern has more than {limit} characters.", limit=MAX_NAME), at)
    template = parse_template(body, at)
    for literal in template.literals:
        check_characters(literal.text, literal.at, "*?")
    return Wildcard(template)


def _regex(text: str, at: int) -> Regex:
    pattern = text[1:]
    if not pattern:
        raise Fault("bad_regex", "There is nothing after the ~.", at, "Write a regular expression: ~web[0-9]+")
    if len(pattern) > MAX_REGEX:
        raise Fault(
            "bad_regex",
            Sentence("The regular expression has more than {limit} characters.", limit=MAX_REGEX),
            at,
            None,
        )
    for index, char in enumerate(pattern):
        if not char.isprintable():
            message = Sentence("A regular expression here cannot have {char} in it.", char=shown_char(char))
            raise Fault("bad_regex", message, at + 1 + index, "Delete the invisible character.")
    return Regex(pattern)


def _reference(text: str, at: int) -> Groups | Tagged | Wildcard:
    if text == "@*":
        return Wildcard(parse_template("*", at))
    key, colon, value = text[1:].partition(":")
    if colon and "[" not in key:
        _check_reference(key, at + 1)
        _check_reference(value, at + 2 + len(key), "=:@%~")
        return Tagged(key, value)
    template = parse_template(text[1:], at + 1)
    if not template.segments:
        raise Fault("bad_group", "There is no group name after the @.", at, "Write @name, or @key:value for a tag.")
    for literal in template.literals:
        _check_reference(literal.text, literal.at)
    return Groups(template)


def _check_reference(text: str, at: int, extra: str = "") -> None:
    # Group names are the inventory's own and may be in any script.
    for index, char in enumerate(text):
        if not (char.isalnum() or char in "_.+-/" or char in extra):
            message = Sentence("A group or a tag cannot have {char} in its name.", char=shown_char(char))
            hint = (
                "Wildcards work on host names only: web*." if char in "*?" else "Write @name, or @key:value for a tag."
            )
            raise Fault("bad_group", message, at + index, hint)
    if not text:
        raise Fault("bad_group", "A name is missing here.", at, "Write @name, or @key:value for a tag.")
