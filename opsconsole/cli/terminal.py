"""Writing to a person's terminal: host output can do no harm there, colours are asked for, progress stays one line."""

import re
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

import click

from opsconsole.settings import no_color

# Escape sequences in their 7-bit and 8-bit forms. Each pattern runs through its text once: none can be fed so that it
# takes more than linear time.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_COLOURS = re.compile(r"\x1b\[[0-9;:]{0,40}m")
# Other controls, and the characters that reorder what is read.
_UNSEEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_RESET = "\x1b[0m"


def harmless(line: str, *, keep_colours: bool = False) -> str:
    """Returns one line of host output as a terminal may show it.

    Escape sequences go (colours stay with ``keep_colours``), what a carriage return overwrote goes, and every other
    control or reordering character is written out as ``‹U+202E›``.
    """
    line = line.rstrip("\r")
    line = line[line.rfind("\r") + 1 :]
    if not keep_colours:
        return _UNSEEN.sub(_written_out, _ESCAPES.sub("", line))
    pieces: list[str] = []
    end = 0
    for match in _COLOURS.finditer(line):
        pieces += [harmless(line[end : match.start()]), match.group()]
        end = match.end()
    pieces.append(harmless(line[end:]))
    return "".join(pieces) + (_RESET if end else "")


def _written_out(match: re.Match[str]) -> str:
    return f"‹U+{ord(match.group()):04X}›"


@dataclass(slots=True)
class Terminal:
    """The two streams of the command line and what may be written to them."""

    colour: bool
    keep_colours: bool
    quiet: bool
    # True until a line has been written.
    silent: bool = True
    _progress: str = ""

    @classmethod
    def of_process(cls, *, colour: bool | None, quiet: bool = False) -> "Terminal":
        """Returns the terminal of this process. ``colour`` of ``None`` leaves it to whether stdout is one."""
        for stream in (sys.stdout, sys.stderr):
            # A host's text must never make us fail, whatever alphabet the terminal has.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        wanted = sys.stdout.isatty() and not no_color() if colour is None else colour
        return cls(colour=wanted, keep_colours=colour is True, quiet=quiet)

    @property
    def interactive(self) -> bool:
        """True when a person is there to be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def host_line(self, line: str, *, prefix: str = "", err: bool = False) -> None:
        """Writes a line that a host wrote; made harmless for a terminal, as it is for a file or a pipe."""
        stream = sys.stderr if err else sys.stdout
        shown = harmless(line, keep_colours=self.keep_colours) if stream.isatty() else line
        self._write(prefix + shown, stream)

    def line(self, text: str = "", *, fg: str | None = None, bold: bool = False) -> None:
        """Writes a line of our own to stdout."""
        text = harmless(text)
        self._write(click.style(text, fg=fg, bold=bold) if self.colour and (fg or bold) else text, sys.stdout)

    def note(self, text: str, *, fg: str | None = None, always: bool = False) -> None:
        """Writes a line of our own to stderr; with -q only what must ``always`` be said."""
        if always or not self.quiet:
            text = harmless(text)
            self._write(click.style(text, fg=fg) if fg and self.colour and sys.stderr.isatty() else text, sys.stderr)

    def progress(self, text: str) -> None:
        """Shows ``text`` as the one line that changes in place, where stderr is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        if text != self._progress:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._progress = text

    def clear_progress(self) -> None:
        """Takes the progress line away."""
        if self._progress:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._progress = ""

    def _write(self, text: str, stream: TextIO) -> None:
        progress = self._progress
        self.clear_progress()
        self.silent = False
        stream.write(text + "\n")
        stream.flush()
        if progress:
            self.progress(progress)
