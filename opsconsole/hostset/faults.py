"""What is wrong with an expression and where: raised inside the package, reported as field errors at its edge."""

import unicodedata

MAX_SHOWN = 60


class Fault(Exception):
    """One thing wrong. ``at`` is the index into the text that was being read; ``code`` is stable for programs.

    ``final`` says that reading on makes no sense, because what follows would fail for the same reason.
    """

    def __init__(self, code: str, message: str, at: int, hint: str | None = None, *, final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at = at
        self.hint = hint
        self.final = final


def shown(text: str) -> str:
    """Returns hostile text in quotes, safe to print: at most 60 characters, the unprintable ones escaped."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return '"' + "".join(_printable(char) for char in cut) + '"'


def shown_char(char: str) -> str:
    """Returns one hostile character for a message: itself in quotes when printable, else its code point."""
    return f'"{char}"' if char.isprintable() else f"U+{ord(char):04X}"


def ascii_twin(char: str) -> str | None:
    """Returns the ASCII character that a full-width or similar one stands for, or None."""
    twin = unicodedata.normalize("NFKC", char)
    return twin if twin != char and len(twin) == 1 and twin.isascii() and twin.isprintable() else None


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
