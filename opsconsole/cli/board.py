"""What the command line knows of a job, kept up to date by events, and the words it has for it. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opsconsole.cli.feed import JobEvent

# Trouble first, as on the page; letter, glyph, and the word of the closing line.
_STATES = (
    ("f", "x", "failed"),
    ("k", "%", "timed out"),
    ("u", "!", "unreachable"),
    ("l", "?", "lost"),
    ("x", "-", "cancelled"),
    ("s", ",", "skipped"),
    ("o", "+", "ok"),
    ("r", "*", "running"),
    ("c", ">", "connecting"),
    ("q", ".", "queued"),
)
BAR_GLYPHS = {letter: glyph for letter, glyph, _ in _STATES} | {"o": "#"}
_WORDS = {letter: word for letter, _, word in _STATES}
_TERMINAL = "ofkuxsl"
_STOPS = {"threshold": "too many failures", "canary": "the canary failed", "deadline": "its time was over"}
_BAR_WIDTH = 40
_EXECUTORS = {"simulate": "SIMULATED", "local": "LOCAL", "mixed": "PARTLY OVER SSH"}


@dataclass(slots=True)
class Board:
    """One job: its counts and the state letter of each host by index."""

    job: int
    total: int = 0
    state: str = "pending"
    # What carries it out: ``ssh``, ``local``, ``simulate`` or ``mixed``.
    executor: str = "ssh"
    stop_reason: str | None = None
    stop_detail: str | None = None
    # On how many hosts a stopping worker ended the command.
    worker_shutdown: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)
    rate: float | None = None
    eta_ms: int | None = None
    finished: bool = False
    # Why a person is needed: paused, or waiting between two waves; empty when it goes on by itself.
    paused: str = ""
    # The command that lets it go on.
    way_on: str = "resume"

    def apply(self, event: JobEvent) -> list[int]:
        """Takes one event in and returns the indexes of the hosts that changed by it."""
        data = event.data
        changed: list[int] = []
        if event.name == "snapshot":
            self.take_status(data["job"])
            changed = self._take_grid(data["grid"])
        elif event.name == "delta":
            self._take_figures(data)
            changed = [row[0] for row in data.get("h", ()) if self._set(row[0], row[1])]
        elif event.name in {"job", "done"}:
            self.state = data.get("state", self.state)
            self.stop_reason = data.get("stop_reason", self.stop_reason)
            self.stop_detail = data.get("stop_detail", self.stop_detail)
            self.worker_shutdown = data.get("worker_shutdown", self.worker_shutdown)
            self._take_pause(data)
            self.counts = dict(data.get("counts", self.counts))
            self.finished = event.name == "done"
        return changed

    def take_status(self, status: Mapping[str, Any]) -> None:
        """Takes the status object of the job in."""
        self.total = status["targets"]["count"]
        self.state = status["state"]
        self.executor = status.get("executor", self.executor)
        self.stop_reason = status.get("stop_reason")
        self.stop_detail = status.get("stop_detail")
        self.worker_shutdown = status.get("worker_shutdown", 0)
        self._take_pause(status)
        self.rate = status.get("rate_per_s")
        self.eta_ms = status.get("eta_ms")
        self.counts = dict(status["counts"])

    @property
    def name(self) -> str:
        """The job's number, with a word beside it when it is not, or not all, carried out over SSH."""
        word = _EXECUTORS.get(self.executor)
        return f"#{self.job} {word}" if word else f"#{self.job}"

    @property
    def done(self) -> int:
        """How many hosts are at their end."""
        return sum(self.counts.get(letter, 0) for letter in _TERMINAL)

    @property
    def in_flight(self) -> int:
        """How many hosts a worker is at."""
        return self.counts.get("c", 0) + self.counts.get("r", 0)

    def indexes(self, letters: str) -> list[int]:
        """Returns the hosts that are in one of the states ``letters``."""
        return [index for index, letter in enumerate(self.letters) if letter in letters]

    def _take_grid(self, grid: str) -> list[int]:
        before, self.letters = self.letters, list(grid)
        return [i for i, letter in enumerate(grid) if i >= len(before) or before[i] != letter]

    def _take_pause(self, data: Mapping[str, Any]) -> None:
        self.paused = str((data.get("waiting") or {}).get("text", "Paused.")) if self.state == "paused" else ""
        self.way_on = "resume" if (data.get("pause") or {}).get("reason") in {None, "operator"} else "continue"

    def _take_figures(self, data: Mapping[str, Any]) -> None:
        self.state = data.get("state", self.state)
        self._take_pause(data)
        self.counts = dict(data.get("counts", self.counts))
        self.rate = data.get("rate", self.rate)
        self.eta_ms = data.get("eta_ms", self.eta_ms)

    def _set(self, index: int, letter: str) -> bool:
        if index >= len(self.letters):
            self.letters.extend("q" * (index + 1 - len(self.letters)))
        if self.letters[index] == letter:
            return False
        self.letters[index] = letter
        return True


def progress_line(board: Board) -> str:
    """Returns the one line that shows how far the job is: bar, share, counts, rate and what is left."""
    share = board.done / board.total if board.total else 0.0
    parts = [f"{board.name} {_bar(board.counts, board.total)}  {share:4.0%}  {board.done}/{board.total}"]
    parts += [f"{glyph} {board.counts[letter]}" for letter, glyph in _legend(board.counts)]
    if board.rate:
        parts.append(f"{board.rate:.1f}/s")
    if board.paused:
        parts.append("paused")
    elif board.eta_ms is not None:
        parts.append(about(board.eta_ms / 1000))
    return "  ".join(parts)


def plain_progress(board: Board, seconds: float) -> str:
    """Returns progress as one line for a log file."""
    words = ", ".join(in_words(board.counts))
    return f"{board.name} {board.state}: {board.done}/{board.total} done after {duration(seconds)}: {words}"


def in_words(counts: Mapping[str, int]) -> list[str]:
    """Returns the counts by letter as words, the worst first: ``["1 failed", "3 ok"]``."""
    return [f"{n} {_WORDS[letter]}" for letter, n in _by_importance(counts)]


def closing_line(board: Board, seconds: float | None, url: str) -> str:
    """Returns the line that ends a job: verdict, counts in words, time it took, address of its page."""
    ok = board.counts.get("o", 0)
    words = [f"{ok} ok", *in_words({letter: n for letter, n in board.counts.items() if letter != "o"})]
    why = (board.stop_detail or "").rstrip(".") or _STOPS.get(board.stop_reason or "")
    stopped = f" (stopped: {why})" if why else ""
    if board.worker_shutdown:
        stopped += f" ({board.worker_shutdown} ended by a worker's shutdown)"
    took = f", {duration(seconds)}" if seconds is not None else ""
    return f"{board.name} {board.state}{stopped}: {', '.join(words)} of {board.total}{took}   {url}"


def duration(seconds: float) -> str:
    """Returns a length of time in words, such as ``0.8 s``, ``42 s``, ``4 min 20 s`` or ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def about(seconds: float) -> str:
    """Returns a rounded guess of what is left."""
    if seconds < 45:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    if seconds < 3600:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {seconds / 3600:.1f} h"


def _legend(counts: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    order = ("o", "f", "k", "u", "l", "x", "s", "c", "r", "q")
    glyphs = {letter: glyph for letter, glyph, _ in _STATES}
    return [(letter, glyphs[letter]) for letter in order if counts.get(letter)]


def _by_importance(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(letter, counts[letter]) for letter, _, _ in _STATES if counts.get(letter)]


def _bar(counts: Mapping[str, int], total: int) -> str:
    """Every state that has a host gets a cell, so that one failure among thousands is seen."""
    present = _by_importance(counts)
    if not present or not total:
        return "." * _BAR_WIDTH
    free = _BAR_WIDTH - len(present)
    cells = {letter: 1 + int(free * count / total) for letter, count in present}
    largest = max(present, key=lambda pair: pair[1])[0]
    cells[largest] += _BAR_WIDTH - sum(cells.values())
    return "".join(BAR_GLYPHS[letter] * cells[letter] for letter, _ in present)
