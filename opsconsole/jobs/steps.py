"""The steps of an order on a host: check, act, verify. Pure; docs/steps.md says what each means.

Where a host goes through them on its own, one shell runs all of them, each in a subshell of its own. When a step ends,
that shell writes a line on both streams which the console takes out again: so it is known which step wrote what, and
which one ended the run.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# What a check exits with when there is nothing to do: what test programs from Automake to Debian's take for "skipped".
NOTHING_TO_DO = 77
# So much of one stream waits for the line on the other; a host that sends more is taken at its first word.
_HELD_MOST = 1024 * 1024
_WORD = rb"((?:'[^']*'|\"'\"|[\w@%+=:,./-])+)"
_AFTER = rb" (check|act|verify) %s\\n' \"\$OPSC_RUN\" \"\$r\""
_PART = re.compile(
    rb"\( unset -v r; eval "
    + _WORD
    + rb" \); r=\$\?\nprintf '\\036opsc-step %s"
    + _AFTER
    + rb"\nprintf [^\n]+ >&2\n[^\n]+\n"
)
_LINE = re.compile(rb"(check|act|verify) ([0-9]{1,3})\n")
_LONGEST_END = len(b"verify 255\n")
_STREAMS = (1, 2)


class Step(StrEnum):
    """What is done on a host, in this order; ``ACT`` is the command of the order."""

    CHECK = "check"
    ACT = "act"
    VERIFY = "verify"


class Barrier(StrEnum):
    """What a host waits for before its next step: nobody, or all other hosts of its wave."""

    HOST = "host"
    WAVE = "wave"


class StepState(StrEnum):
    """How a step stands on one host. One that was not begun has no state; the last three end the run as well."""

    RUNNING = "running"
    PASSED = "passed"
    NOTHING_TO_DO = "nothing_to_do"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"


def until(step: Step) -> list[Step]:
    """Returns the steps up to and including ``step``."""
    steps = list(Step)
    return steps[: steps.index(step) + 1]


@dataclass(frozen=True, slots=True)
class StepFacts:
    """How one step went on a host: ``[from_byte, to_byte)`` of the run's output are its own, ``lines`` of them."""

    step: Step
    state: StepState
    exit_status: int | None
    started_at: datetime
    ended_at: datetime | None
    from_byte: int
    to_byte: int | None
    lines: int


def in_turn(texts: Mapping[Step, str]) -> str:
    """Returns the text for a host's shell that runs ``texts`` in their order, and stops after the first that fails."""
    return "".join(
        f"( unset -v r; eval {shlex.quote(text)} ); r=$?\n"
        f'printf \'\\036opsc-step %s {step} %s\\n\' "$OPSC_RUN" "$r"\n'
        f'printf \'\\036opsc-step %s {step} %s\\n\' "$OPSC_RUN" "$r" >&2\n'
        '[ "$r" = 0 ] || exit "$r"\n'
        for step, text in texts.items()
    )


def parts_of(script: bytes) -> list[tuple[Step, bytes]]:
    """Returns the texts that ``in_turn`` made ``script`` of, by their steps; none for any other script."""
    found: list[tuple[Step, bytes]] = []
    at = 0
    while part := _PART.match(script, at):
        text = shlex.split(part[1].decode(errors="surrogateescape"))[0]
        found.append((Step(part[2].decode()), text.encode(errors="surrogateescape")))
        at = part.end()
    return found if at == len(script) else []


def end_line(mark: str, step: Step, status: int) -> bytes:
    """Returns the line that tells on each stream that ``step`` has ended with ``status``."""
    return b"\036opsc-step %s %s %d\n" % (mark.encode("ascii"), step.encode(), status)


def state_of(step: Step, status: int | None) -> StepState:
    """Returns what a step that ended by itself is called."""
    if status == 0:
        return StepState.PASSED
    return StepState.NOTHING_TO_DO if step is Step.CHECK and status == NOTHING_TO_DO else StepState.FAILED


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that a step wrote on ``stream`` (1 or 2)."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A step ended with ``status``; what follows is the next one's."""

    step: Step
    status: int


class Divider:
    """Takes the lines that part the steps out of a run's two streams, and says where they were.

    ``mark`` is the run's. A line counts once it has come on both streams, so what is behind it on the one waits for the
    other. What a host makes up is worth no more than the rest of what it says: a line of a step that is over
    is dropped.
    """

    def __init__(self, mark: str, steps: Sequence[Step]) -> None:
        self._prefix = b"\036opsc-step " + mark.encode("ascii") + b" "
        self._left = list(steps)
        self._held = dict.fromkeys(_STREAMS, b"")
        # Streams whose line has come while the other's has not, with what it said.
        self._ahead: dict[int, Ended] = {}

    def feed(self, stream: int, data: bytes) -> Iterator[Piece | Ended]:
        """Yields what ``stream`` (1 or 2) wrote, and the ends of steps, in their order."""
        self._held[stream] += data
        if stream not in self._ahead:
            yield from self._scan(stream)
        while len(self._ahead) == len(_STREAMS) or any(len(self._held[one]) > _HELD_MOST for one in self._ahead):
            yield from self._pass()

    def rest(self) -> Iterator[Piece | Ended]:
        """Yields what is held back, of which nothing follows, or not what comes next."""
        while self._ahead:
            yield from self._pass()
        for stream in _STREAMS:
            yield from _piece(stream, self._held[stream])
            self._held[stream] = b""

    def _pass(self) -> Iterator[Piece | Ended]:
        """Yields the next end that was told of, and goes on behind it."""
        ended = min(self._ahead.values(), key=lambda one: list(Step).index(one.step))
        # The host may not have kept all that was written: then lines before this one are missing.
        self._left = [step for step in self._left if list(Step).index(step) > list(Step).index(ended.step)]
        yield ended
        for stream in [stream for stream, one in self._ahead.items() if one.step is ended.step]:
            del self._ahead[stream]
            yield from self._scan(stream)

    def _scan(self, stream: int) -> Iterator[Piece | Ended]:
        """Yields what is certain of a stream up to its next line."""
        data, at = self._held[stream], 0
        while (found := data.find(self._prefix, at)) >= 0:
            start = found + len(self._prefix)
            line = _LINE.match(data, start)
            if line is None and len(data) - start < _LONGEST_END and b"\n" not in data[start:]:
                break
            if line is None:
                at = start
            elif Step(line[1].decode()) in self._left:
                yield from _piece(stream, data[:found])
                self._held[stream] = data[line.end() :]
                self._ahead[stream] = Ended(Step(line[1].decode()), int(line[2]))
                return
            else:
                data, at = data[:found] + data[line.end() :], found
        certain = found if found >= 0 else len(data) - _partial(data, self._prefix)
        yield from _piece(stream, data[:certain])
        self._held[stream] = data[certain:]


def _piece(stream: int, data: bytes) -> Iterator[Piece]:
    if data:
        yield Piece(stream, data)


def _partial(data: bytes, prefix: bytes) -> int:
    """Returns how many bytes at the end of ``data`` may be the beginning of ``prefix``."""
    return next((size for size in range(min(len(prefix) - 1, len(data)), 0, -1) if data.endswith(prefix[:size])), 0)
