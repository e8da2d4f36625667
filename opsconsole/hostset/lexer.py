"""From text to tokens: items, operators, separators and parentheses, with comments dropped. Takes linear time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from opsconsole.hostset.earlier import CALL, MAX_PATTERN
from opsconsole.hostset.faults import Fault
from opsconsole.hostset.table import table
from opsconsole.sentences import Sentence

# White space that people type or paste. Other control characters are not here, so that they are refused.
BLANKS = " \t\r\n\u00a0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# The wide forms are what a Chinese keyboard gives for a comma, a semicolon and the comma of lists.
COMMAS = ",;\uff0c\uff1b\u3001"


class Kind(Enum):
    """What a token is."""

    ITEM = auto()
    OPERATOR = auto()
    COMMA = auto()
    BLANK = auto()
    OPEN = auto()
    CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the expression and where it starts."""

    kind: Kind
    text: str
    at: int


_COMMENT = re.compile(r"#[^\r\n]*")
_BLANK = re.compile(rf"[{BLANKS}]+")
_ITEM = re.compile(rf"(?:\[[^\[\]\r\n]*\]|\{{[^{{}}{BLANKS}]*\}}|[^{BLANKS}{COMMAS}!&^()\[])+")
_SINGLE = {"!": Kind.OPERATOR, "&": Kind.OPERATOR, "^": Kind.OPERATOR, "(": Kind.OPEN, ")": Kind.CLOSE}
_SINGLE |= dict.fromkeys(COMMAS, Kind.COMMA)
_REGEX_END = frozenset(COMMAS + "!&" + " \t\r\n\u00a0\u3000")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def tokens(text: str) -> Iterator[Token]:
    """Yields the tokens in order, of a table those of its hosts. Raises Fault where no token can start."""
    at = 0
    found = table(text)
    text = found.names if found else text
    while at < len(text):
        token, at = _next(text, at)
        if token is not None:
            yield token


def _next(text: str, at: int) -> tuple[Token | None, int]:
    char = text[at]
    if char in _SINGLE:
        return Token(_SINGLE[char], char, at), at + 1
    if char == "#":
        end = _end(_COMMENT, text, at)
        # A comment parts its neighbours as white space does.
        return Token(Kind.BLANK, " ", at), end
    if char == "~":
        end = _regex_end(text, at + 1)
        return Token(Kind.ITEM, text[at:end], at), end
    if (blank := _BLANK.match(text, at)) is not None:
        return Token(Kind.BLANK, " ", at), blank.end()
    return _item(text, at)


def _item(text: str, at: int) -> tuple[Token, int]:
    end = at
    if (call := CALL.match(text, at)) is not None:
        end = call.end()
    elif text.startswith("matched(", at):
        hint = Sentence(
            "Write matched(/pattern/):#1041, with at most {limit} characters between the slashes.",
            limit=MAX_PATTERN,
        )
        raise Fault("bad_job", "This does not name the hosts of a job.", at, hint)
    end = _end(_ITEM, text, end)
    if end < len(text) and text[end] == "[":
        message = "The bracket is opened and not closed."
        raise Fault("unclosed_bracket", message, end, "Write a closed range: web[1-3]. Brackets cannot be nested.")
    return Token(Kind.ITEM, text[at:end], at), end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _regex_end(text: str, at: int) -> int:
    # Outside of (), [] and {} a blank, a comma or an operator ends the pattern, and so does the ) of a surrounding
    # group. A ^ at the start of an alternative is an anchor; elsewhere out there it could never match, so it ends too.
    waiting: list[str] = []
    start = True
    while at < len(text):
        char = text[at]
        if char in "\r\n":
            break
        if char == "\\":
            at += 2
            start = False
            continue
        if waiting:
            if char == waiting[-1] and not (char == "]" and text[at - 1] == "["):
                waiting.pop()
            elif char in _PAIRS and waiting[-1] != "]":
                waiting.append(_PAIRS[char])
        elif char in _REGEX_END or char == ")" or (char == "^" and not start):
            break
        elif char in _PAIRS:
            waiting.append(_PAIRS[char])
        start = char == "|"
        at += 1
    return min(at, len(text))
