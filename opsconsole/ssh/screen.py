"""What a device's terminal shows, turned into output. Pure.

CR LF becomes LF; the echo of a typed line, prompts and pagers are left out. The open line, which no newline has ended
yet, is judged once the device is quiet: only then can it be a prompt.
"""

import re
from enum import StrEnum

import re2  # type: ignore[import-untyped]

from opsconsole.jobs.raw import Manners

_MOST_OPEN_BYTES = 64 * 1024
_BANNER_BYTES = 16 * 1024
_JUDGED_BYTES = 500
_SEARCHED_BYTES = 4096
_TOLD_CHARS = 120
# What colours, moves and titles a terminal; nobody who compares with a prompt or an echo wants it.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>])")
_PASTE_MODE = re.compile(rb"\x1b\[\?2004[hl]\r?")
# How a pager that was answered wipes its own line.
_WIPED = re.compile(rb"\A(?:\x08+ *\x08*|\r *\r|\r?\x1b\[[0-9;]*K\r?|\r)+")
_BEING_WIPED = re.compile(rb"[\r\x08 ]*(?:\x1b(?:\[[0-9;]*)?)?")
_BLANKS = re.compile(rb"[\s\x08]+")


class Shown(StrEnum):
    """What stands in the open line."""

    NOTHING = "nothing"
    PROMPT = "prompt"
    PAGER = "pager"
    TEXT = "text"


class Screen:
    """Takes bytes as they arrive and gives lines of output. ``fault`` is the first line that told a fault."""

    def __init__(self, manners: Manners) -> None:
        self._prompt = _compiled(manners.prompt)
        self._pager = _compiled(manners.pager)
        self._fault = _compiled(manners.fault)
        self._open = b""
        # What of the open line was given already.
        self._given = b""
        self._echo: bytes | None = None
        self._wiping = False
        self._banner: bytes | None = None
        self.fault: str | None = None

    def expect_banner(self) -> None:
        """Keeps what comes until the first prompt from being output."""
        self._banner = b""

    def end_banner(self) -> str:
        """Returns what came before the first prompt as text for people; what follows is output."""
        shown = (self._banner or b"") + self._open
        self._banner, self._open = None, b""
        return _ESCAPES.sub(b"", shown).decode(errors="replace").strip()

    def sent(self, line: str) -> None:
        """Notes that ``line`` was typed, so that its echo is left out."""
        self._echo = _bare(line.encode())

    def feed(self, data: bytes) -> bytes:
        """Returns the lines that ``data`` completes."""
        self._open = _PASTE_MODE.sub(b"", self._open + data)
        if self._wiping:
            if _BEING_WIPED.fullmatch(self._open) and len(self._open) < _JUDGED_BYTES:
                return b""
            self._open = _WIPED.sub(b"", self._open)
            self._wiping = False
        *lines, self._open = self._open.split(b"\n")
        out = b"".join(self._line(line) for line in lines)
        if len(self._open) > _MOST_OPEN_BYTES:
            out += self.take_open()
        return out

    def ask(self) -> Shown:
        """Returns what the open line is, now that the device is quiet."""
        line = _ESCAPES.sub(b"", (self._given + self._open)[-_JUDGED_BYTES:]).rpartition(b"\r")[2]
        if not self._open.strip():
            return Shown.NOTHING
        if self._pager.search(line):
            return Shown.PAGER
        return Shown.PROMPT if self._prompt.search(line) else Shown.TEXT

    def answered_pager(self) -> None:
        """Leaves out the pager that stands in the open line, and what wipes it."""
        self._open, self._wiping = b"", True

    def drop_open(self) -> None:
        """Leaves out the open line: it was a prompt."""
        self._open = self._given = b""

    def take_open(self) -> bytes:
        """Returns the open line as output that may go on."""
        if self._banner is not None:
            return b""
        # A carriage return may still become the end of a line.
        held = b"\r" if self._open.endswith(b"\r") else b""
        text = self._open.removesuffix(b"\r")
        self._given, self._open = (self._given + text)[-_JUDGED_BYTES:], held
        return text

    def rest(self) -> bytes:
        """Returns what is left when nothing more comes."""
        if self._banner is not None:
            return b""
        text = self._open.rstrip(b"\r")
        self._look_for_fault(self._given + text)
        self._open = self._given = b""
        return text

    def _line(self, line: bytes) -> bytes:
        line = line.rstrip(b"\r")
        if self._banner is not None:
            self._banner = (self._banner + line + b"\n")[-_BANNER_BYTES:]
            return b""
        echo, self._echo = self._echo, None
        given, self._given = self._given, b""
        if echo is not None and not given and self._is_echo(line, echo):
            return b""
        self._look_for_fault(given + line)
        return line + b"\n"

    def _is_echo(self, line: bytes, echo: bytes) -> bool:
        shown = _bare(line)
        if not shown.endswith(echo):
            return False
        before = shown.removesuffix(echo)
        return not before or self._prompt.search(before) is not None

    def _look_for_fault(self, line: bytes) -> None:
        if self.fault is None and self._fault.search(line[:_SEARCHED_BYTES]):
            text = _ESCAPES.sub(b"", line).decode(errors="replace").strip()
            self.fault = "".join(char if char.isprintable() else " " for char in text)[:_TOLD_CHARS]


def _bare(text: bytes) -> bytes:
    """Returns what of a line is compared with an echo, which a terminal may wrap and redraw."""
    return _BLANKS.sub(b"", _ESCAPES.sub(b"", text))


def _compiled(pattern: str) -> "re2.Pattern":
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return re2.compile(pattern.encode(), options)
