"""In which order hosts start, in which waves, and for which limits they count. Pure.

The words are those of ``docs/run-control.md``. Each ``parse`` raises ``Invalid`` with the field, the column and a hint.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opsconsole.errors import FieldError, Invalid
from opsconsole.sentences import Sentence

# The plan is kept on the job's row and shown as a whole.
MOST_WAVES = 1000
GROUP = "group"
JUMP = "jump"
_MOST_DIGITS = 6
_STEP = re.compile(r"(?P<sign>[*+]?)(?P<number>[0-9]{1,6})(?P<share>%?)", re.ASCII)
_TAG = re.compile(r"[^\s,=]{1,64}")
_WAVES_HINT = "Sizes such as: 1 5 10% *2 +5. The last one repeats."


class WaveKind(StrEnum):
    """What a wave is for: the canary tries first."""

    CANARY = "canary"
    WAVE = "wave"


@dataclass(frozen=True, slots=True)
class Traits:
    """What placing asks of one host: its tags, the names of its inventory groups, and the first jump host on the way
    to it."""

    tags: Mapping[str, str]
    groups: tuple[str, ...] = ()
    jump: str | None = None

    def values(self, name: str) -> tuple[str, ...]:
        """Returns the host's value of tag ``name``, its groups for the name ``group``, its jump host for ``jump``;
        empty when it has none."""
        if name == GROUP:
            return self.groups
        if name == JUMP:
            return (self.jump,) if self.jump is not None else ()
        return (self.tags[name],) if name in self.tags else ()


@dataclass(frozen=True, slots=True)
class Waves:
    """Sizes as ``(sign, number)``: a plain number has the sign ``""``, a share of all hosts ``%``; ``*`` and ``+``
    relate to the wave before."""

    steps: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Waves":
        """Returns the meaning of an expression such as ``1 5 10% *2 +5``."""
        steps: list[tuple[str, int]] = []
        for word in re.finditer(r"[^\s,]+", text):
            found = _STEP.fullmatch(word[0])
            column = word.start() + 1
            if found is None or (found["sign"] and found["share"]):
                raise _fault(
                    "waves", Sentence("{word!r} is not the size of a wave.", word=word[0][:20]), column, _WAVES_HINT
                )
            sign, number = found["sign"] or found["share"], int(found["number"])
            if number == 0:
                raise _fault(
                    "waves", Sentence("{word!r}: a wave has at least one host.", word=word[0]), column, _WAVES_HINT
                )
            if sign == "%" and number > 100:
                raise _fault("waves", Sentence("{word!r} is more than all hosts.", word=word[0]), column, _WAVES_HINT)
            if not steps and sign in {"*", "+"}:
                raise _fault(
                    "waves",
                    Sentence("{word!r} relates to the wave before, and this is the first.", word=word[0]),
                    column,
                    _WAVES_HINT,
                )
            steps.append((sign, number))
        if not steps:
            raise _fault("waves", "Write at least one size.", None, _WAVES_HINT)
        return cls(tuple(steps))

    def sizes(self, rest: int, *, total: int) -> list[int]:
        """Returns the sizes of the waves of ``rest`` hosts; shares are of ``total``, rounded up. The last size is what
        is left. Raises ``Invalid`` for more than ``MOST_WAVES``."""
        sizes: list[int] = []
        size = 0
        while rest > 0:
            size = _size(self.steps[min(len(sizes), len(self.steps) - 1)], size, total)
            sizes.append(min(size, rest))
            rest -= sizes[-1]
            if len(sizes) > MOST_WAVES:
                hint = "Larger waves; for one host at a time set the concurrency to 1."
                raise _fault("waves", Sentence("That would be more than {limit} waves.", limit=MOST_WAVES), None, hint)
        return sizes


def _size(step: tuple[str, int], before: int, total: int) -> int:
    sign, number = step
    match sign:
        case "%":
            return -(-total * number // 100)
        case "*":
            return before * number
        case "+":
            return before + number
        case _:
            return number


@dataclass(frozen=True, slots=True)
class Canary:
    """The hosts that go first: ``count`` of them, by the order of starting or at ``random``, or one ``each`` value of
    a tag."""

    count: int = 0
    random: bool = False
    each: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Canary":
        """Returns the meaning of ``3``, ``random 3``, ``each dc`` or ``each group``."""
        words = text.split()
        hint = "Write 3, random 3, each dc (one host per value of the tag dc) or each group."
        match words:
            case [count] if _is_count(count):
                return cls(int(count))
            case ["random", count] if _is_count(count):
                return cls(int(count), random=True)
            case ["each", name] if _TAG.fullmatch(name):
                return cls(each=name)
        raise _fault(
            "canary", Sentence("{text!r} does not say which hosts go first.", text=text.strip()[:40]), None, hint
        )

    def choose(self, ranked: Sequence[int], traits: Sequence[Traits], pick: "Pick") -> list[int]:
        """Returns which of the roster's places ``ranked`` go first, in their order of starting."""
        if self.each is None:
            first = pick(ranked, min(self.count, len(ranked))) if self.random else ranked[: self.count]
            chosen = set(first)
        else:
            chosen = _one_each(ranked, traits, self.each)
            if not chosen:
                raise _fault(
                    "canary",
                    _lacks(self.each),
                    None,
                    "Choose another tag or a count.",
                )
        return [i for i in ranked if i in chosen]


def _one_each(ranked: Sequence[int], traits: Sequence[Traits], name: str) -> set[int]:
    seen: set[str] = set()
    chosen: set[int] = set()
    for i in ranked:
        values = traits[i].values(name)
        if not seen.issuperset(values):
            chosen.add(i)
            seen.update(values)
    return chosen


@dataclass(frozen=True, slots=True)
class Sequencing:
    """The order of starting: as ``given``, at ``random``, or in turn over the values of the tag ``spread``."""

    random: bool = False
    spread: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Sequencing":
        """Returns the meaning of ``given``, ``random``, ``spread dc`` or ``spread group``."""
        match text.split():
            case ["given"]:
                return cls()
            case ["random"]:
                return cls(random=True)
            case ["spread", name] if _TAG.fullmatch(name):
                return cls(spread=name)
        hint = "Write given, random, or spread dc (in turn over the values of the tag dc)."
        raise _fault("order", Sentence("{text!r} is not an order of starting.", text=text.strip()[:40]), None, hint)

    def ranked(self, traits: Sequence[Traits], pick: "Pick") -> list[int]:
        """Returns the places of the roster in the order of starting."""
        places = range(len(traits))
        if self.random:
            return list(pick(places, len(places)))
        if self.spread is None:
            return list(places)
        queues: dict[str | None, list[int]] = {}
        for i in places:
            values = traits[i].values(self.spread)
            queues.setdefault(values[0] if values else None, []).append(i)
        if set(queues) == {None}:
            raise _fault(
                "order",
                _lacks(self.spread),
                None,
                "Choose another tag.",
            )
        turns = [(turn, number, i) for number, queue in enumerate(queues.values()) for turn, i in enumerate(queue)]
        return [i for _, _, i in sorted(turns)]


def parse_limit_per(text: str) -> dict[str, int]:
    """Returns ``tag -> hosts`` of an expression such as ``dc=5`` or ``dc=5, group=2``."""
    limits: dict[str, int] = {}
    hint = "Write dc=5: at most 5 hosts at once per value of the tag dc; group=5 per group, jump=5 per jump host."
    for word in re.finditer(r"[^\s,]+", text):
        name, _, number = word[0].partition("=")
        column = word.start() + 1
        if not _TAG.fullmatch(name) or not _is_count(number):
            raise _fault("limit_per", Sentence("{word!r} is not a limit.", word=word[0][:40]), column, hint)
        if name in limits:
            raise _fault("limit_per", Sentence("{name!r} is limited twice.", name=name), column, hint)
        limits[name] = int(number)
    if not limits:
        raise _fault("limit_per", "Write at least one limit.", None, hint)
    return limits


def check_limits(names: Iterable[str], traits: Sequence[Traits]) -> None:
    """Raises ``Invalid`` for the first tag of a limit that no host has: it would limit nothing."""
    for name in names:
        if not any(host.values(name) for host in traits):
            raise _fault("limit_per", _lacks(name), None, "Choose another tag.")


# Takes the places and how many of them, and returns so many at random, each at most once.
Pick = Callable[[Sequence[int], int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Placement:
    """``rank`` and ``wave`` of each host in the order of the roster, and the ``plan``; none when all may go at once."""

    rank: list[int]
    wave: list[int]
    plan: list[dict[str, Any]] | None


def place(
    traits: Sequence[Traits], pick: Pick, *, order: Sequencing, canary: Canary | None, waves: Waves | None
) -> Placement:
    """Returns where each host goes. Raises ``Invalid`` for a tag that no host has, and for too many waves."""
    ranked = order.ranked(traits, pick)
    first = canary.choose(ranked, traits, pick) if canary else []
    if first:
        tried = set(first)
        ranked = first + [i for i in ranked if i not in tried]
    rest = len(ranked) - len(first)
    sizes = waves.sizes(rest, total=len(ranked)) if waves else [rest] if rest else []
    plan: list[dict[str, Any]] = [{"size": len(first), "kind": WaveKind.CANARY.value}] if first else []
    plan += [{"size": size, "kind": WaveKind.WAVE.value} for size in sizes]
    rank, wave = [0] * len(ranked), [0] * len(ranked)
    numbers = (number for number, step in enumerate(plan) for _ in range(step["size"]))
    for place, (i, number) in enumerate(zip(ranked, numbers, strict=True)):
        rank[i], wave[i] = place, number
    return Placement(rank, wave, plan if canary or waves else None)


def limit_keys(host: Traits, names: Iterable[str]) -> list[str]:
    """Returns keys such as ``dc=eu`` and ``group=db`` of the tags ``names``."""
    return [f"{name}={value}" for name in names for value in host.values(name)]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) > 0


def _lacks(name: str) -> Sentence:
    if name == GROUP:
        return Sentence("No host of the targets is in an inventory group.")
    if name == JUMP:
        return Sentence("No host of the targets is reached through a jump host.")
    return Sentence("No host of the targets has a tag {name!r}.", name=name)


def _fault(field: str, message: str, column: int | None, hint: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message, code=f"bad_{field}", column=column, hint=hint)])
